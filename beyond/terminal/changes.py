"""What is new in a draft: its changed, new, moved and deleted paragraphs, word by word."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

SIMILAR = 0.5  # two paragraphs that share this part of their words are one that was changed
SAME_PLACE = 0.1  # added to that share if both are between the same unchanged paragraphs
COMMON = 20  # paragraphs; a word in more of the old ones does not help to find the right one
COMPARISON_LIMIT = 4_000  # words, old and new; comparing a paragraph with more would take seconds

FENCE = re.compile(r"`{3,}|~{3,}")
# A list item, a quotation and a heading begin a paragraph even without a blank line before them.
BEGINNING = re.compile(r"#{1,6}\s|>|[-*+]\s|\d+[.)]\s")
# Accents, and the vowel signs of Hebrew, Arabic, India, Thailand and Laos. \w leaves them out.
COMBINING = (
    r"\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
    r"\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece"
)
# Thai, Lao, Chinese and Japanese have no spaces between words, so each letter counts as a word.
UNSPACED = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD_OR_SIGN = re.compile(
    rf"[{UNSPACED}][{COMBINING}]*"
    rf"|(?:\d+(?:[.,]\d+)*|[^\W\d{UNSPACED}])(?:[^\W{UNSPACED}]|[{COMBINING}])*|\s+|."
)

# A mark and a text. The marks: "" for words of both drafts, "-" for deleted words, "+" for new
# ones, and "note" for a remark of ours.
Part = tuple[str, str]


@dataclass
class Paragraph:
    """A paragraph, a table, a code block, or a line of these, in both drafts.

    `old` is "" for a new paragraph, and `new` is "" for a deleted one.
    """

    old: str
    new: str
    moved: bool = False


def compare(old: str, new: str) -> list[Paragraph]:
    """Returns the paragraphs of both drafts in order. Deleted ones are where they were."""
    return _align(_split(old), _split(new))


def summarize(paragraphs: Sequence[Paragraph]) -> str:
    """Returns a summary such as "6 of 51 paragraphs changed, 1 new, 1 moved, 2 deleted"."""

    def count(matches: Callable[[Paragraph], object]) -> int:
        return sum(1 for paragraph in paragraphs if matches(paragraph))

    changed = count(lambda p: p.old and p.new and p.old != p.new)
    summary = f"{changed} of {count(lambda p: p.new)} paragraphs changed"
    others = {
        "new": count(lambda p: not p.old),
        "moved": count(lambda p: p.moved),
        "deleted": count(lambda p: not p.new),
    }
    return ", ".join([summary, *(f"{number} {what}" for what, number in others.items() if number)])


def show_changes(paragraphs: Iterable[Paragraph], what: str = "paragraph") -> Iterator[list[Part]]:
    """Yields what to show of each changed paragraph, and one line for unchanged ones in a row.

    `what` is the word for a paragraph in that line: "paragraph", "row" or "line".
    """
    heading = ""
    for same, group in groupby(paragraphs, lambda p: p.old == p.new and not p.moved):
        together = list(group)
        heading = next((p.new for p in reversed(together) if p.new.startswith("#")), heading)
        number = len(together)
        where = f" ({heading})" if heading and what == "paragraph" else ""
        if same:
            yield [("note", f"… {number} {what}{'s' * (number > 1)} as before{where}")]
            continue
        for paragraph in together:
            note = "moved: " if paragraph.old == paragraph.new else "moved and changed: "
            yield [("note", note)] * paragraph.moved + _mark(paragraph)


def compare_words(old: str, new: str) -> list[Part]:
    """Returns the words of both texts in order, with their marks."""
    before, after = WORD_OR_SIGN.findall(old), WORD_OR_SIGN.findall(new)
    if len(before) + len(after) > COMPARISON_LIMIT:
        return [("-", old), ("+", new)]
    parts: list[Part] = []
    was = now = between = ""
    matcher = SequenceMatcher(str.isspace, before, after, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag != "equal":
            was += between + "".join(before[a:b])
            now += between + "".join(after[c:d])
            between = ""
            continue
        between = "".join(after[c:d])
        # With a space, a comma or one letter between them, two edits are easier to read as one.
        if re.search(r"\w.*\w|\|", between) or not was + now:
            parts += [("-", was), ("+", now), ("", between)]
            was = now = between = ""
    parts += [("-", was), ("+", now), ("", between)]
    return [part for part in parts if part[1]]


def _mark(paragraph: Paragraph) -> list[Part]:
    """Returns the words of a paragraph, or only the changed lines of a table or code block."""
    old, new = paragraph.old.split("\n"), paragraph.new.split("\n")
    if paragraph.old == paragraph.new or min(len(old), len(new)) == 1:
        return compare_words(paragraph.old, paragraph.new)
    if not _is_row(new[0]):
        return _join(show_changes(_align(old, new), "line"))
    headings = compare_words(old[0], new[0])
    return _join([headings, *show_changes(_align(_rows(old), _rows(new)), "row")])


def _join(lines: Iterable[list[Part]]) -> list[Part]:
    return [part for line in lines for part in (*line, ("", "\n"))][:-1]


def _rows(table: Sequence[str]) -> list[str]:
    """Returns the rows below the heading row and the rule under it."""
    return [row for row in table[1:] if re.search(r"\w", row)]


def _split(markdown: str) -> list[str]:
    """Returns the paragraphs, each on one line, and the tables and code blocks with their lines."""
    blocks: list[str] = []
    fence, joint = "", ""  # what ends the code block; what to put between a block and its next line
    for line in map(str.rstrip, markdown.splitlines()):
        text = line.lstrip()
        if fence:
            blocks[-1] += f"\n{line}"
            fence = "" if text.startswith(fence) else fence
        elif opening := FENCE.match(text):
            blocks.append(line)
            fence, joint = opening[0], ""
        elif not text:
            joint = ""
        elif joint == ("\n" if _is_row(line) else " ") and not BEGINNING.match(text):
            blocks[-1] += joint + text
        else:
            blocks.append(line)
            joint = "" if text.startswith("#") else "\n" if _is_row(line) else " "
    return blocks


def _align(before: Sequence[str], after: Sequence[str]) -> list[Paragraph]:
    pairs = _pair(before, after)
    # Both paragraphs of a pair have the same name, so difflib finds those that kept their order.
    names = [pairs.get(j, -1 - j) for j in range(len(after))]
    aligned: list[Paragraph] = []
    for tag, a, b, c, d in SequenceMatcher(None, range(len(before)), names).get_opcodes():
        if tag != "equal":
            gone = set(range(a, b)).difference(pairs.values())
            aligned += [Paragraph(before[i], "") for i in sorted(gone)]
        aligned += [
            Paragraph(
                before[pairs[j]] if j in pairs else "", after[j], tag != "equal" and j in pairs
            )
            for j in range(c, d)
        ]
    return aligned


def _pair(before: Sequence[str], after: Sequence[str]) -> dict[int, int]:
    """Returns the index in `before` for each index in `after` whose paragraph has an older form."""
    pairs: dict[int, int] = {}
    # Indexes of the paragraphs that have no equal, each with its stretch of changes.
    lost: dict[int, int] = {}
    found: dict[int, int] = {}
    for place, code in enumerate(SequenceMatcher(None, before, after).get_opcodes()):
        tag, a, b, c, d = code
        if tag == "equal":
            pairs |= zip(range(c, d), range(a, b), strict=True)
        else:
            lost |= dict.fromkeys(range(a, b), place)
            found |= dict.fromkeys(range(c, d), place)
    words = {i: _words(before[i]) for i in lost}
    where = defaultdict(list)
    for i in lost:
        for key in words[i] | _names(before[i]):
            where[key].append(i)
    scores = []
    for j, place in found.items():
        new_words = _words(after[j])
        rare = [where[key] for key in new_words | _names(after[j]) if len(where[key]) <= COMMON]
        for i in {i for places in rare for i in places}:
            shared = 2 * len(words[i] & new_words) / (len(words[i]) + len(new_words))
            score = shared + SAME_PLACE * (lost[i] == place)
            if score >= SIMILAR or (_is_row(after[j]) and _names(before[i]) & _names(after[j])):
                scores.append((-score, j, i))
    for _, j, i in sorted(scores):
        if j not in pairs and i in lost:
            pairs[j] = i
            del lost[i]
    return pairs


def _words(text: str) -> set[str]:
    return {word for word in WORD_OR_SIGN.findall(text) if word[0].isalnum()}


def _names(text: str) -> set[str]:
    """Returns what identifies a paragraph even if its other words are new.

    That is a row's first cell, a table's heading row, or the first line of anything else.
    """
    if not re.search(r"\w", text):
        return set()
    first, *others = text.split("\n")
    return {first if others or not _is_row(first) else first.split("|")[1].strip() + "|"}


def _is_row(line: str) -> bool:
    return line.lstrip().startswith("|")

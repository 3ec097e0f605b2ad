"""What is new in a draft: which paragraphs changed, moved or went, and which of their words."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

SIMILAR = 0.5  # the share of common words at which two paragraphs are one that was changed
SAME_PLACE = 0.1  # added to that share between the same two unchanged paragraphs
# Paragraphs; a word in more of them does not tell which one it is.
COMMON = 20
LONG = 4_000  # words of a paragraph, old and new: to compare more would take seconds

FENCE = re.compile(r"`{3,}|~{3,}")
# A list's item, a quotation and a heading begin a paragraph without a blank line before them.
BEGINNING = re.compile(r"#{1,6}\s|>|[-*+]\s|\d+[.)]\s")
# The vowel signs of Hebrew, Arabic, India, Thailand and Laos, and accents, which \w leaves out.
SIGNS = (
    r"\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
    r"\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece"
)
# Thai, Lao, Chinese and Japanese have no spaces between words: a letter counts as one.
LETTERS = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = re.compile(
    rf"[{LETTERS}][{SIGNS}]*|(?:\d+(?:[.,]\d+)*|[^\W\d{LETTERS}])(?:[^\W{LETTERS}]|[{SIGNS}])*|\s+|."
)

# "" marks words of both drafts, "-" deleted and "+" new ones, and "note" what is said about them.
Part = tuple[str, str]


@dataclass
class Paragraph:
    """A paragraph, table or code block, or a line of one, in both drafts.

    `old` is "" for a new one, and `new` is "" for a deleted one.
    """

    old: str
    new: str
    moved: bool = False


def compare(old: str, new: str) -> list[Paragraph]:
    """Returns the paragraphs of the new draft, and the deleted ones where they stood."""
    return _align(_split(old), _split(new))


def summarize(paragraphs: Sequence[Paragraph]) -> str:
    """Such as "6 of 51 paragraphs changed, 1 new, 1 moved, 2 deleted"."""

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


def describe(paragraphs: Iterable[Paragraph], what: str = "paragraph") -> Iterator[list[Part]]:
    """Yields what to show of each changed paragraph, and one line for those between them."""
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
    """Returns the words of both texts in order."""
    before, after = WORD.findall(old), WORD.findall(new)
    if len(before) + len(after) > LONG:
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
    """The words of a paragraph. Of a table or a code block, only the changed lines."""
    old, new = paragraph.old.split("\n"), paragraph.new.split("\n")
    if paragraph.old == paragraph.new or min(len(old), len(new)) == 1:
        return compare_words(paragraph.old, paragraph.new)
    if not _is_row(new[0]):
        return _join(describe(_align(old, new), "line"))
    headings = compare_words(old[0], new[0])
    return _join([headings, *describe(_align(_rows(old), _rows(new)), "row")])


def _join(lines: Iterable[list[Part]]) -> list[Part]:
    return [part for line in lines for part in (*line, ("", "\n"))][:-1]


def _rows(table: Sequence[str]) -> list[str]:
    """Those below the headings, without the rule between."""
    return [row for row in table[1:] if re.search(r"\w", row)]


def _split(markdown: str) -> list[str]:
    """The paragraphs, each on one line, and tables and code blocks with their lines."""
    blocks: list[str] = []
    fence, joint = "", ""  # what ends the code block, and what joins a line to the block before
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
    # With one name for both of a pair, difflib tells which have kept their order.
    names = [pairs.get(j, -1 - j) for j in range(len(after))]
    aligned: list[Paragraph] = []
    for tag, a, b, c, d in SequenceMatcher(None, range(len(before)), names).get_opcodes():
        aligned += [
            Paragraph(
                before[pairs[j]] if j in pairs else "", after[j], tag != "equal" and j in pairs
            )
            for j in range(c, d)
        ]
        if tag != "equal":
            gone = set(range(a, b)).difference(pairs.values())
            aligned += [Paragraph(before[i], "") for i in sorted(gone)]
    return aligned


def _pair(before: Sequence[str], after: Sequence[str]) -> dict[int, int]:
    """For each paragraph of `after` that was in `before`, perhaps in other words, where it was."""
    pairs: dict[int, int] = {}
    lost: dict[int, int] = {}  # paragraphs that are not there as they were, and between which two
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
    return {word for word in WORD.findall(text) if word[0].isalnum()}


def _names(text: str) -> set[str]:
    """What a paragraph is known by if all other words of it are new.

    Itself; a row's first cell; a table's heading row.
    """
    if not re.search(r"\w", text):
        return set()
    first, *others = text.split("\n")
    return {first if others or not _is_row(first) else first.split("|")[1].strip() + "|"}


def _is_row(line: str) -> bool:
    return line.lstrip().startswith("|")

"""Prepares a draft for print: detects its languages, and replaces what no font has.

After this, every character can be printed, and every stretch has its language.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from markdown_it.token import Token

from beyond.markdown import Draft, get_words
from beyond.pdf.fonts import RIGHT_TO_LEFT, choose_families, find_family
from beyond.pdf.languages import detect_language, find_stretches, may_be_english

PLAIN = re.compile("[\0\n -~]*")
INVISIBLE = re.compile(  # joiners outside of the scripts that need them, and variation selectors
    "(?<![\u0600-\u0dff])[\u200c\u200d]|[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
KEPT = "\0\n\u200c\u200d\u00ad"  # the end of a part, the line break, the joiners, the soft hyphen
# No note goes over the edge of these: a link, for one, would lose where it leads.
SEPARATE = {"link_open", "link_close", "image", "code_inline"}
BREAKS = {"softbreak", "hardbreak"}
TAB = 4  # columns of a tab in code
NO_SIGNS = {"Cc", "Cf", "Zs", "Zl", "Zp"}  # Unicode categories of invisible characters
BLANKS = {"Zs": " ", "Zl": "\n", "Zp": "\n"}
RARE_HAN = "\U00020000"  # a note gives the code point of letters from here on, to look up


class Prepared(NamedTuple):
    """A draft that the fonts can print."""

    tokens: list[Token]  # `meta` of a text has its `language`, if that is not the draft's
    lines: list[str]  # of the source, unchanged
    title: str
    language: str  # a tag; "und" if it is unknown
    english: bool  # whether it is English, or too short to tell
    rtl: bool  # whether most letters run from right to left

    def cite(self, numbers: Iterable[int]) -> str:
        """The source of some lines, in printable characters."""
        return make_printable("\n".join(self.lines[n] for n in numbers).expandtabs(TAB))

    @property
    def opening(self) -> str:
        """The first line that has words."""
        lines = (get_words(token) or token.content.strip() for token in self.tokens)
        return next(filter(None, lines), "").partition("\n")[0]


def prepare(draft: Draft) -> Prepared:
    """The draft in printable characters, with its languages and its direction."""
    words = "\n".join(token.content for token in draft.tokens)
    language = detect_language(words)
    rtl = len(RIGHT_TO_LEFT.findall(words)) * 2 > sum(map(str.isalpha, words))
    tokens = [_prepare_token(token, language) for token in draft.tokens]
    english = may_be_english(words, language)
    return Prepared(tokens, draft.lines, make_printable(draft.title), language, english, rtl)


def _prepare_token(token: Token, language: str) -> Token:
    if not token.children:
        content = make_printable(token.content.expandtabs(TAB))
        return token if content == token.content else token.copy(content=content)
    children: list[Token] = []
    for is_separate, group in groupby(token.children, lambda child: child.type in SEPARATE):
        for part in ([child] for child in group) if is_separate else [list(group)]:
            children += _prepare_part(part, language)
    return token if children == token.children else token.copy(children=children)


def _prepare_part(part: Sequence[Token], language: str) -> Iterator[Token]:
    """Some children of a line. A note may go over their texts, looks and breaks."""
    if all(PLAIN.fullmatch(child.content) for child in part):
        yield from part
        return
    texts = _make_printable(["\n" if child.type in BREAKS else child.content for child in part])
    for child, text in zip(part, texts, strict=True):
        if child.type not in BREAKS:
            yield from _split_languages(child, text, language)
        elif text:  # a break within a note is gone
            yield child


def _split_languages(child: Token, text: str, language: str) -> Iterator[Token]:
    """A child of a line, with its printable text, in stretches of one language each."""
    meta, end = child.meta, 0
    for start, stop, tag in find_stretches(text, language) if child.type == "text" else ():
        if start > end:
            yield child.copy(content=text[end:start], meta=meta)
        yield child.copy(content=text[start:stop], meta={**meta, "language": tag})
        end, meta = stop, {key: meta[key] for key in meta if key != "anchor"}
    if end < len(text) or not end:
        yield child.copy(content=text[end:], meta=meta)


def make_printable(text: str) -> str:
    """The text without invisible characters, and with notes for what no font has.

    A note is a code point, or names the script, as in "[5 characters of Khmer script]".
    """
    [made] = _make_printable([text])
    return made


def _make_printable(texts: Sequence[str]) -> list[str]:
    """The parts of a line made printable. A note that goes over several is in the first of them."""
    text = "\0".join([part.replace("\0", "") for part in texts])
    if not PLAIN.fullmatch(text):
        text = INVISIBLE.sub("", unicodedata.normalize("NFC", text.replace("\t", " ")))
        found = {char: _find_replacement(char) for char in set(text)}
        if missing := "".join(sorted(char for char in found if found[char] is None)):
            some = f"[{re.escape(missing)}]"
            # One note for a run of such letters and the blanks and signs between them.
            text = re.sub(rf"{some}(?:[\W_]*{some})*", lambda match: _note(match[0]), text)
        text = "".join([found.get(char, char) or "" for char in text])
    return text.split("\0")


def _find_replacement(char: str) -> str | None:
    """What is printed for a character; None for a letter that no font has."""
    kind = unicodedata.category(char)
    if char in KEPT:
        return char
    if kind not in ("Cc", "Cf", "Co", "Zl") and find_family(char, choose_families(char)):
        return char
    if kind in NO_SIGNS:
        return BLANKS.get(kind, "")
    return None if kind[0] in "LMNP" and char < RARE_HAN else f"[U+{ord(char):04X}]"


def _note(letters: str) -> str:
    """The note for letters that no font has."""
    script = unicodedata.name(letters[0], "unknown").split()[0].capitalize()
    ends = letters.count("\0")
    number = sum(not char.isspace() for char in letters) - ends
    return f"[{number} character{'s' * (number > 1)} of {script} script]" + "\0" * ends

# ruff: noqa: RUF001
"""Finds where lines may break in a text without spaces.

Chinese and Japanese break between any two characters, but not before a closing mark or after an
opening one; Thai breaks between words; Lao, without a dictionary, breaks between letters and never
between a letter and its vowel signs.
"""

import re
from functools import cache, lru_cache
from typing import Any

PORTION = 1_000  # characters; a longer word is data, and is measured in portions
HAN_KANA = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
)
HAN = re.compile(f"[{HAN_KANA}]")
OPENING, OPENING_QUOTES = "〈《「『【〔〖（［｛", "“‘"
CLOSING = (
    "、。〉》」』】〕〗！），．：；？］｝ー…・々"
    + "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶゝゞヽヾ"
)
CLOSING_QUOTES = "”’"
PIECE = re.compile(
    rf"[{OPENING}{OPENING_QUOTES}]*[{HAN_KANA}][{CLOSING}{CLOSING_QUOTES}]*"
    rf"|[ກ-ຮ][ະ-ຽ່-໎]*|[^{HAN_KANA}{OPENING}{CLOSING}ກ-ຮ]+[{CLOSING}]*|."
)
THAI_LETTERS = re.compile("([ก-ฺเ-๎]+)")
UNSPACED = re.compile(f"[{HAN_KANA}{OPENING}{CLOSING}ก-ฮเ-ไກ-ຮ]")
# A line may break before and after these, unless BEGINNINGS or ENDS forbids it. Both have straight
# quotes, which do not tell whether they open or close.
BREAKABLE = re.compile(f"[{HAN_KANA}{CLOSING}ก-ฮเ-ไກ-ຮ]")
BEGINNINGS = f"{OPENING}{OPENING_QUOTES}([{{«‹„‚$€£¥\"'"
ENDS = f"{CLOSING}{CLOSING_QUOTES})]}}»›,.;:!?%‰ฯๆ\"'"
HYPHENS = re.compile(r".*?[^\W\d_][-–—]+(?=[^\W\d_])|.+", re.DOTALL)


def split_pieces(token: str) -> list[str]:
    """Split a text without spaces into pieces, between which a line may break."""
    if len(token) > PORTION:  # as each break in a word measures the rest of it again
        portions = (token[start : start + PORTION] for start in range(0, len(token), PORTION))
        return [piece for portion in portions for piece in split_pieces(portion)]
    if token.isascii():
        return HYPHENS.findall(token) if "-" in token[1:-1] else [token]
    if UNSPACED.search(token):
        if THAI_LETTERS.search(token):
            return [
                piece for stretch in THAI_LETTERS.split(token) for piece in _split_thai(stretch)
            ]
        return PIECE.findall(token)
    return HYPHENS.findall(token)


@lru_cache(2_000)
def _split_thai(stretch: str) -> list[str]:
    """Split a stretch of Thai into words, by Google's BudouX model, or one of another script."""
    if not THAI_LETTERS.match(stretch):
        return PIECE.findall(stretch)
    return list(_get_thai_parser().parse(stretch))


@cache
def _get_thai_parser() -> Any:
    import budoux  # here, because few drafts need it

    return budoux.load_default_thai_parser()


def may_break(before: str, piece: str) -> bool:
    """Whether a line may end between a text and a piece that follows it without a space."""
    last = before[-1:]
    loose = BREAKABLE.match(piece) or (last and BREAKABLE.match(last))
    return bool(loose) and piece[0] not in ENDS and (not last or last not in BEGINNINGS)

"""Mends emphasis where CommonMark gets it wrong: beside Chinese, and marks without a pair."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token

# What follows asterisks that are text, as in "**p<0.05", "**kwargs" and "**/*.py".
LITERAL = re.compile(r"\s*p\s*[<≤=]|kwargs\b|/")
POWER = re.compile(r"[A-Za-z0-9)]\**(?:[A-Za-z0-9]|-[0-9])")  # "x**y", "10**-3", with or without **
SPACE_OR_BRACKET = re.compile(r"[\s(（“「]")  # noqa: RUF001 - after one of these, a mark does not close


def judge_marks(tokenize: Callable[[StateInline, bool], bool]) -> Callable[..., bool]:
    """Wrap a rule of emphasis: of two marks such as **, the first opens and the second closes.

    CommonMark decides by the characters beside a mark. That fails beside Chinese punctuation, for
    "**Costs: ** 120" and for "**one****two**".
    """

    def judge(state: StateInline, silent: bool) -> bool:
        start, known = state.pos, len(state.delimiters)
        if not tokenize(state, silent):
            return False
        made, length = state.delimiters[known:], state.pos - start
        if made and length in (2, 4) and state.src[start] != "_":
            _judge_mark(state, made, start)
        elif not any(delimiter.open or delimiter.close for delimiter in made):
            del state.delimiters[known:]  # or each later mark would be compared with them
        return True

    return judge


def _judge_mark(state: StateInline, made: list[Delimiter], start: int) -> None:
    """Decide whether the mark from `start` to `state.pos` opens, closes, or does both."""
    above = islice(reversed(state.delimiters), len(made), None)
    before = next((d for d in above if d.marker == made[0].marker), None)
    pending = before is not None and before.open
    sides = state.src[max(0, start - 1) : start], state.src[state.pos : state.pos + 1]
    half = len(made) // 2
    double = state.pos - start == 2
    is_text = double and not pending and _is_operator(state, start)
    for number, delimiter in enumerate(made):
        if is_text:
            delimiter.open = delimiter.close = False
        elif not all(side.strip() for side in sides):
            continue  # CommonMark is right
        elif double:
            delimiter.open, delimiter.close = not pending, pending
        elif pending:  # **one****two**
            delimiter.open, delimiter.close = number >= half, number < half


def _is_operator(state: StateInline, start: int) -> bool:
    """Whether a mark is text, as in "2**10 and **kwargs": it may be, and no mark closes it."""
    if not (POWER.match(state.src, start - 1) or LITERAL.match(state.src, state.pos)):
        return False
    closing = state.src.find(state.src[start : state.pos], state.pos)
    if closing < 0:
        return True
    between = state.src[state.pos : closing]
    return not between.isalnum() and bool(
        SPACE_OR_BRACKET.match(between[-1]) or POWER.match(state.src, closing - 1)
    )


@dataclass
class _LoneMark:
    """A mark without its pair."""

    places: list[int]  # its indexes in the list of delimiters, one for each character
    sign: str
    length: int  # characters in the source, of which some may be paired
    around: int  # the index of the delimiter that opens the emphasis around it, or -1
    before: str  # the text before it: "" if it begins the text, "\n" if it begins a line
    after: str  # the text after it

    @property
    def begins(self) -> bool:
        return self.before in ("", "\n")

    @property
    def spaces(self) -> tuple[bool, bool]:
        """Whether it has a space, or nothing, before it and after it."""
        return not self.before[-1:].strip(), not self.after[:1].strip()

    def pairs_with(self, other: "_LoneMark") -> bool:
        """Whether this one opens what the other closes, as in "**Risk: **high"."""
        same = len(self.places) == self.length == len(other.places) == other.length > 1
        opens = self.spaces == (True, False) or (
            self.spaces == (True, True) and (self.begins or other.spaces == (False, True))
        )
        alike = (self.sign, self.around) == (other.sign, other.around)
        named = self.sign == "_" and not self.begins
        return same and opens and alike and not named and not LITERAL.match(self.after)

    def is_meant(self) -> bool:
        """Whether the mark is text: a power, a footnote's star, a name such as __init."""
        if self.sign == "_":
            return not self.begins
        beside = self.before.strip() or self.after.strip()
        return (
            self.length == 1
            or (self.spaces == (True, True) and beside != "")
            or self.before[-1:].isdecimal()
            or LITERAL.match(self.after) is not None
            or POWER.match((self.before[-1:] or " ") + self.after[:2]) is not None
        )


def mend_lone_marks(state: StateInline) -> None:
    """A rule for marks without a pair, which CommonMark would print.

    Two of them become a pair, as in "**Risk: **high". Others are removed, unless they are text.
    """
    metas = [meta["delimiters"] for meta in state.tokens_meta if meta and "delimiters" in meta]
    for delimiters in [state.delimiters, *metas]:
        lone = _find_lone_marks(state.tokens, delimiters)[::-1]
        while lone:
            mark = lone.pop()
            if lone and mark.pairs_with(lone[-1]):
                for first, last in zip(mark.places, reversed(lone.pop().places), strict=True):
                    delimiters[first].end = last
            elif not mark.is_meant():
                for place in mark.places:
                    state.tokens[delimiters[place].token].content = ""


def _find_lone_marks(tokens: list[Token], delimiters: list[Delimiter]) -> list[_LoneMark]:
    closing = {delimiter.end for delimiter in delimiters}
    found: list[_LoneMark] = []
    around = [-1]
    for place, delimiter in enumerate(delimiters):
        if place in closing:
            around.pop()
        elif delimiter.end >= 0:
            around.append(place)
        elif chr(delimiter.marker) in "*_":
            after = _find_text(tokens, delimiter.token, 1)
            joined = place and delimiters[place - 1].token == delimiter.token - 1
            if found and joined and found[-1].places[-1] == place - 1:
                found[-1].places.append(place)
                found[-1].after = after
                continue
            before = _find_text(tokens, delimiter.token, -1)
            sign, length = chr(delimiter.marker), delimiter.length or 0
            found.append(_LoneMark([place], sign, length, around[-1], before, after))
    return found


def _find_text(tokens: list[Token], index: int, step: int) -> str:
    """The text next to a token; "\\n" at the end of a line."""
    index += step
    while 0 <= index < len(tokens):
        if tokens[index].type.endswith("break"):
            return "\n"
        if tokens[index].content:
            return tokens[index].content
        index += step
    return ""

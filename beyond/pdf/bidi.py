"""Orders the parts of a line that has text in both directions."""

import unicodedata
from itertools import groupby

from beyond.pdf.parts import Part

MIRRORED = str.maketrans("()[]{}<>«»‹›", ")(][}{><»«›‹")  # noqa: RUF001
BRACKETS = {")": "(", "]": "[", "}": "{"}


def reorder(parts: list[Part], rtl: bool) -> list[Part]:
    """Return the parts of a line as they are painted, from left to right.

    `rtl` is the paragraph's direction. This is the Unicode Bidirectional Algorithm in brief; the
    functions name its rules as in Unicode Standard Annex 9.
    """
    base = "R" if rtl else "L"
    kinds = [part.direction for part in parts]
    _direct_digits(kinds, base)
    _pair_brackets(parts, kinds, base)
    _direct_neutrals(kinds, base)
    shown = list(map(_mirror, parts, kinds))
    runs = [
        (backwards, [part for part, _ in run])
        for backwards, run in groupby(zip(shown, kinds, strict=True), lambda one: one[1] != "L")
    ]
    ordered: list[Part] = []  # L2
    for backwards, run in reversed(runs) if rtl else runs:
        ordered += reversed(run) if backwards else run
    return ordered


def _direct_digits(kinds: list[str], base: str) -> None:
    """Give digits the direction of letters from left to right that are before them (W7)."""
    strong = base
    for number, kind in enumerate(kinds):
        if kind in "LR":
            strong = kind
        elif kind == "D" and strong == "L":
            kinds[number] = "L"


def _pair_brackets(parts: list[Part], kinds: list[str], base: str) -> None:
    """Give pairs of brackets the direction of what they enclose (N0)."""
    open_at: list[int] = []
    for number, part in enumerate(parts):
        if kinds[number] != "N":
            continue
        if part.source in BRACKETS.values():
            open_at.append(number)
        elif part.source in BRACKETS:
            while open_at and parts[open_at[-1]].source != BRACKETS[part.source]:
                open_at.pop()
            if not open_at:
                continue
            start = open_at.pop()
            inside = {"L" if kind == "L" else "R" for kind in kinds[start:number] if kind != "N"}
            if base in inside:
                kinds[start] = kinds[number] = base
            elif inside:
                before = next((k for k in reversed(kinds[:start]) if k != "N"), base)
                kinds[start] = kinds[number] = base if before == base else next(iter(inside))


def _direct_neutrals(kinds: list[str], base: str) -> None:
    """Give what has no direction that of both its sides, or else the paragraph's (N1 and N2)."""
    before, start = base, 0
    for kind, group in groupby([*kinds]):
        end = start + len(list(group))
        if kind == "N":
            after = kinds[end] if end < len(kinds) else base
            sides = {"L" if side == "L" else "R" for side in (before, after)}
            kinds[start:end] = [sides.pop() if len(sides) == 1 else base] * (end - start)
        before, start = kind, end


def _mirror(part: Part, kind: str) -> Part:
    """The part with its brackets turned around, if it runs from right to left (L4)."""
    if kind == "L" or part.direction != "N":
        return part
    return part._replace(shown=part.shown.translate(MIRRORED))


def is_rtl(text: str) -> bool:
    """Whether the first letter of a text belongs to a script that is written from right to left."""
    kinds = map(unicodedata.bidirectional, text)
    return next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L"

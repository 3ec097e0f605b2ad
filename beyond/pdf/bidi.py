"""Orders the parts of a line that has text in both directions."""

import unicodedata

from beyond.pdf.words import Part

MIRRORED = str.maketrans("()[]{}<>«»‹›", ")(][}{><»«›‹")  # noqa: RUF001
BRACKETS = {")": "(", "]": "[", "}": "{"}


def reorder(parts: list[Part], rtl: bool) -> list[Part]:
    """Return the parts of a line as they are painted, from left to right.

    `rtl` is the paragraph's direction. This is the Unicode Bidirectional Algorithm in brief; the
    comments name its rules as in Unicode Standard Annex 9.
    """
    base = "R" if rtl else "L"
    kinds = [part.direction for part in parts]
    strong = base
    for number, kind in enumerate(kinds):
        if kind in "LR":
            strong = kind
        elif kind == "D" and strong == "L":
            kinds[number] = "L"  # W7
    _pair_brackets(parts, kinds, base)
    number = 0
    while number < len(kinds):  # N1 and N2
        end = number
        while end < len(kinds) and kinds[end] == "N":
            end += 1
        before = kinds[number - 1] if number else base
        after = kinds[end] if end < len(kinds) else base
        sides = {"L" if side == "L" else "R" for side in (before, after)}
        kinds[number:end] = [sides.pop() if len(sides) == 1 else base] * (end - number)
        number = end + 1
    runs: list[tuple[bool, list[Part]]] = []
    for kind, part in zip(kinds, parts, strict=True):
        backwards = kind != "L"
        if backwards and part.direction == "N" and isinstance(part.shown, str):
            part = part._replace(shown=part.shown.translate(MIRRORED))  # L4
        if runs and runs[-1][0] == backwards:
            runs[-1][1].append(part)
        else:
            runs.append((backwards, [part]))
    ordered: list[Part] = []  # L2
    for backwards, run in reversed(runs) if rtl else runs:
        ordered += reversed(run) if backwards else run
    return ordered


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


def is_rtl(text: str) -> bool:
    """Whether the first letter of a text belongs to a script that is written from right to left."""
    kinds = map(unicodedata.bidirectional, text)
    return next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L"

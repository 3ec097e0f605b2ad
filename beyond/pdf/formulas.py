"""Turns LaTeX into vector paths, with ziamath."""

import logging
import re
import xml.etree.ElementTree as ET
from functools import lru_cache
from typing import Any

from beyond.pdf.fonts import CJK, choose_families, find_family, get_face
from beyond.pdf.paint import color
from beyond.pdf.parts import INK

LENGTH_LIMIT = 3_000  # characters; what is longer than a page is not a formula
# Characters, doubled for each level of nesting around them, because ziamath's time doubles, too. A
# continued fraction of four levels has 300, a page of equations 9,000.
EFFORT_LIMIT = 10_000
SIZE_SCALE = 1.08  # STIX looks smaller than FiraGO
# Commands that ziamath does not know, and their equivalents.
REWRITTEN = (
    (re.compile(r"\\(?:label|nonumber|notag)\b\s*(?:\{[^{}]*\})?"), ""),
    (re.compile(r"\\(?:begin|end)\{(?:equation|multline|gather)\*?\}"), ""),
    (re.compile(r"\\(begin|end)\{(?:split|aligned|eqnarray\*?|flalign\*?)\}"), r"\\\1{align*}"),
    (re.compile(r"\\(begin|end)\{align\}"), r"\\\1{align*}"),
    (re.compile(r"\\(?:d|t)frac\b"), r"\\frac"),
    (re.compile(r"\\operatorname\*?(?=\{)"), r"\\mathrm"),
    (re.compile(r"\\(?:left|right)\\(?=[|])"), r"\\"),
    (re.compile(r"\\(?:textbf|textit|textrm|texttt|mbox|textsf)\{"), r"\\text{"),
    (re.compile(r"\\coloneqq\b"), ":="),
    (re.compile(r"\\(?:bm|boldsymbol)\b"), r"\\mathbf"),
    (
        re.compile(
            r"\\(?:middle|bigl|bigr|Bigl|Bigr|biggl|biggr|big|Big|bigg|Bigg)(?=[|()\[\]\\./])"
        ),
        "",
    ),
)
# ziamath makes a large sign as tall as the fraction beside it, unless braces enclose it.
LARGE = re.compile(
    r"\\(i{1,3}nt|oint|sum|(?:co)?prod|big(?:cup|cap|vee|wedge|sqcup|uplus|oplus|otimes|odot))"
    r"(?![A-Za-z])(?!\s*\\limits)(?:\s*\\nolimits(?![A-Za-z]))?"
)
# This sign reserves the place of characters that the formula font lacks. No other outline has these
# SVG operators, by which the code finds it. Its width and the left, right and bottom edge of its
# outline are in ems.
STAND_IN, STAND_IN_SHAPE = "\u232d", "MLLLLQQQQLLLLLQQQQQLZMLQQQQQQQQQQQQZ"
STAND_IN_WIDTH, STAND_IN_LEFT, STAND_IN_RIGHT, STAND_IN_DEPTH = 1.009, 0.056, 0.953, 0.09
MATH_SIGNS = re.compile(r"\A(?:\\\(|\\\[|\$\$?)|(?:\\\)|\\\]|\$\$?)\Z")
LEVEL = re.compile(r"\\(?:left|right|begin|end)\b|\\.|[{}]", re.DOTALL)
DOWN, UP = ("{", r"\left", r"\begin"), ("}", r"\right", r"\end")
NUMBERED = re.compile(r"\\tag\*?\{([^{}]*)\}")

Shape = list[tuple[str, list[float]]]  # a path: canvas methods, each with its coordinates

log = logging.getLogger(__name__)


class Formula:
    """A formula whose base line begins at (0, 0). All lengths are in points.

    `box` is its width, ascent and descent. `source` is its LaTeX.
    """

    kind = "Formula"

    def __init__(self, shapes: list[Shape], box: tuple[float, float, float], source: str) -> None:
        self.shapes, self.source = shapes, source
        self.width, self.ascent, self.descent = box

    def shrink_to(self, width: float, height: float) -> "Formula":
        """The formula, made smaller if it is larger than a width or a height."""
        factor = min(width / self.width, height / max(1.0, self.ascent + self.descent))
        if factor >= 1:
            return self
        shapes = [
            [(op, [n * factor for n in numbers]) for op, numbers in path] for path in self.shapes
        ]
        box = self.width * factor, self.ascent * factor, self.descent * factor
        return Formula(shapes, box, self.source)

    def draw(self, canvas: Any, x: float, y: float) -> None:
        """Paint the formula with its base line beginning at (x, y)."""
        path = canvas.beginPath()
        for shape in self.shapes:
            for op, n in shape:
                points = [(y - v if i % 2 else x + v) for i, v in enumerate(n)]
                getattr(path, op)(*points)
        canvas.setFillColor(color(INK))
        canvas.drawPath(path, stroke=0, fill=1, fillMode=1)


@lru_cache(500)
def set_formula(source: str, size: float, displayed: bool) -> Formula | None:
    """Set a formula, given with its delimiters, in a size in points; None if it cannot be set.

    `displayed` is whether it is on a separate line, where it may be as tall as it needs.
    """
    tex = MATH_SIGNS.sub("", source.strip()).strip()
    if not tex or len(tex) > LENGTH_LIMIT or _measure_effort(tex) > EFFORT_LIMIT:
        return None
    import ziamath  # noqa: F401  # loads slowly; not in `try`, so that its absence is an error

    for pattern, replacement in REWRITTEN:
        tex = pattern.sub(replacement, tex)
    if not displayed:
        tex = LARGE.sub(r"{\\\1}", tex)
    try:
        return _set_latex(NUMBERED.sub("", tex), size * SIZE_SCALE, displayed, source)
    except Exception as error:  # any kind: ziamath does not say what it raises
        log.info("A formula is left as LaTeX (%s: %s)", type(error).__name__, error)
        return None


def _measure_effort(tex: str) -> int:
    """The length of a formula in characters, doubled for each level of nesting around them."""
    effort, depth, position = 0, 0, 0
    for found in LEVEL.finditer(tex):
        effort += (found.end() - position) << depth
        position = found.end()
        if effort > EFFORT_LIMIT:
            break
        if found[0] in DOWN:
            depth += 1
        elif found[0] in UP:
            depth = max(0, depth - 1)
    return effort + ((len(tex) - position) << depth)


def find_number(source: str) -> str:
    """The number of a displayed formula in parentheses, or ""."""
    found = NUMBERED.search(source)
    return f"({found[1]})" if found else ""


def _set_latex(tex: str, size: float, displayed: bool, source: str) -> Formula | None:
    import ziamath.zmath
    from ziafont.config import config

    config.svg2 = False  # each path in its place, rather than symbols and references to them
    math = ziamath.zmath.Latex(tex, size=size, inline=not displayed)
    letters = "".join(math.mathml.itertext())
    if "\\" in letters:  # a command that ziamath does not know
        return None
    signs = [c for c in letters if (c.isalpha() or CJK.match(c)) and not math.font.glyphindex(c)]
    if signs:  # only CJK characters can be drawn one by one: other scripts need shaping
        known = all(CJK.match(c) and find_family(c, choose_families(c)) for c in signs)
        if STAND_IN in tex or not known:
            return None
        tex = "".join(STAND_IN if char in signs else char for char in tex)
        math = ziamath.zmath.Latex(tex, size=size, inline=not displayed)
    box = math.node.bbox
    if box.xmax <= box.xmin:  # nothing but spaces
        return None
    canvas = ET.Element("svg")
    math.node.draw(-box.xmin, 0, canvas)
    shapes: list[Shape] = []
    for element in canvas.iter():
        if element.tag == "path":
            path = element.attrib["d"]
            if signs and re.sub("[^A-Z]", "", path) == STAND_IN_SHAPE:
                path = _draw_sign(signs.pop(0), path)
            shapes.append(_read_path(path))
        elif element.tag == "rect":
            shapes += _draw_rectangle(element)
        elif element.tag not in ("svg", "g"):
            return None
    return None if signs else Formula(shapes, (box.xmax - box.xmin, box.ymax, -box.ymin), source)


def _draw_sign(sign: str, path: str) -> str:
    """The outline of a sign in the place of the stand-in's. Both are SVG paths."""
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    left, right, bottom = min(numbers[::2]), max(numbers[::2]), max(numbers[1::2])
    em = (right - left) / (STAND_IN_RIGHT - STAND_IN_LEFT)
    face = get_face(find_family(sign, choose_families(sign)))
    x = left + em * ((STAND_IN_WIDTH - face.measure_text(sign, 1)) / 2 - STAND_IN_LEFT)
    return face.draw(sign, x, bottom - em * STAND_IN_DEPTH, em)


def _draw_rectangle(element: ET.Element) -> list[Shape]:
    """A filled rectangle of an SVG, or the four lines around one that is not filled."""
    x, y, w, h = (float(element.attrib[key]) for key in ("x", "y", "width", "height"))
    areas = [(x, y, w, h)]
    if element.get("fill") == "none":
        line = float(element.get("stroke-width", "0.5"))
        areas = [(x, y, w, line), (x, y + h - line, w, line)]
        areas += [(x, y, line, h), (x + w - line, y, line, h)]
    return [
        _read_path(f"M{x},{y}L{x + w},{y}L{x + w},{y + h}L{x},{y + h}Z") for x, y, w, h in areas
    ]


def _read_path(description: str) -> Shape:
    """An SVG path of absolute M, L, Q, C and Z. Q becomes a cubic curve, as PDF has no other."""
    out: Shape = []
    at = [0.0, 0.0]
    for op, arguments in re.findall(r"([A-Za-z])([^A-Za-z]*)", description):
        n = [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", arguments)]
        if op == "M":
            out.append(("moveTo", n))
        elif op == "L":
            out.append(("lineTo", n))
        elif op == "Q":
            (x0, y0), (x1, y1, x2, y2) = at, n
            curve = [x0 + (x1 - x0) * 2 / 3, y0 + (y1 - y0) * 2 / 3]
            out.append(
                ("curveTo", [*curve, x2 + (x1 - x2) * 2 / 3, y2 + (y1 - y2) * 2 / 3, x2, y2])
            )
        elif op == "C":
            out.append(("curveTo", n))
        elif op == "Z":
            out.append(("close", []))
            continue
        else:
            raise ValueError(f"unknown path operator {op}")
        at = n[-2:]
    return out

"""Formulas: where they stand on the page, and which are set."""

from itertools import pairwise
from typing import Any

import pytest
from pages import find, pieces, place, read, texts

from beyond.pdf.formulas import set_formula
from beyond.pdf.parts import BODY
from beyond.pdf.text import HEIGHT, WIDTH


def test_a_formula_stands_on_the_base_line_and_can_be_searched() -> None:
    draft = r"Let \( x_0 \sim q(x) \) be it."
    [text] = texts(draft)
    assert r"Let \( x_0 \sim q(x) \) be it." in " ".join(text.split())
    assert place(draft, "Let")[1] == place(draft, "be it.")[1]


def test_a_formula_within_a_line_pushes_lines_apart_only_where_they_would_touch() -> None:
    def widest(formula: str) -> float:
        draft = f"{'word ' * 30}{formula} {'word ' * 30}"
        lines = sorted({y for text, _, y, _ in pieces(read(draft).pages[0]) if "word" in text})
        return max(above - below for below, above in pairwise(lines))

    for formula in (
        *(
            r"$x_i^2$",
            r"$\frac{a}{b}$",
            r"$\int_0^T f\,dt$",
            r"$\sqrt{x}$",
            r"$\sum_i \frac{a}{b}$",
        ),
        *(r"$\prod_p \frac{a}{b}$", r"$\bigcup_i A$", r"$\displaystyle\int_0^T f\,dt$"),
    ):
        assert widest(formula) == pytest.approx(BODY * 1.42)
    matrix = r"$\begin{pmatrix} a \\ b \\ c \\ d \end{pmatrix}$"
    made = set_formula(matrix, BODY, False)
    assert made and widest(matrix) > max(made.ascent, made.descent) + BODY / 5


def test_a_displayed_formula_is_centred_with_its_number() -> None:
    made = set_formula(r"$$x = \frac{a}{b} \tag{7}$$", BODY, True)
    assert made and made.ascent > BODY and made.descent > 0
    x, _, _ = place(r"$$x = \frac{a}{b} \tag{7}$$", r"$$x = \frac{a}{b} \tag{7}$$")
    assert 72 + WIDTH / 3 < x < 72 + WIDTH / 2
    assert "(7)" in texts(r"$$x = \frac{a}{b} \tag{7}$$")[0]
    wide = set_formula("$$" + "+".join("abcdefghijklm" * 6) + "$$", BODY, True)
    assert (
        wide and wide.width > WIDTH and wide.shrink_to(WIDTH, HEIGHT).width == pytest.approx(WIDTH)
    )


def test_all_formulas_are_set_however_many_a_draft_has() -> None:
    blanks = " " * 150  # take up characters, and no time
    draft = "\n\n".join(f"Level {n}: $E_{{{n}}} = {blanks} x$" for n in range(70))
    root: Any = read(draft).trailer["/Root"]
    assert len(draft) > 10_000
    assert len(find(root["/StructTreeRoot"]["/K"], "Formula")) == 70


@pytest.mark.parametrize(
    "source",
    [
        r"$\mymacro{x}_i$",
        r"$\frac{a}{$",
        "$$\\unknown\\foo_1$$",
        r"\(\text{دقة}\)",
        r"\[ x ^ \]",
    ],
)
def test_a_formula_that_cannot_be_set_is_printed_as_latex(source: str) -> None:
    assert set_formula(source, BODY, False) is None
    assert "".join(source.split()) in "".join(texts(f"before {source} after")[0].split())


@pytest.mark.parametrize(
    "source",
    [
        *(r"$\begin{cases} a & b \\ c & d \end{cases}$", r"$\begin{bmatrix} a & b \end{bmatrix}$"),
        *(
            r"$\begin{aligned} a &= b \\ &= c \end{aligned}$",
            r"$\sum_{i=1}^{n} i$",
            r"$\mathbb{E}$",
        ),
        *(
            "\\begin{align}\na &= b \\\\\n&= c\n\\end{align}",
            "\\begin{equation}\nx\n\\end{equation}",
        ),
        *(
            r"$\operatorname{softmax}(x)$",
            r"$\hat{\mu} \pm 1.96\,\frac{\sigma}{\sqrt{n}}$",
            r"$\dfrac{1}{2}$",
        ),
        *(
            r"$\left\| x \right\|^2$",
            r"$\text{if } x > 0$",
            r"$5\%$",
            r"$\$1{,}628$",
            r"$\boxed{x}$",
        ),
        *(
            r"\(\text{准确率} = \frac{真}{总}、x^{上}_{下} + \text{가격} は\)",
            r"$\boldsymbol{x}$",
            r"$\big( x \big)$",
            r"$\underbrace{a}_{n}$",
            r"$\vec{v} \cdot \dot{x}$",
        ),
    ],
)
def test_formulas_that_models_write_are_set(source: str) -> None:
    assert set_formula(source, BODY, False)


def test_punctuation_stays_with_a_displayed_formula() -> None:
    text = "".join(texts("So\n\\[ x = 1 \\].\nThen go on.")[0].split())
    assert text.endswith(r"So\[x=1\].Thengoon.")

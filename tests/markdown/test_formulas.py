"""Formulas, and dollars and brackets that are not formulas."""

import pytest
from reading import children, formulas, lines


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        (r"Let \( x_0 \sim q(x_0) \) and \(a*b*c\).", [r"\( x_0 \sim q(x_0) \)", r"\(a*b*c\)"]),
        ("\\[\nx = y\n- z\n= w\n\\]", ["\\[\nx = y\n- z\n= w\n\\]"]),
        (r"$E=mc^2$, $\frac{a}{b}$ and $$x_1$$", ["$E=mc^2$", r"$\frac{a}{b}$", "$$x_1$$"]),
        ("$$\na \\\\\n\\_b\n$$", ["$$\na \\\\\n\\_b\n$$"]),
        ("> $$\n> a\n> + b\n> $$", ["$$\na\n+ b\n$$"]),
        ("1. x\n\n   $$\n   a\n   $$\n\n2. y", ["$$\n   a\n   $$"]),
        ("|a|\n|-|\n|$P(A|B)$|", ["$P(A|B)$"]),
        (
            "\\begin{align}\na &= b \\\\\n&= c\n\\end{align}",
            ["\\begin{align}\na &= b \\\\\n&= c\n\\end{align}"],
        ),
        ("**$a_1$** and _$b_1$_", ["$a_1$", "$b_1$"]),
        ("the $i$th of $n$", ["$i$", "$n$"]),
        ("Prices such as $5 and $10, US$20, $5-$10/day or $1.2B ($3.4B).", []),
        ("From $50k to $60k; 5$ and 6$; $20 or 30$.", []),
        (r"\$5 and \$6; \[1\], \[x\] and \[see\]", []),
        ("`$x$` and ``$y$``\n\n```sh\necho $A $B \\(x\\)\n```", []),
        ("    $indented$ code", ["$indented$"]),
        ("$HOME/$PATH", []),
        ("From $GDP$ and $TP$: x", ["$GDP$", "$TP$"]),
    ],
)
def test_formulas_are_found_and_prices_are_not_formulas(markdown: str, expected: list[str]) -> None:
    assert formulas(markdown) == expected


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("`$x$` and \\(y\\)", ["$x$ and \\(y\\)"]),
        ("```sh\necho $A$ \\(x\\)\n```", ["echo $A$ \\(x\\)"]),
        ("    x = $a$", ["x = $a$"]),
        ("\\[1\\] and 5\\$", ["[1] and 5$"]),
        ("[a $x$](https://x.org/$y$)", ["a $x$"]),
        ("\U000f0000 $x$", ["\ufffd $x$"]),
    ],
)
def test_code_addresses_and_escapes_keep_their_dollars(markdown: str, expected: list[str]) -> None:
    assert lines(markdown) == expected


def test_addresses_keep_their_dollars() -> None:
    found = children("[a](https://x.org/$y_1$?b=c d$z_1$) https://x.org/?a=$k_1&b=$v_1")
    assert [child.attrs["href"] for child in found if child.type == "link_open"] == [
        "https://x.org/$y_1$?b=c%20d$z_1$",
        "https://x.org/?a=$k_1&b=$v_1",
    ]

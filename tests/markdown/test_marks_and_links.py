"""Bold marks and links that CommonMark would print as they are typed."""

from itertools import pairwise

import pytest
from reading import children, lines, spell_out


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("**注意：**请先保存。", ["注意："]),  # noqa: RUF001
        ("报告写道**“先试点”**再推广，并建议**（二）培训**。", ["“先试点”", "（二）培训"]),  # noqa: RUF001
        ("これは**「要点」**です。", ["「要点」"]),
        ("第二点**第一（注）**在前", ["第一（注）"]),  # noqa: RUF001
        ("これは**太字。**です", ["太字。"]),
        ("이것은 **단어(설명)**입니다", ["단어(설명)"]),
        ("**Note:**do this first", ["Note:"]),
        ("- **Costs: ** 120", ["Costs: "]),
        ("**a** b **c** and 2 ** 3 ** 4", ["a", "c"]),
    ],
)
def test_marks_beside_punctuation_make_text_bold(markdown: str, expected: list[str]) -> None:
    found = children(markdown)
    bold = [b.content for a, b in pairwise(found) if a.type == "strong_open"]
    assert bold == expected


def test_bare_addresses_are_links_and_file_names_are_not() -> None:
    draft = "see https://x.org/a_b?c=(d). or www.y.org, not report.md or a.py"
    hrefs = [child.attrs["href"] for child in children(draft) if child.type == "link_open"]
    assert hrefs == ["https://x.org/a_b?c=(d)", "http://www.y.org"]


@pytest.mark.parametrize(
    ("before", "address", "after"),
    [
        ("", "https://x.org/a", "，另见"),  # noqa: RUF001
        ("来源：", "https://x.org/a_(b)", "。"),  # noqa: RUF001
        ("（见 ", "https://x.org/a", "）"),  # noqa: RUF001
        ("（", "https://x.org/日本", "）。"),  # noqa: RUF001
        ("출처: 「", "https://x.org/?a=b&c=d", "」"),
        ("参照", "http://x.org/", " です"),
        ("(见：", "https://x.org/a", ".)"),  # noqa: RUF001
    ],
)
def test_addresses_beside_wide_punctuation_are_links(before: str, address: str, after: str) -> None:
    texts = [(child.type, child.content) for child in children(before + address + after)]
    assert [text for kind, text in texts if kind == "text"] == [
        *filter(None, [before]),
        address,
        after,
    ]
    assert [kind for kind, _ in texts].count("link_open") == 1


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("- **A sentence that never closes.", "A sentence that never closes."),
        ("- **Risk: **high", "<b>Risk: </b>high"),
        ("- __Risk: __high", "<b>Risk: </b>high"),
        ("- ** Risk ** high", "<b> Risk </b> high"),
        ("**Costs (EUR)**: 5 **Gains: 6", "<b>Costs (EUR)</b>: 5 Gains: 6"),
        ("**One. Next **bold** word", "One. Next <b>bold</b> word"),
        ("a ** b** c", "a <b> b</b> c"),
        ("Risk:** high", "Risk: high"),
        ("**Risk:****high** and ~~a~~~~b~~", "<b>Risk:</b><b>high</b> and ab"),
        ("***Never closes", "Never closes"),
        ("__Never closes", "Never closes"),
        ("**Risk:* high", "<i>Risk:</i> high"),
        ("***Risk:** high", "<b>Risk:</b> high"),
        ("**Risk:*** high", "<b>Risk:</b> high"),
        ("**a** **", "<b>a</b> "),
        ("- **", ""),
        ("## **A heading", "A heading"),
        ("> **A quote", "A quote"),
        ("**`code` never", "code never"),
        ("**see [it](https://x.org)", "see (https://x.org|it)"),
        ("[**see](https://x.org) **it**", "(https://x.org|see) <b>it</b>"),
        ("![**A figure](a.png)", "A figure"),
        ("报告写道**先试点再推广。", "报告写道先试点再推广。"),
        ("**“引用”没有结束", "“引用”没有结束"),
    ],
)
def test_marks_that_are_never_closed_are_not_printed(markdown: str, expected: str) -> None:
    assert spell_out(markdown) == [expected]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("(a+b)**2 (**bold** text)", "(a+b)**2 (<b>bold</b> text)"),
        ("2**10（**重点**）", "2**10（<b>重点</b>）"),  # noqa: RUF001
        ("**Risk: **high and a ** b", "<b>Risk: </b>high and a ** b"),
        ("占GDP**2.5%**，**GDP**2.5%", "占GDP<b>2.5%</b>，<b>GDP</b>2.5%"),  # noqa: RUF001
        ("CO**2** and know**led**ge", "CO<b>2</b> and know<b>led</b>ge"),
        ("**kwargs and args:** these", "<b>kwargs and args:</b> these"),
        ("~~p = 3~~ and **p < 0.05** and 2**3", "p = 3 and <b>p < 0.05</b> and 2**3"),
    ],
)
def test_bold_words_beside_asterisks_that_are_text_stay_bold(markdown: str, expected: str) -> None:
    assert spell_out(markdown) == [expected]


def test_marks_that_no_cell_closes_are_not_printed() -> None:
    assert lines("|**a|b**|\n|-|-|\n|**c|*d|") == ["a", "b", "c", "*d"]


@pytest.mark.parametrize(
    "markdown",
    [
        *("2 ** 3", "2**10", "0.35** and 0.4***", "**p<0.05, ***p<0.01", "f(*args, **kwargs)"),
        *(
            "the __init of a class",
            "*Note that never closes",
            "5 * 3",
            "Price* and *VAT",
            "Stars: ****",
        ),
        *("2**10 and **kwargs and a ** b", "x**2 + y**2 = z**2", "10**-3 to 10**-6", "x**-1"),
        *("f(**kwargs) and (a+b)**2", "src/**/*.ts", "0.35 ** and 0.2 *", "** Estimated"),
    ],
)
def test_asterisks_and_underscores_that_are_text_are_printed(markdown: str) -> None:
    assert spell_out(markdown) == [markdown]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        (
            "[a lamp](https://x.org/?q=brass lamp&p=2) b",
            "(https://x.org/?q=brass%20lamp&p=2|a lamp) b",
        ),
        ("[a](https://x.org/b c 'Title') d", "(https://x.org/b%20c|a) d"),
        ('[a](https://x.org "a "b" c") d', "(https://x.org|a) d"),
        ("[a](<https://x.org/b c>) d", "(https://x.org/b%20c|a) d"),
        ("[a](https://x.org/b_(c d)) e", "(https://x.org/b_(c%20d)|a) e"),
        (
            "[a](https://x.org/b_(c) d [e](https://y.org)",
            "(https://x.org/b_(c|a) d (https://y.org|e)",
        ),
        ("[a](#two words) b", "(#two%20words|a) b"),
        ("[a](file:///two words) b", "(file:///two%20words|a) b"),
        ("[a](https://x.org/b", "(https://x.org/b|a)"),
        ("[a](https://x.org/b and c", "(https://x.org/b|a) and c"),
        ("[a](x.org/b c) [d](doi:10.1/e f)", "(x.org/b%20c|a) (doi:10.1/e%20f|d)"),
        ("see [1](and so on) and [2](note: none)", "see [1](and so on) and [2](note: none)"),
        ("[a [b] c](https://x.org/d e)", "(https://x.org/d%20e|a [b] c)"),
        ("![a b](https://x.org/c d.png) e", "a b e"),
        ("a](https://x.org) b", "a ((https://x.org|https://x.org)) b"),
        ("|[a|b](https://x.org)|\n|-|-|", "[a"),
        ("handlers[name](one two)", "handlers[name](one two)"),
    ],
)
def test_links_with_spaces_or_without_an_end_are_read_as_links(
    markdown: str, expected: str
) -> None:
    found = spell_out(markdown)
    assert found[0] == expected
    assert "](" not in "".join(found[1:])


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("[[1](#a) **Title**](https://x.org)", "(#a|1)(https://x.org| <b>Title</b>)"),
        ("[[1]](https://x.org)", "(https://x.org|[1])"),
        ("[a [b](#b) c](https://x.org)", "(https://x.org|a )(#b|b)(https://x.org| c)"),
        ("[[a](#a)](https://x.org)", "(#a|a)"),
        ("[a [b [c](#c)](#b)](#a)", "(#a|a )(#b|b )(#c|c)"),
        ("[**a [b](#b)**](#c)", "(#c|<b>a </b>)(#b|<b>b</b>)"),
        ("**[a [b](#b)](#c)** d", "(#c|<b>a </b>)(#b|<b>b</b>) d"),
        ("[![a](b.png)](https://x.org)", "(https://x.org|a)"),
    ],
)
def test_a_link_within_a_link_splits_it(markdown: str, expected: str) -> None:
    assert spell_out(markdown) == [expected]
    depth = 0
    for child in children(markdown):
        depth += child.nesting if child.tag == "a" else 0
        assert depth in (0, 1)


@pytest.mark.parametrize(
    "address",
    [
        *("data:image/png;base64,iVBORw0KGgo=", "data:image/svg+xml;base64,PHN2Zz4="),
        "data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg'><path d='M(1 2)'/></svg>",
    ],
)
def test_embedded_pictures_are_replaced_by_their_description(address: str) -> None:
    draft = f"![A chart]({address}) and so on"
    assert lines(draft) == ["A chart and so on"]
    assert not [child for child in children(draft) if "data:" in str(child.attrs)]


def test_embedded_pictures_in_running_text_are_not_printed() -> None:
    address = "data:image/png;base64,iVBORw0KGgo/a+b="
    assert lines(f"A chart: {address} with $x$, `{address}`") == [f"A chart:  with $x$, {address}"]

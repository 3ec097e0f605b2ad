"""How a draft is mended before it is parsed, and what is shown as source."""

from textwrap import indent

import pytest
from reading import kinds, lines

from beyond import markdown as drafts

WRAPPED = "# Title\n\nText with `code`.\n\n```sql\nSELECT 1;\n```\n\n- end"


@pytest.mark.parametrize(
    "draft",
    [
        pytest.param(f"```markdown\n{WRAPPED}\n```", id="fence"),
        pytest.param(f"```md\n{WRAPPED}\n```\n", id="short name"),
        pytest.param(f"\n```\n{WRAPPED}\n```", id="no name"),
        pytest.param(f"````markdown\n{WRAPPED}\n````", id="long fence"),
        pytest.param(f"~~~markdown\n{WRAPPED}\n~~~", id="tildes"),
        pytest.param(f"    {WRAPPED}".replace("\n", "\n    "), id="spaces"),
        pytest.param(f"\t{WRAPPED}".replace("\n", "\n\t"), id="tabs"),
        pytest.param(WRAPPED.replace("\n", "\n    "), id="all but the first line"),
        pytest.param("```markdown\n" + indent(WRAPPED, "    ") + "\n```", id="both"),
        pytest.param(WRAPPED.replace("\n", "\r\n"), id="Windows"),
    ],
)
def test_a_fence_or_indent_around_a_whole_draft_is_removed(draft: str) -> None:
    assert lines(draft) == ["Title", "Text with code.", "SELECT 1;", "end"]
    assert drafts.read(draft).title == "Title"


def test_a_fence_around_a_draft_is_removed_even_after_a_sentence() -> None:
    draft = f"Here is the report:\n\n```markdown\n{WRAPPED}\n```\n\nLet me know!"
    assert lines(draft) == [
        *("Here is the report:", "Title", "Text with code.", "SELECT 1;", "end", "Let me know!"),
    ]


@pytest.mark.parametrize(
    "draft",
    [
        pytest.param("```python\nx = 1\n```", id="code"),
        pytest.param("```\nx = 1\n```", id="no name"),
        pytest.param("text\n\n    code\n\ntext", id="indented code"),
        pytest.param("# T\n\n```\na\n```\n\nb\n\n```\nc\n```", id="two fences"),
    ],
)
def test_code_keeps_its_fences_and_indents(draft: str) -> None:
    assert {"fence", "code_block"} & set(kinds(draft))


@pytest.mark.parametrize(
    "draft",
    [
        pytest.param("|a|b|\n|-|-|\n" + "|c|d|\n" * 15_000, id="cells"),
        pytest.param("word\n\n" * 15_001, id="lines"),
        pytest.param("[" * 10_001, id="brackets"),
        pytest.param("*a " * 40_001, id="marks"),
    ],
)
def test_drafts_beyond_the_limits_become_code(draft: str) -> None:
    assert kinds(draft) == ["fence"]
    assert drafts.read(draft).tokens[0].content == draft.rstrip("\n") + "\n"


def test_long_paragraphs_and_deep_nesting_become_code() -> None:
    assert kinds("before\n\n" + "word " * 8_001)[3:] == ["fence"]
    assert "code_block" in kinds("> " * 60 + "deep")
    assert "deep" in lines("> " * 60 + "deep")[-1]


@pytest.mark.parametrize(
    ("markdown", "rows"),
    [
        ("|A|B|\n|-|-|\n|1|2|up|\n|3|4|", ["AB", "12up", "34"]),
        ("|A|B|\n|-|-|\n\n|1|2|\n\n|3|4|", ["AB", "12", "34"]),
        ("A|B\n-|-\n1|2|3", ["AB", "123"]),
        ("|A|B|\n|-|-|\n|`int | None`|2|\n|`a|b|\n", ["AB", "`int | None`2", "`ab"]),
        ("|P|US|\n|-|-|\n|S|$30|R$ 150|\n|$P(A|B)$|$x$|", ["PUS", "S$30R$ 150", "$P(A|B)$$x$"]),
    ],
)
def test_tables_keep_all_cells(markdown: str, rows: list[str]) -> None:
    found: list[str] = []
    for token in drafts.read(markdown).tokens:
        if token.type == "tr_open":
            found.append("")
        found[-1:] = [found[-1] + token.content] if token.type == "inline" else found[-1:]
    assert found == rows


def test_a_line_of_text_below_a_table_is_not_a_row() -> None:
    found = kinds("|a|\n|-|\n|b|\n*Source: own work*\n- item")
    assert found.count("tr_open") == 2
    assert found[found.index("table_close") :][1:4:2] == ["paragraph_open", "paragraph_close"]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        (
            '---\ntitle: "T"\nauthor: A\ndate: 2026-11-25\ntags: [a, b]\n---\n\n# T\n\nx',
            ["T", "A · 2026-11-25", "x"],
        ),
        (
            "a\ue200cite\ue202turn0\ue201 b 【12†source】. :contentReference[oaicite:0]{index=0}",
            ["a b."],
        ),
        ("`【1†s】` 🥇 Gold", ["【1†s】 1 Gold"]),
        ("##标题\n\n#tag", ["标题", "#tag"]),
        ("[TOC]\n\n## Costs {#costs}\n\n{#costs}", ["Costs", "{#costs}"]),
        ("A seat is $60+ a month, or some R$ 330.", ["A seat is $60+ a month, or some R$ 330."]),
    ],
)
def test_front_matter_becomes_a_title_and_citation_marks_are_removed(
    markdown: str, expected: list[str]
) -> None:
    assert [line.rstrip() for line in lines(markdown)] == expected

"""What a draft says once it is read, and that the terminal and the PDF say the same."""

import io
import json
import re
import unicodedata
from itertools import pairwise
from pathlib import Path
from textwrap import indent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it.token import Token
from pypdf import PdfReader
from rich.console import Console

from beyond import markdown as drafts
from beyond import pdf
from beyond.terminal.markdown import set_markdown

GREEN, RED, AMBER = "#1a7f37", "#c62828", "#b7791f"


def lines(markdown: str) -> list[str]:
    """What a draft says, line by line."""
    found: list[str] = []
    for token in drafts.read(markdown).tokens:
        if token.type in ("fence", "code_block"):
            found += token.content.splitlines()
        elif token.type == "inline":
            text = "".join(
                {"hardbreak": "\n", "softbreak": " "}.get(child.type, child.content)
                for child in token.children or []
            )
            found += text.split("\n")
    return found


def kinds(markdown: str) -> list[str]:
    return [token.type for token in drafts.read(markdown).tokens]


def children(markdown: str) -> list[Token]:
    return [
        child for token in drafts.read(markdown).tokens for child in token.children or [] if token
    ]


def marks(markdown: str) -> list[str]:
    return [token.meta["mark"] for token in drafts.read(markdown).tokens if "mark" in token.meta]


def formulas(markdown: str) -> list[str]:
    return [child.content for child in children(markdown) if child.meta.get("formula")]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("## 🚀 Growth Drivers", ["Growth Drivers"]),
        ("Up 4x 📈 since 2019 🎉", ["Up 4x since 2019"]),
        ("Great 👍🏽, thanks 👩‍🚀!", ["Great, thanks!"]),
        ("**🎯 Goal:** 1️⃣ first, 🔟 tenth, #️⃣", ["Goal: 1. first, 10. tenth, #"]),
        ("🇩🇪 24%, 🇯🇵, 🏴󠁧󠁢󠁳󠁣󠁴󠁿", ["DE 24%, JP, GB-SCT"]),
        ("⭐⭐⭐ 👉 ⏳ ❓ ™️ ©", ["★★★ → ⌛ ? ™ ©"]),
        ("❤️ Python ☀ ✈", ["♥ Python ☀ ✈"]),
        ("|a|b|\n|-|-|\n|🔥🔥|📈|", ["a", "b", "fire fire", "↗"]),
        ("- 🐝\n- 🐝 bees", ["honeybee", "bees"]),
        ("🎯 Result: 🎉", ["Result: party popper"]),
        ("**Result:** 🎉🚀", ["Result: party popper rocket"]),
        ("🎯 Goals:\nbees", ["Goals: bees"]),
        ("👩🏽‍💻", ["woman, personal computer"]),
        ("[🔗](https://x.org) more", ["link symbol more"]),
        ('`"🚀"` stays', ['"🚀" stays']),
        ("```\nprint('✅ 🚀')\n```", ["print('✅ 🚀')"]),
    ],
)
def test_an_emoji_is_a_sign_or_nothing_or_words(markdown: str, expected: list[str]) -> None:
    assert lines(markdown) == expected


@pytest.mark.parametrize(
    ("emoji", "sign", "color"),
    [
        ("✅", "✔", GREEN),
        ("✔️", "✔", GREEN),
        ("✔", "✔", GREEN),
        ("❌", "✘", RED),
        ("⚠️", "⚠", AMBER),
        ("🟢", "●", GREEN),
        ("🔴", "●", RED),
        ("⭐", "★", AMBER),
    ],
)
def test_a_sign_has_its_colour(emoji: str, sign: str, color: str) -> None:
    for markdown in (f"{emoji} done", f"|{emoji}|\n|-|"):
        [found] = [child for child in children(markdown) if child.content == sign]
        assert found.meta["color"] == color


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("H<sub>2</sub>O, x<sup>2</sup>, <kbd>Ctrl</kbd>", ["H2O, x2, Ctrl"]),
        ("a <b>bold</b> <i>i</i> <u>u</u> <span style='x'>s</span>", ["a bold i u s"]),
        ("one<br>two<BR/>three", ["one", "two", "three"]),
        ("Vec<String>, Map<K, V> and <your-key>", ["Vec<String>, Map<K, V> and <your-key>"]),
        ("if a<b then c>d", ["if a<b then c>d"]),
        ("`<b>` and `H<sub>2</sub>O`", ["<b> and H<sub>2</sub>O"]),
        ("<code>x &lt; y</code> &amp; z", ["x < y & z"]),
        ("a <!-- hidden --> b", ["a  b"]),
        ("<!-- hidden -->\n\nb", ["b"]),
        ("<div>\n<p>One <b>two</b></p>\n<p>Three</p>\n</div>", ["One two", "Three"]),
        ("<h2>Title</h2>\n\ntext", ["Title", "text"]),
        ("<ul>\n<li>One</li>\n<li>Two</li>\n</ul>", ["One", "Two"]),
        ("|a|\n|-|\n|<ul><li>x</li><li>y</li></ul>|", ["a", "• x", "• y"]),
        ("<pre><code>if (a &lt; b) {\n  *x*\n}</code></pre>", ["if (a < b) {", "  *x*", "}"]),
        (
            "<table>\n<tr><th>A</th><th>B</th></tr>\n<tr><td>1</td><td>2</td></tr>\n</table>",
            ["A", "B", "1", "2"],
        ),
        (
            "<details>\n<summary>Plan</summary>\n\n1. one\n\n</details>\n\nend",
            ["Plan", "one", "end"],
        ),
        ("<details><summary>P</summary>\nright **here**\n</details>", ["P", "right here"]),
    ],
)
def test_html_is_what_it_means(markdown: str, expected: list[str]) -> None:
    assert lines(markdown) == expected
    assert not {"html_block", "html_inline"} & set(kinds(markdown))


def test_a_summary_is_bold_and_a_list_is_one() -> None:
    found = kinds("<details>\n<summary>Plan</summary>\n\n- one\n\n</details>")
    assert found[:4] == ["paragraph_open", "inline", "paragraph_close", "bullet_list_open"]
    opening, _, closing = children("<details>\n<summary>Plan</summary>\n\n</details>")
    assert (opening.type, closing.type) == ("strong_open", "strong_close")


def test_footnotes_become_a_section_linked_both_ways() -> None:
    draft = "RAG[^meta], again[^meta] and[^b].\n\n[^b]: Second.\n[^meta]: *First*.\n[^c]: Unused."
    assert lines(draft) == [
        *("RAG[1], again[1] and[2].", "First.\xa0↩", "Second.\xa0↩", "Unused."),
    ]
    metas = [child.meta for child in children(draft)]
    goals = {meta["goto"] for meta in metas if "goto" in meta}
    assert goals == {"note 1", "note 2", "cited note 1", "cited note 2"}
    assert goals <= {meta["anchor"] for meta in metas if "anchor" in meta}


def test_footnotes_stay_under_the_heading_that_a_draft_has_for_them() -> None:
    assert lines("a[^1]\n\n## Sources\n\n[^1]: b") == ["a[1]", "Sources", "b\xa0↩"]


@pytest.mark.parametrize(
    "sources",
    [
        "[1] One\n[2] Two",
        "[1]: One\n[2]: Two",
        "[1] One\n\n[2] Two",
        "1. One\n2. Two",
        "**Sources**\n[1] One\n[2] Two",
    ],
)
def test_a_source_and_what_cites_it_lead_to_each_other(sources: str) -> None:
    draft = f"A [1], b [1, 2] and `[1]`.\n\n## Sources\n\n{sources}"
    assert lines(draft)[-2:] == ["One\xa0↩", "Two\xa0↩"]
    goals = [child.meta.get("goto") for child in children(draft) if child.meta.get("goto")]
    assert goals == [*("source 1", "source 1", "source 2"), "cited source 1", "cited source 2"]
    anchors = {child.meta["anchor"] for child in children(draft) if "anchor" in child.meta}
    assert set(goals) == anchors
    assert marks(draft) == marks(f"[2]\n\n{sources}") == ["[1]", "[2]"]


def test_a_source_keeps_its_number_if_one_before_it_is_missing() -> None:
    draft = "As in [1] and [5].\n\n## Sources\n\n[1] One\n[2] Two\n[5] Five"
    assert marks(draft) == ["[1]", "[2]", "[5]"]


@pytest.mark.parametrize(
    "markdown",
    [
        "As in [1].\n\n[1] says so, and no list follows.",
        "1. one\n2. two\n\nAn array has x[3] and y[7].",
        "See [1](https://x.org) and [2](https://y.org).",
        "- [ ] open\n- [x] done",
    ],
)
def test_a_number_in_brackets_without_a_source_is_text(markdown: str) -> None:
    assert not [child for child in children(markdown) if "goto" in child.meta]
    assert not [token for token in drafts.read(markdown).tokens if "sources" in token.meta]


def test_a_task_has_a_box_and_an_alert_a_title() -> None:
    assert lines("- [ ] one\n- [x] two\n- [X] three") == ["☐ one", "☑ two", "☑ three"]
    assert lines("[ ] no task") == ["[ ] no task"]
    assert lines("> [!NOTE]\n> Mind *this*.") == ["Note", "Mind this."]
    assert lines("> [!warning] Own title\n> Text") == ["Own title", "Text"]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("hard\nwrapped prose", ["hard wrapped prose"]),
        ("[1] One\n[2] Two", ["One", "Two"]),
        ("Points:\n• one\n• two", ["Points:", "• one", "• two"]),
        ("**Author:** A\n**Date:** B", ["Author: A", "Date: B"]),
        ("**Author**: A\n**Date**: B", ["Author: A", "Date: B"]),
        ("Name: Jane\nPhone: 555", ["Name: Jane", "Phone: 555"]),
        ("✅ one\n✅ two", ["✔ one", "✔ two"]),
        ("x = 1\n(2) y = 2", ["x = 1", "(2) y = 2"]),
        ("see\n$$x$$\nwhere", ["see", "$$x$$", "where"]),
        ("Term\n: its definition", ["Term", "its definition"]),
        ("It is **bold**\nand goes on", ["It is bold and goes on"]),
        ("**Title** 🏭\nText", ["Title", "Text"]),
        ("one\n────────\ntwo", ["one", "────────", "two"]),
        ("+---+\n| a |\n+---+", ["+---+", "| a |", "+---+"]),
        (
            "see[1][2]\n\n[1]: https://x.org\n[2]: https://y.org",
            [
                "see[1][2]",
                "https://x.org\xa0↩",
                "https://y.org\xa0↩",
            ],
        ),
        ("[a][1]x\n\n[1]:\nhttps://x.org", ["ax"]),
    ],
)
def test_a_line_that_is_one_stays_one(markdown: str, expected: list[str]) -> None:
    assert lines(markdown) == expected


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
    ],
)
def test_a_formula_is_kept_from_markdown_and_prices_are_none(
    markdown: str, expected: list[str]
) -> None:
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
def test_what_looks_like_a_formula_is_shown_as_it_stands(
    markdown: str, expected: list[str]
) -> None:
    assert lines(markdown) == expected


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
def test_a_draft_is_unwrapped(draft: str) -> None:
    assert lines(draft) == ["Title", "Text with code.", "SELECT 1;", "end"]
    assert drafts.read(draft).title == "Title"


def test_a_fence_around_the_draft_goes_even_with_a_sentence_before_it() -> None:
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
def test_code_is_not_unwrapped(draft: str) -> None:
    assert {"fence", "code_block"} & set(kinds(draft))


def test_markdown_that_is_shown_keeps_the_fences_in_it() -> None:
    draft = "# T\n\n```markdown\n# Inner\n\n```sh\nls\n```\n\nrest\n```\n\nafter"
    assert lines(draft) == ["T", "# Inner", "", "```sh", "ls", "```", "", "rest", "after"]


@pytest.mark.parametrize(
    "draft",
    [
        pytest.param("|a|b|\n|-|-|\n" + "|c|d|\n" * 15_000, id="cells"),
        pytest.param("word\n\n" * 15_001, id="lines"),
        pytest.param("[" * 10_001, id="brackets"),
        pytest.param("*a " * 40_001, id="marks"),
    ],
)
def test_a_draft_beyond_the_limits_is_code(draft: str) -> None:
    assert kinds(draft) == ["fence"]
    assert drafts.read(draft).tokens[0].content == draft.rstrip("\n") + "\n"


def test_a_paragraph_beyond_the_limit_and_deep_nesting_are_code() -> None:
    assert kinds("before\n\n" + "word " * 8_001)[3:] == ["fence"]
    assert "code_block" in kinds("> " * 60 + "deep")
    assert "deep" in lines("> " * 60 + "deep")[-1]


def test_a_bare_address_is_a_link_and_a_file_is_none() -> None:
    draft = "see https://x.org/a_b?c=(d). or www.y.org, not report.md or a.py"
    hrefs = [child.attrs["href"] for child in children(draft) if child.type == "link_open"]
    assert hrefs == ["https://x.org/a_b?c=(d)", "http://www.y.org"]


BOTH = """\
# 🚀 Title with `code`

Water is H<sub>2</sub>O ✅, 🎉 and Vec<T>. See[^1] $x$5 or [text](https://x.org), https://y.org.
**Author:** Jane
**Date:** today

- [x] done
- [ ] open
  1. nested **bold**

> [!TIP]
> quoted

| Left | Right |
|:-----|------:|
| ⏳ | 🇩🇪 1 |

<details>
<summary>More</summary>

hidden ~~text~~

</details>

```python
print("✅")
```

[^1]: The note.
"""


def words(text: str) -> list[str]:
    """The words of a text, whatever stands between them."""
    return re.findall(r"[^\W_]+|[✔☑☐⌛★]", unicodedata.normalize("NFKC", text))


def on_screen(markdown: str) -> str:
    """What a terminal shows of a draft."""
    printed = io.StringIO()
    Console(file=printed, width=90, height=999).print(set_markdown(markdown))
    return printed.getvalue()


def test_the_terminal_and_the_pdf_say_the_same() -> None:
    pages = PdfReader(io.BytesIO(pdf.render(BOTH))).pages
    text = " ".join(page.extract_text() for page in pages)
    text = re.sub(r"^Research Report|\d+ /\s*\d+$", "", text.strip())
    shown = re.sub(r"\(https://x.org\)", "", on_screen(BOTH))  # for the eye
    assert "".join(words(text)).replace("1.", "1") == "".join(words(shown)).replace("1.", "1")


def test_no_entity_reorders_or_redraws_the_terminal() -> None:
    draft = "a&#x202e;b <a href='x&#x202e;y'>c</a>\n\n<pre>d&#x202e;&#27;[2J</pre>\n\n`e`"
    shown = on_screen(draft)
    assert not re.search("[\x1b\u202e]", shown)
    assert "".join(words(shown)) == "abcxyd2Je"


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text("#>-*_`~[]()!|<b/>&;:1. \t\n\\aé$🚀✅^0"))
def test_tokens_stay_balanced(draft: str) -> None:
    read = drafts.read(draft)
    depth = 0
    for token in read.tokens:
        depth += token.nesting
        assert depth >= 0
    assert depth == 0
    for before, after in pairwise(read.tokens):
        assert before.type != "paragraph_open" or after.type == "inline"


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("**注意：**请先保存。", ["注意："]),  # noqa: RUF001
        ("报告写道**“先试点”**再推广，并建议**（二）培训**。", ["“先试点”", "（二）培训"]),  # noqa: RUF001
        ("これは**「要点」**です。", ["「要点」"]),
        ("**Note:**do this first", ["Note:"]),
        ("- **Costs: ** 120", ["Costs: "]),
        ("**a** b **c** and 2 ** 3 ** 4", ["a", "c"]),
    ],
)
def test_bold_text_is_what_its_author_meant(markdown: str, expected: list[str]) -> None:
    found = children(markdown)
    bold = [b.content for a, b in pairwise(found) if a.type == "strong_open"]
    assert bold == expected


@pytest.mark.parametrize(
    ("markdown", "rows"),
    [
        ("|A|B|\n|-|-|\n|1|2|up|\n|3|4|", ["AB", "12up", "34"]),
        ("|A|B|\n|-|-|\n\n|1|2|\n\n|3|4|", ["AB", "12", "34"]),
        ("A|B\n-|-\n1|2|3", ["AB", "123"]),
        ("|P|US|\n|-|-|\n|S|$30|R$ 150|\n|$P(A|B)$|$x$|", ["PUS", "S$30R$ 150", "$P(A|B)$$x$"]),
    ],
)
def test_no_cell_of_a_table_is_lost(markdown: str, rows: list[str]) -> None:
    found: list[str] = []
    for token in drafts.read(markdown).tokens:
        if token.type == "tr_open":
            found.append("")
        found[-1:] = [found[-1] + token.content] if token.type == "inline" else found[-1:]
    assert found == rows


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        (
            '---\ntitle: "T"\nauthor: A\ndate: 2026-11-25\n---\n\n# T\n\nx',
            ["T", "A · 2026-11-25", "x"],
        ),
        ("<think>\nhm\n</think>\n\n# T", ["T"]),
        (
            "a\ue200cite\ue202turn0\ue201 b 【12†source】. :contentReference[oaicite:0]{index=0}",
            ["a b."],
        ),
        ("`【1†s】` 🥇 Gold", ["【1†s】 1 Gold"]),
        ("##标题\n\n#tag", ["标题", "#tag"]),
        ("A seat is $60+ a month, or some R$ 330.", ["A seat is $60+ a month, or some R$ 330."]),
    ],
)
def test_what_is_no_text_of_the_report_goes(markdown: str, expected: list[str]) -> None:
    assert [line.rstrip() for line in lines(markdown)] == expected


CASES = json.loads((Path(__file__).parent / "cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[str(number) for number in range(len(CASES))])
def test_no_case_prints_marks_or_data(case: dict[str, str]) -> None:
    shown = "".join(lines(case["markdown"]))
    assert not re.search(r"\*\*|##|base64|\|", shown)
    assert not formulas(case["markdown"])

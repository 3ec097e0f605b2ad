"""The text of a draft: emoji, HTML and line breaks."""

import pytest
from reading import children, kinds, lines

GREEN, RED, AMBER = "#1a7f37", "#c62828", "#b7791f"
PROSE = "These words are a line of a paragraph that was wrapped by hand"


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("## 🚀 Growth Drivers", ["Growth Drivers"]),
        ("Up 4x 📈 since 2019 🎉", ["Up 4x since 2019"]),
        ("Great 👍🏽, thanks 👩‍🚀!", ["Great, thanks!"]),
        ("**🎯 Goal:** 1️⃣ first, 🔟 tenth, #️⃣", ["Goal: 1. first, 10. tenth, #"]),
        ("🇩🇪 24%, 🇯🇵", ["DE 24%, JP"]),
        ("⭐⭐⭐ 👉 ⏳ ❓ ™️ ©", ["★★★ → ⌛ ? ™ ©"]),
        ("❤️ Python ☀ ✈", ["♥ Python ☀ ✈"]),
        ("|a|b|\n|-|-|\n|🔥🔥|📈|", ["a", "b", "fire fire", "↗"]),
        ("- 🐝\n- 🐝 bees", ["honeybee", "bees"]),
        ("🎯 Result: 🎉", ["Result:"]),
        ("A ✅ 🎉", ["A ✔"]),
        ("Use 🚀**bold** (🎉 x) and **bold**🚀", ["Use bold (x) and bold"]),
        ("👩🏽‍💻", ["woman, personal computer"]),
        ("[🔗](https://x.org) more", ["link symbol more"]),
        ('`"🚀"` stays', ['"🚀" stays']),
        ("```\nprint('✅ 🚀')\n```", ["print('✅ 🚀')"]),
    ],
)
def test_emoji_become_signs_and_words_or_vanish(markdown: str, expected: list[str]) -> None:
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
def test_signs_keep_the_colour_of_their_emoji(emoji: str, sign: str, color: str) -> None:
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
            "<table><tr><th colspan=2>A</th></tr><tr><td rowspan=2>B</td><td>1</td></tr>"
            "<tr><td>2</td></tr></table>",
            ["A", "", "B", "1", "", "2"],
        ),
        ("See <a href='https://x.org'>it</a> <img src='a.png' alt='b'>", ["See it "]),
        (
            "<details>\n<summary>Plan</summary>\n\n1. one\n\n</details>\n\nend",
            ["Plan", "one", "end"],
        ),
        ("<details><summary>P</summary>\nright **here**\n</details>", ["P", "right here"]),
    ],
)
def test_html_becomes_markdown(markdown: str, expected: list[str]) -> None:
    assert lines(markdown) == expected
    assert not {"html_block", "html_inline"} & set(kinds(markdown))


def test_html_summary_is_a_bold_line_above_the_details() -> None:
    found = kinds("<details>\n<summary>Plan</summary>\n\n- one\n\n</details>")
    assert found[:4] == ["paragraph_open", "inline", "paragraph_close", "bullet_list_open"]
    opening, _, closing = children("<details>\n<summary>Plan</summary>\n\n</details>")
    assert (opening.type, closing.type) == ("strong_open", "strong_close")


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("Roses are red\nViolets are blue", ["Roses are red", "Violets are blue"]),
        (f"{PROSE}\n{PROSE}\nends.", [f"{PROSE} {PROSE} ends."]),
        (f"> {PROSE}\n> {PROSE}", [f"{PROSE} {PROSE}"]),
        (
            "See [it](https://x.org/a/long/address)\nor the same in other words:\nhttps://x.org/an/address/that/had/to/move",
            ["See it", "or the same in other words: https://x.org/an/address/that/had/to/move"],
        ),
        (f"{PROSE}\n• one {PROSE}\n• two", [PROSE, f"• one {PROSE}", "• two"]),
        ("[1] One\n[2] Two", ["One", "Two"]),
        ("Points:\n• one\n• two", ["Points:", "• one", "• two"]),
        ("**Author:** A\n**Date:** B", ["Author: A", "Date: B"]),
        ("**Author**: A\n**Date**: B", ["Author: A", "Date: B"]),
        ("Name: Jane\nPhone: 555", ["Name: Jane", "Phone: 555"]),
        ("✅ one\n✅ two", ["✔ one", "✔ two"]),
        ("x = 1\n(2) y = 2", ["x = 1", "(2) y = 2"]),
        ("see\n$$x$$\nwhere", ["see", "$$x$$", "where"]),
        ("Term\n: its definition", ["Term", "its definition"]),
        ("It is **bold**\nand goes on", ["It is bold", "and goes on"]),
        (
            "2 H~2~ + O~2~ → 2 H~2~O\nC + O~2~ → CO~2~",
            ["2 H~2~ + O~2~ → 2 H~2~O", "C + O~2~ → CO~2~"],
        ),
        (f"{PROSE} $\\frac{{a}}{{b}}$\nends", [f"{PROSE} $\\frac{{a}}{{b}}$ ends"]),
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
def test_short_lines_and_items_stay_lines_and_wrapped_prose_flows(
    markdown: str, expected: list[str]
) -> None:
    assert lines(markdown) == expected


def test_tasks_get_boxes_and_alerts_titles() -> None:
    assert lines("- [ ] one\n- [x] two\n- [X] three") == ["☐ one", "☑ two", "☑ three"]
    assert lines("[ ] no task") == ["[ ] no task"]
    assert lines("> [!NOTE]\n> Mind *this*.") == ["Note", "Mind this."]
    assert lines("> [!warning] Own title\n> Text") == ["Own title", "Text"]

"""A draft on a terminal: with all of its words at every width."""

import io
import re
from itertools import product
from string import ascii_lowercase
from typing import Any

import pages
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rich.console import Console

from beyond.terminal.markdown import set_markdown
from beyond.terminal.screen import Screen

WIDTHS = (20, 80, 200)  # columns
ADDRESS = "http://x.org/y"
# The text of a link, and what a terminal shows of it.
LINKS = {
    "bold": ("**bees**", "bees"),
    "italic": ("*bees*", "bees"),
    "bold and italic": ("***bees***", "bees"),
    "partly bold": ("**honey** bees", "honey bees"),
    "code": ("`bees`", "bees"),
    "bold code": ("**`bees`**", "bees"),
    "struck": ("~~bees~~", "bees"),
    "picture": ("![bees](http://p.org/q.png)", "🌆 bees"),
    "picture without words": ("![](http://p.org/bees.png)", "🌆 bees.png"),
    "bold picture": ("**![honey](http://p.org/q.png) bees**", "🌆 honey bees"),
    "line break": ("honey<br>bees", "honey bees"),
    "bold line break": ("**honey<br>bees**", "honey bees"),
    "nothing": ("", ""),
    "space": (" ", ""),
}
PLACES = {
    "paragraph": f"See [{{}}]({ADDRESS}) end.",
    "list": f"- one\n- See [{{}}]({ADDRESS}) end.",
    "table": f"| a |\n| - |\n| See [{{}}]({ADDRESS}) end. |",
    "heading": f"# One\n\n## See [{{}}]({ADDRESS}) end.",
    "reference": f"See [{{}}][r] end.\n\n[r]: {ADDRESS}",
    "reference in a list": f"- one\n- See [{{}}][r] end.\n\n[r]: {ADDRESS}",
    "reference in a table": f"| a |\n| - |\n| See [{{}}][r] end. |\n\n[r]: {ADDRESS}",
}
INLINES = (
    *("**{}**", "*{}*", "***{}***", "~~{}~~", "`{}`", "${}$", "![{}](http://p.org/q.png)"),
    *("[{}](http://x.org)", "[{}][r]", "[](http://x.org){}", "<http://x.org>{}", "{}[^1]"),
    *("<b>{}</b>", "<sub>{}</sub>", "<kbd>{}</kbd>", "<a href='http://y.org'>{}</a>", "{}</a>"),
    *("<br>{}", "two\\\n{}", "two\n{}", "<b>{}", "[{}"),
)
BLOCKS = {
    "paragraph": "{}",
    "heading": "# {}",
    "list": "- {}",
    "ordered list": "1. {}",
    "quote": "> {}",
    "table": "| a | b |\n| - | - |\n| {} | c |",
    "head of a table": "| {} | b |\n| - | - |\n| c | d |",
}
NOTES = "\n\n[r]: http://r.org\n\n[^1]: a *[**note**](http://n.org)*"


def print_draft(markdown: str, columns: int = 80, **options: Any) -> str:
    """What a terminal of that width gets. `options` are of rich's Console."""
    printed = io.StringIO()
    Console(file=printed, width=columns, height=999, **options).print(set_markdown(markdown))
    lines = printed.getvalue().split("\n")
    assert options or all(len(line) <= columns for line in lines)
    return printed.getvalue()


def show(markdown: str, columns: int = 80) -> str:
    """What a terminal shows of a draft, with one space between two words."""
    return " ".join(print_draft(markdown, columns).split())


@pytest.mark.parametrize("link", LINKS)
def test_a_link_shows_its_text_and_its_address_once(link: str) -> None:
    markdown, shown = LINKS[link]
    expected = " ".join(f"See {shown} ({ADDRESS}) end.".split())
    printed = " ".join(re.sub("🌆|~~", "", f"See {shown} end.").split())
    for place in PLACES.values():
        draft = place.format(markdown)
        assert expected in show(draft)
        assert show(draft).count(ADDRESS) == 1
        [page] = pages.read(draft).pages
        assert printed in " ".join(page.extract_text().split())


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("<http://x.org> http://y.org www.z.org", "http://x.org http://y.org www.z.org"),
        ("[**http://x.org**](http://x.org)", "http://x.org"),
        ("[x.org](https://x.org/)", "x.org"),
        ("https://de.x.org/wiki/Öl", "https://de.x.org/wiki/Öl"),
        ("a@b.org and [**a@b.org**](mailto:a@b.org)", "a@b.org and a@b.org"),
        ("[text]()", "text"),
    ],
)
def test_an_address_that_is_its_own_text_appears_once(markdown: str, expected: str) -> None:
    assert show(markdown) == expected


def test_an_address_that_only_ends_like_its_text_is_shown() -> None:
    assert show("[bank.org](http://bad.org/bank.org)") == "bank.org (http://bad.org/bank.org)"


def test_a_picture_stays_where_it_is_and_its_data_is_not_shown() -> None:
    assert show("Look ![bees](http://p.org/q.png) here") == "Look 🌆 bees here"
    assert show("Look ![](data:image/png;base64,AAAA) here") == "Look 🌆 here"
    shown = show("| a |\n| - |\n| ![bees](http://p.org/q.png) |")
    assert shown.startswith("a ") and shown.endswith("🌆 bees")


def test_the_text_of_a_link_keeps_its_style() -> None:
    options: dict[str, Any] = {"force_terminal": True, "color_system": "standard", "no_color": True}
    printed = print_draft(f"[plain **bold**]({ADDRESS})", **options)
    assert re.search("\x1b\\[1[;m][^\x1b]*bold", printed)


@pytest.mark.parametrize("mark", ["> ", "- ", "1. "])
def test_no_depth_of_blocks_loses_a_word(mark: str) -> None:
    for depth, columns in product([1, 2, 3, 5, 7, 20], [20, 80, 200]):
        levels = range(1, depth + 1)
        lines = [f"{' ' * len(mark) * (level - 1)}{mark}bees{level}" for level in levels]
        if mark == "> ":
            lines = [f"{mark * level}bees{level}" for level in levels]
        shown = print_draft("\n".join(lines), columns)
        assert {f"bees{level}" for level in levels} <= set(shown.split())


def test_struck_text_is_struck_and_code_has_no_background() -> None:
    printed = print_draft("the ~~old~~ `new`", force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[9mold\x1b", printed)
    assert re.search(r"\x1b\[1;35mnew\x1b", printed)


@pytest.mark.parametrize("columns", [40, 80])
def test_a_table_loses_no_word_in_a_narrow_window(columns: int) -> None:
    words = [f"{place}-{'long' * 3}" for place in "abcdefgh"]
    headings = " | ".join(f"heading{number}" for number in range(4))
    rows = f"| {' | '.join(words[:4])} |\n| {' | '.join(words[4:])} |"
    wide = f"| {headings} |\n| - | - | - | - |\n{rows}"
    even = f"| x | y |\n| - | - |\n| {'some more words ' * 9} | {'unbroken' * 2} |"
    bare = f"| {' | '.join(word.upper() for word in words)} |\n{'| - ' * len(words)}|"
    shown = print_draft(f"{wide}\n\nthen\n\n{even}\n\nthen\n\n{bare}", columns)
    for word in [*words, *(word.upper() for word in words), "unbrokenunbroken"]:
        assert word in shown
    assert "…" not in shown
    if columns == 40:
        assert re.search(r"heading0: a-long\w+ *\nheading1: b-long", shown)


def keeps_every_word(draft: str, wanted: set[str]) -> None:
    for columns in WIDTHS:
        shown = re.sub(r"[\s▌]", "", show(draft + NOTES, columns))  # a long word may be folded
        assert not {word for word in wanted if word not in shown}, (draft, columns)


@pytest.mark.parametrize("outer", INLINES)
def test_inline_constructs_in_each_other_lose_no_word(outer: str) -> None:
    texts: list[str] = []
    wanted: set[str] = set()
    for inner, letter in zip(INLINES, ascii_lowercase[: len(INLINES)], strict=True):
        words = [f"first{letter}", f"inside{letter}", f"alone{letter}", f"last{letter}"]
        first, inside, alone, last = words
        among = outer.format(f"before {inner.format(inside)} after")
        texts.append(f"{first} {among} {outer.format(inner.format(alone))} {last}")
        wanted.update(words)
    for block in BLOCKS.values():
        keeps_every_word("\n\nthen\n\n".join(map(block.format, texts)), wanted)


WORDS = st.sampled_from(("bees", "wasps", "hives"))
TEXTS = st.recursive(
    WORDS,
    lambda texts: st.one_of(
        st.builds(str.format, st.sampled_from(INLINES), texts),
        st.builds("{} {}".format, texts, texts),
        st.builds("{}{}".format, texts, texts),
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(list(BLOCKS)), TEXTS)
def test_no_depth_of_inline_constructs_loses_a_word(block: str, text: str) -> None:
    assume(not text.startswith("~~~"))  # a fence, whose first line names a language
    words = set(re.findall("bees|wasps|hives", text))
    keeps_every_word(BLOCKS[block].format(text), words)


def test_a_draft_that_cannot_be_set_is_shown_as_plain_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(markdown: str) -> None:
        raise AssertionError

    monkeypatch.setattr("beyond.terminal.markdown.set_markdown", fail)
    screen = Screen()
    screen.terminal = True
    screen.show("Draft 1", "# Bees\n\n**All** of\x1b[2J it")
    assert capsys.readouterr() == ("Draft 1\n# Bees\n\n**All** of[2J it\n", "")

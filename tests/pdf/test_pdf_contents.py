# ruff: noqa: RUF001
"""The table of contents and the running heads of a long report."""

import re
from typing import Any

import pytest
from pages import find, notes_of, pieces, read, texts
from pypdf import PdfReader


def make_long(titles: list[str], text: str = "word ", more: str = "") -> str:
    """A draft with a chapter of 200 words or more for each title."""
    return more + "".join(f"## {title}\n\n{text * 200}\n\n" for title in titles)


def contents(reader: PdfReader) -> list[tuple[str, int]]:
    """The links on the first page: the text of each, and the page to which it leads."""
    pages = {page.indirect_reference.idnum: n for n, page in enumerate(reader.pages, 1)}  # type: ignore[union-attr]
    return [
        (note["/Contents"], pages[note["/Dest"][0].idnum]) for note in notes_of(reader.pages[0])
    ]


def test_a_long_report_has_a_table_of_contents_and_running_heads() -> None:
    chapters = [f"Part {number}" for number in range(1, 26)]
    draft = "# The Sea\n\n" + make_long(chapters)
    reader = read(draft)
    assert len(reader.pages) > 8
    first = " ".join(reader.pages[0].extract_text().split())
    for title, page in contents(reader)[::2]:
        assert f"{title} {page}" in first
        assert re.search(rf"{title}\b", reader.pages[page - 1].extract_text())
    assert [title for title, _ in contents(reader)[1::2]] == chapters
    assert all("The Sea" in page.extract_text() for page in reader.pages[1:])
    tall = read("# " + "The Sea " * 20 + "\n\n" + make_long(chapters))
    assert re.search(r"The Sea…$", tall.pages[1].extract_text(), re.MULTILINE)
    short = read("# The Sea\n\n" + make_long(chapters[:8]))
    assert not contents(short)
    assert "The Sea" not in short.pages[1].extract_text()


def test_contents_are_left_out_without_headings_and_short_with_too_many() -> None:
    own = "".join(f"- [Part {number}](#part-{number})\n" for number in range(25))
    titles = [f"Part {number}" for number in range(25)]
    reader = read("# The Sea\n\n" + own + "\n" + make_long(titles))
    assert [title for title, _ in contents(reader)] == titles  # those of the draft
    assert not re.search(r"Part 24\s+\d", reader.pages[0].extract_text())
    many = make_long(["Part"] * 25, more="# The Sea\n\n") + "### Deep\n\nx\n\n" * 20
    assert [title for title, _ in contents(read(many))[::2]] == ["Part"] * 25
    assert not contents(read("word " * 8000))


CHAPTERS = ["The sea", "What it costs", "Who pays", "And then"]


@pytest.mark.parametrize(
    ("entry", "heading", "has_its_own"),
    [
        ("1. [{0}](#{1})", "## {0}", True),
        ("- {0} ..... 7", "## {0}", True),
        ("- **{0}**: what is said there", "## 3. {0}", True),
        ("1. {0} – in brief", "## Kapitel 3: {0}", True),
        ("三、{0}", "## 第三章 {0}", True),
        ("- 第3章　{0}（第7頁）", "## 三、{0}", True),
        ("(1) {0} (p. 7)", "## B. {0}", True),
        ("- **Section 3 — {0}** says it", "## Section 3: {0}", True),
        ("    {0} 7", "## {0}", True),
        ("| [Read on](#{1}) | 7 |", "## {0}", True),
        ("- Something else", "## {0}", False),
    ],
)
def test_a_draft_that_lists_its_chapters_gets_no_second_contents(
    entry: str, heading: str, has_its_own: bool
) -> None:
    entries, chapters = [], []
    for title in CHAPTERS:
        name = title.lower().replace(" ", "-")
        entries.append(entry.format(title, name))
        sections = "".join(f"### Section {n} of {title}\n\n{'word ' * 500}\n\n" for n in range(3))
        chapters.append(f"{heading.format(title)}\n\n{sections}")
    table = ["| | |", "|-|-|"] if entry[0] == "|" else []
    own = ("\n" if entry[0] in "1-|" else "\\\n").join([*table, *entries])
    root: Any = read("\n\n".join(["# Title", "## Contents", own, *chapters])).trailer["/Root"]
    assert bool(find(root["/StructTreeRoot"]["/K"], "TOC")) != has_its_own


@pytest.mark.parametrize(
    ("opening", "ending"),
    [
        ("Here, **the sea** meets **what it costs**, **who pays** and **what then**.", ""),
        ("", "We saw [it](#the-sea), and [what](#what-it-costs) [they](#who-pays) pay."),
        ("", "```\nthe sea\nwhat it costs\nwho pays\n```"),
        ("", "- **The sea:** it rises\n- **What it costs:** much\n- **Who pays:** we do"),
    ],
    ids=["bold words", "links", "code", "conclusion"],
)
def test_a_draft_that_mentions_its_chapters_gets_contents(opening: str, ending: str) -> None:
    draft = f"# Title\n\n{opening}\n\n{make_long(CHAPTERS, 'word ' * 8)}\n\n{ending}"
    root: Any = read(draft).trailer["/Root"]
    assert find(root["/StructTreeRoot"]["/K"], "TOC")


def test_contents_of_a_right_to_left_draft_are_mirrored() -> None:
    page = read(make_long(["פרק"] * 25, "מילה ")).pages[0]
    numbers = [x for text, x, _, _ in pieces(page) if re.fullmatch(r"\d", text)]
    titles = [x for text, x, _, size in pieces(page) if "פרק"[::-1] in text or "פרק" in text]
    assert max(numbers) < 100 < 400 < min(titles)


def test_contents_follow_a_short_line_and_precede_a_long_abstract() -> None:
    chapters = make_long(["Part"] * 25, more="## Of $x_2$\n\nx\n\n")
    short = texts("# The Sea\n\nBy an author\n\n" + chapters)[0]
    assert short.index("By an author") < short.index("Of") < short.index("Part")
    long = "".join(texts("# The Sea\n\n" + "A long abstract. " * 60 + "\n\n" + chapters)[:2])
    assert long.index("Part") < long.index("A long abstract")


def test_an_endless_heading_is_cut_in_the_contents() -> None:
    chapters = make_long(["Part"] * 20) + f"## {'word ' * 900}\n\n## {'x<br>' * 99}\n\nend"
    pages = texts("# The Sea\n\n" + chapters)
    assert pages[0].count("word") < 40
    assert "end" in pages[-1]

# ruff: noqa: RUF001
"""How drafts look on the page: tables, code, directions, page breaks."""

import re
from datetime import date
from typing import Any

import pytest
from pages import notes_of, pieces, place, read, texts
from pypdf import PdfReader

from beyond import markdown
from beyond.paper import find_paper
from beyond.pdf.code import make_code_lines
from beyond.pdf.compose import Composer
from beyond.pdf.lines import Style
from beyond.pdf.parts import BODY, Look
from beyond.pdf.prepare import prepare
from beyond.pdf.tables import NARROW_PADDING, TEXT_SIZES, WIDER, Table, make_table, share_width
from beyond.pdf.tags import Element
from beyond.pdf.text import HEIGHT, PADDING, WIDTH, Text
from beyond.pdf.words import make_words

TOP = 792 - 72 - BODY * 1.5  # points: about the place of a page's first line


def order(text: str, rtl: bool) -> str:
    """A line as it is painted, but with right-to-left words in reading order."""
    set_text = Text(make_words([(text, Look())]), Style(rtl=rtl))
    set_text.wrap(10_000, 0)
    parts = [part for _, part in set_text.lines[0].parts]
    return "".join(part.source if part.direction == "R" else part.shown for part in parts)


@pytest.mark.parametrize("columns", [2, 5, 9, 16, 25])
def test_columns_are_no_wider_than_the_page(columns: int) -> None:
    rows = [
        [Text(make_words([("word " * number + "longest" * (number % 4), Look())]), Style())
         for number in range(1, columns + 1)]
        for _ in range(3)
    ]  # fmt: skip
    widths = share_width(rows, WIDTH, NARROW_PADDING)
    assert sum(widths) <= WIDTH + 0.01
    assert min(widths) > 0


def test_prose_beside_long_identifiers_keeps_a_readable_width() -> None:
    name, prose = "POSTGRES_MAX_PARALLEL_MAINTENANCE_WORKERS", "how many of them work " * 6

    def make(text: str) -> Text:
        look = Look(TEXT_SIZES[-1], code=text.isupper())
        return Text(make_words([(text, look)]), Style())

    rows = [[make(text) for text in (name, name.replace("X", "IN"), "2", prose)]]
    *names, _, last = share_width(rows, WIDTH, NARROW_PADDING)
    assert last >= 100 and sum(share_width(rows, WIDTH, NARROW_PADDING)) <= WIDTH + 0.1
    assert min(names) > 100
    for cell, width in zip(rows[0], names, strict=False):
        cell.wrap(width - 2 * NARROW_PADDING, 0)
        ends = ["".join(part.source for _, part in line.parts)[-1] for line in cell.lines]
        assert set(ends[:-1]) == {"_"}
    path, *short = "/api/v1/" * 8, "450 ms", "120 ms", "30 ms"
    figures = [[make(text) for text in (path, *short)]]
    for cell, width in zip(figures[0][1:], share_width(figures, 300)[1:], strict=True):
        assert width >= cell.natural_width
    roomy = [[make(text) for text in (name, prose)]]
    assert share_width(roomy, WIDTH)[0] >= roomy[0][0].least_width


HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
COMPOUND = "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz"
WORDS = "how many of them may work at once "


@pytest.mark.parametrize(
    "row",
    [
        ["app.tar.gz", WORDS * 3, HASH, "12 MB"],
        ["123e4567-e89b-12d3-a456-426614174000", HASH[:40], WORDS, WORDS, "Ann"],
        ["abstractsingletonproxyfactorybeanmanagers", WORDS, "2.5", WORDS, WORDS],
        [COMPOUND, WORDS * 2 + COMPOUND[:34], WORDS * 2],
        [*(f"temporal_workflow_task_{name}_latency" for name in ("start", "schedule", "queue")),
         "temporal_activity_execution", WORDS],
        ["client.retry.initial_interval", "CLIENT_RPC_RETRY_INITIAL_INTERVAL", "100 ms",
         "any duration", WORDS, WORDS],
    ],
    ids=["hash", "uuid", "class", "compound", "metrics", "settings"],
)  # fmt: skip
def test_no_column_of_prose_starves_beside_words_that_may_break(row: list[str]) -> None:
    def make_rows(size: float) -> list[list[Text]]:
        look = Look(size)
        return [
            [Text(make_words([(text, look._replace(code=" " not in text))]), Style())
             for text in row]
        ]  # fmt: skip

    table = make_table(make_rows, WIDTH, 0, ())
    assert sum(table.widths) <= WIDTH + WIDER
    for text, width in zip(row, table.widths, strict=True):
        assert width - 2 * table.padding >= 75 or WORDS not in text


def test_column_widths_fit_all_rows_of_a_long_table() -> None:
    draft = "| No. | Name |\n|--:|-|\n" + "".join(f"| {i} | item |\n" for i in range(901, 1201))
    pages = texts(draft)
    text = "\n".join(pages)
    assert re.search(r"\b1000\b", text) and re.search(r"\b1200\b", text)
    assert text.count("No.\nName") == len(pages)


def test_columns_are_aligned_as_the_delimiter_row_says() -> None:
    def starts(marks: str) -> list[float]:
        wide = "a column of some width"
        table = f"| {wide} | {wide} | {wide} |\n{marks}\n| one | one | one |"
        pages = read(table).pages
        return [x for text, x, _, _ in pieces(pages[0]) if text == "one"]

    plain, aligned = starts("|---|---|---|"), starts("|:--|:-:|--:|")
    moved = [after - before for before, after in zip(plain, aligned, strict=True)]
    assert moved[0] == 0
    assert moved[1] > 10
    assert moved[2] == pytest.approx(2 * moved[1], abs=0.1)


def test_digits_are_of_equal_width_in_tables() -> None:
    for size in TEXT_SIZES:
        cells = make_words([("1111 0000", Look(size, tabular_figures=True))])
        assert cells[0].width == pytest.approx(cells[1].width)
    assert (
        make_words([("1111 0000", Look())])[0].width < make_words([("1111 0000", Look())])[1].width
    )
    assert "1,238.4" in texts("| QPS |\n|--:|\n| 1,238.4 |")[0]


def test_a_row_is_split_only_when_it_is_taller_than_half_a_page() -> None:
    def cell(lines: int) -> list[Text]:
        text = "\n".join(f"line {number}" for number in range(lines))
        return [Text(make_words([(text, Look())]), Style())]

    whole = Table([cell(1), cell(20), cell(15), cell(15)], [200.0], PADDING, Style())
    whole.wrap(WIDTH, HEIGHT)
    first, second = whole.split(WIDTH, sum(whole.heights[:2]) + 100)
    assert [len(part.rows) for part in (first, second)] == [2, 3]
    tall = Table([cell(1), cell(10), cell(25), cell(25)], [200.0], PADDING, Style())
    tall.wrap(WIDTH, HEIGHT)
    first, second = tall.split(WIDTH, sum(tall.heights[:2]) + 100)
    assert [len(part.rows) for part in (first, second)] == [3, 3]
    assert first.rows[0] is second.rows[0] is tall.rows[0]
    assert sum(first.heights) <= sum(tall.heights[:2]) + 100


def test_a_small_table_and_small_code_stay_whole() -> None:
    filler = "x<br>" * 36 + "\n\n"
    table = "| a | b |\n|-|-|\n" + "| c | d |\n" * 6
    first, second = texts(filler + table)
    assert "a\nb" not in first and second.count("c\nd") == 6
    first, second = texts(filler + "```\n" + "code\n" * 10 + "```")
    assert "code" not in first and second.count("code") == 10


def test_no_page_has_a_single_line_of_a_paragraph() -> None:
    words = " ".join(f"w{number}" for number in range(110))
    for lines in range(30, 46):
        pages = texts("x<br>" * lines + "\n\n" + words)
        counts = [len(re.findall(r"^w\d+ .*", page, re.MULTILINE)) for page in pages]
        assert 1 not in counts, f"{counts} lines after {lines}"


@pytest.mark.parametrize(
    ("draft", "together"),
    [
        (f"## Heading\n\nAs follows:\n\n{block}", ["Heading", "follows", "one"])
        for block in (
            "```\none\ntwo\nthree\n```",
            "| one | b |\n|-|-|\n| c | d |\n",
            "- one\n- two",
            "| a | b |\n|-|-|\n| one | d |\n" + "| c | d |\n" * 30,
            r"$$\frac{one}{x}$$",
        )
    ]
    + [
        (f"{line}\n\nfirst line", ["Bold title", "first line"])
        for line in (
            "**Bold title**",
            "**1.** **Bold title** ✅",
            "▪ <b>Bold title</b>:",
            "***Bold title***\n\n---",
            "Some text.\n\n- **Bold title**\n",
            "Some text.<br>**Bold title**",
            "**Bold title** [3]",
            "- **Bold title** (2024)",
        )
    ]
    + [
        (f"Table 1. A caption\n\n{block}\n\nend", ["caption", "below"])
        for block in ("| below | b |\n|-|-|\n| c | d |", "```\nbelow\none\ntwo\n```")
    ],
)
def test_what_introduces_a_block_stays_on_its_page(draft: str, together: list[str]) -> None:
    for lines in range(28, 46):
        for page in texts("x<br>" * lines + f"\n\n{draft}"):
            assert len({words in page for words in together}) == 1


def test_code_continues_on_a_new_page_without_blank_lines() -> None:
    draft = "```\n" + "line\n\n\n" * 60 + "```"
    reader = read(draft)
    assert len(reader.pages) > 2
    for page in list(reader.pages)[1:]:
        assert max(y for text, _, y, _ in pieces(page) if text == "line") > TOP - 8


def test_blocks_of_code_have_space_between_them() -> None:
    draft = "```\none\n```\n\n```\ntwo\n```"
    assert place(draft, "one")[1] - place(draft, "two")[1] > 8.75 * 1.5 + 2 * 5 + 8


def test_code_keeps_its_columns() -> None:
    draft = "```\n│ Client  │ ──▶ │ 你好 │ x\n│ Browser │ --- │ abcd │ x\n```"
    [page] = read(draft).pages
    bars = [x for text, x, _, _ in pieces(page) if text.endswith("x") or text == "│ x"]
    assert bars
    lines = make_code_lines(draft.split("\n", 1)[1].rsplit("\n", 1)[0], 8.75)
    assert lines[0].width == pytest.approx(lines[1].width)


@pytest.mark.parametrize(
    ("text", "rtl", "expected"),
    [
        ("The phrase السلام عليكم means", False, "The phrase عليكم السلام means"),
        ("عام ١٢٣٤ مليون", True, "مليون ١٢٣٤ عام"),
        ("عام 2023 (وفق Statista).", True, ".(Statista وفق) 2023 عام"),
        ("שלום 25.5 מעלות", False, "מעלות 25.5 שלום"),
        ("a (77°F) b", False, "a (77°F) b"),
        ("ערך (77°F), ab", False, "ערך (77°F), ab"),
        ("الدفع (COD): ٣٥٪", True, "٪٣٥ :(COD) الدفع"),
        ("قیمت ۱۲٬۵۰۰ تومان", True, "تومان ۱۲٬۵۰۰ قیمت"),
        ("עד 15% מזה", True, "מזה 15% עד"),
    ],
)
def test_mixed_directions_follow_the_unicode_algorithm(text: str, rtl: bool, expected: str) -> None:
    assert order(text, rtl) == expected


def test_a_task_has_a_box_in_place_of_its_bullet() -> None:
    [text] = texts("- [x] done\n- [ ] open\n- plain")
    assert "".join(text.split()).endswith("☑done☐open•plain")


def test_subscripts_in_html_are_smaller() -> None:
    _, base, size = place("Hydrogen<sub>2</sub>, n<sup>3</sup>", "Hydrogen")
    below = place("Hydrogen<sub>2</sub>, n<sup>3</sup>", "2")
    assert below[2] < size
    assert base > 0


def test_a_footnote_and_its_reference_link_to_each_other() -> None:
    reader = read("RAG[^1]\n\n[^1]: The note.")
    assert len(goals(reader)) == 2
    note, reference = sorted(goals(reader))
    lines = {text: y for text, _, y, _ in pieces(reader.pages[0])}
    assert lines["The note."] < note < lines["RAG"]
    assert lines["RAG"] < reference < lines["RAG"] + 40


def goals(reader: PdfReader) -> list[float]:
    """The heights on the page, in points, to which links within the document lead."""
    return [note["/Dest"][3] for note in notes_of(reader.pages[0]) if "/Dest" in note]


def test_links_to_headings_work_within_the_pdf() -> None:
    reader = read("- [The Sea](#the-sea)\n- [Not](#not)\n\n# The Sea\n\n# The Sea")
    lines = [y for text, _, y, _ in pieces(reader.pages[0]) if text == "The Sea"]
    assert len(goals(reader)) == 1
    assert lines[1] < goals(reader)[0] < lines[1] + 60
    for title in ("The Sea", "ที่มา", "परिचय"):
        draft = f"# {title}\n\nUp to [it](#{title.lower().replace(' ', '-')})."
        assert len(goals(read(draft))) == 1


def test_a_heading_in_a_list_has_its_bullet() -> None:
    assert "•" in texts("# One\n\n- ## Two")[0]


def test_a_topic_and_a_heading_make_the_same_title() -> None:
    heading, topic = read("# About the sea\n\ntext"), read("text", topic="About the sea")
    assert pieces(topic.pages[0]) == pieces(heading.pages[0])


def test_title_and_day_of_approval_are_printed_and_in_the_metadata() -> None:
    reader = read("# The *Sea*\n\ntext", topic="about the sea", approved=date(2026, 3, 9))
    assert reader.metadata and reader.metadata.title == "The Sea"
    assert reader.metadata.creation_date and reader.metadata.creation_date.date() == date(
        2026, 3, 9
    )
    assert reader.metadata.modification_date == reader.metadata.creation_date
    text = " ".join(reader.pages[0].extract_text().split())
    assert text.startswith("Research Report The Sea 2026-03-09 text")


def test_a_long_line_of_code_breaks_after_a_comma() -> None:
    call = "result = await workflow.execute_activity(charge, order_id, start_to_close_timeout=T, "
    [text] = texts(f"```\n{call}retry_policy=RetryPolicy(maximum_attempts=5))\n```")
    assert text.splitlines()[-1].strip().startswith("start_to_close_timeout=T, retry_policy=")


def test_paper_is_letter_or_a4_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_paper() == "letter"
    monkeypatch.setenv("PAPER", "A4")
    assert find_paper() == "a4"
    page = read("Deep.", paper="a4").pages[0]
    assert [round(float(side)) for side in page.mediabox[2:]] == [595, 842]
    monkeypatch.setenv("PAPER", "legal")
    with pytest.raises(ValueError, match="write letter or a4"):
        find_paper()


def test_rules_at_the_edge_of_a_section_are_dropped() -> None:
    def rules(markdown: str) -> int:
        page: Any = read(markdown).pages[0]
        return int(page.get_contents().get_data().count(b" re f"))

    plain = "# A\n\nx\n\n## B\n\ny"
    assert rules("---\n\n# A\n\nx\n\n---\n\n## B\n\ny\n\n---") == rules(plain)
    assert rules("# A\n\nx\n\n---\n\ny") > rules("# A\n\nx\n\ny")


def test_a_long_list_of_bold_items_leaves_no_page_half_empty() -> None:
    first, *_ = texts("x<br>" * 10 + "\n\n" + "- **Item**\n" * 70 + "\nend")
    assert first.count("Item") > 20


def test_a_line_with_some_bold_words_is_not_a_heading() -> None:
    draft = "**Prices** are more than **120**\n\n" * 3 + "- **Cost:** 80\n" * 3
    [*flowables] = Composer(prepare(markdown.read(draft)), Element("Document")).compose()
    assert not any(text.style.keeps for text in flowables)


def test_numbers_are_aligned_right_unless_the_draft_aligns_them() -> None:
    draft = "|a wide column|b|\n|-|-|\n|1|x|\n|100|y|"
    assert place(draft, "1")[0] > place(draft.replace("|-|-|", "|:-|-|"), "1")[0] + 10


def test_a_source_is_not_split_has_a_hanging_indent_and_prints_its_address() -> None:
    source = "[1] [A book](https://example.org/book)" + ", and so on" * 40
    draft = f"Cited [1].\n\n## Sources\n\n{source}\n\n[2] Another\n\n[3] More"
    found = pieces(read(draft).pages[0])
    mark = next(piece for piece in found if piece[0] == "[1]" and piece[3] < BODY)
    lines = [piece for piece in found if piece[2] <= mark[2] and piece[0][0] != "["]
    assert "(https://example.org/book)" in "".join(texts(draft))
    assert min(x for _, x, _, _ in lines[:-2]) > mark[1] + 10
    for number in range(30, 50):
        ends = [page for page in texts("x<br>" * number + draft) if "so on" in page]
        assert len(ends) == 1 and "Sources" in ends[0]


def test_items_of_a_list_begin_at_the_same_indent() -> None:
    found = pieces(read("1. item\n" * 12).pages[0])
    assert len({x for text, x, _, _ in found if text == "item"}) == 1


def test_numbers_of_right_to_left_items_have_their_dot_on_the_left() -> None:
    assert ".1" in texts("1. שלום")[0] and "1." in texts("1. one")[0]


def test_a_page_has_at_least_three_lines_of_a_block_of_code() -> None:
    for lines in range(30, 50):
        pages = texts("x<br>" * lines + "\n\n```\n" + "code\n" * 40 + "```")
        assert min(page.count("code") or 3 for page in pages) > 2


def test_a_header_as_tall_as_a_page_is_not_repeated() -> None:
    table = f"<table><tr><td>{'tall ' * 1850}</td><td>x</td></tr>" + "<tr><td>z</td></tr>" * 9
    for lines in range(10, 15):
        pages = texts("x<br>" * lines + f"\n\n{table}</table>")
        assert sum(page.count("tall") for page in pages) == 1850
        assert sum(page.count("z") for page in pages) == 9

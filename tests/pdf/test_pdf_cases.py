"""Faults that pages of real drafts had, each with a small draft in `pdf_cases`."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from pages import load, notes_of, pieces, read

from beyond.pdf.parts import BODY
from beyond.pdf.text import BAR, HEIGHT


def texts(draft: str) -> list[str]:
    """The words of each page, with single spaces between them."""
    return [" ".join(page.extract_text().split()) for page in read(draft).pages]


def shifted(name: str) -> Iterator[list[str]]:
    """The pages of a draft, with page breaks at every line of its end."""
    head, *paragraphs = load(name).split("\n\n")
    rest = [paragraph for paragraph in paragraphs if paragraphs.count(paragraph) == 1]
    for lines in range(20, 50):
        yield texts("\n\n".join([head, "x<br>" * lines, *rest]))


def places(page: Any) -> dict[str, float]:
    """Where each stretch of text on a page begins, in points from the left."""
    return {text: x for text, x, _, _ in pieces(page)}


def test_a_diagram_is_never_split_by_a_page_break() -> None:
    for pages in shifted("diagram-split"):
        assert [page.count("┌") for page in pages if "Ingest" in page or "Done" in page] == [6]


def test_citations_link_to_sources_with_hanging_indents() -> None:
    page: Any = read(load("sources")).pages[0]
    goals = {note["/Contents"]: note["/Dest"][3] for note in notes_of(page) if "/Dest" in note}
    assert list(goals) == ["[1]", "[2]", "[3]", "↩"]
    assert goals["[1]"] > goals["[2]"] > goals["[3]"]
    at = places(page)
    entry = next(x for text, x in at.items() if text.startswith("Sodium-ion cells"))
    hanging = next(x for text, x in at.items() if text.startswith("that is what titles do"))
    assert entry == hanging > at["Sources"]


IDENTIFIERS = (
    "| Setting | Default | Recommended | Command |\n|-|-|-|-|\n"
    "| `maintenance_work_mem` | 64 MB | 8 GB | `SET maintenance_work_mem = '8GB';` |\n"
    "| `max_parallel_maintenance_workers` | 2 | 7 | " + "many words in a cell " * 9 + "|"
)


@pytest.mark.parametrize("draft", [load("wide-table"), IDENTIFIERS], ids=["prose", "identifiers"])
def test_no_word_of_a_wide_table_breaks_while_a_column_can_shrink(draft: str) -> None:
    [page] = texts(draft)
    assert [word for word in re.findall(r"[A-Za-z_]{4,}", draft) if word not in page] == []


def test_right_to_left_drafts_are_aligned_right() -> None:
    at = places(read(load("rtl-mixed-list")).pages[0])
    for text in ("Israeli Innovation Authority", "Convertible Note"):
        assert at[text] > 250
    marks = [x for text, x in at.items() if text in (".1", ".2")]
    assert len(marks) == 2 and min(marks) > 480


def test_a_chinese_report_has_no_english_words() -> None:
    [page] = texts(load("boilerplate-language"))
    assert re.findall("[A-Za-z]+", page) == [] and page.endswith("1 / 1")


def test_definitions_are_indented_under_their_bold_term() -> None:
    page = read(load("definition-lists")).pages[0]
    at = places(page)
    assert at["An element, Na."] == at["Also a company."] > at["Apple"] == at["Sodium"]
    fonts: dict[str, str] = {}

    def visit(text: str, cm: Any, tm: Any, font: Any, size: float) -> None:
        fonts[text.strip()] = font["/BaseFont"] if font else ""

    page.extract_text(visitor_text=visit)
    assert "Bold" in fonts["Apple"] and "Bold" not in fonts["Also a company."]


def test_definitions_have_the_space_of_paragraphs_above_them() -> None:
    def heights(draft: str) -> dict[str, float]:
        return {text: y for text, _, y, _ in pieces(read(draft).pages[0])}

    two, cases = heights("one\n\ntwo"), heights(load("definition-lists"))
    space = pytest.approx(two["one"] - two["two"])
    assert cases["Apple"] - cases["A fruit that grows on trees."] == space
    assert cases["A fruit that grows on trees."] - cases["Also a company."] == space


def test_a_table_of_html_prints_all_its_cells() -> None:
    [page] = texts(load("html-table"))
    assert "Region Sales North 2024 5 2025 7 A B one two - x - y More Hidden text." in page


def bars(page: Any) -> list[tuple[float, float, float]]:
    """The bars of quotes on a page: x, bottom and top, in points."""
    found: list[tuple[float, float, float]] = []

    def visit(operator: bytes, numbers: Any, cm: list[float], _: Any) -> None:
        if operator == b"re" and (at := [float(number) for number in numbers])[2] == BAR:
            found.append((cm[4] + at[0], cm[5] + at[1], cm[5] + at[1] + at[3]))

    page.extract_text(visitor_operand_before=visit)
    return found


@pytest.mark.parametrize("words", ["some words", "כמה מילים"])
def test_one_bar_goes_down_a_quote_at_the_side_where_its_text_begins(words: str) -> None:
    table, code = f"> | {words} |\n> |---|\n> | 1 |", "> ```\n> code\n> ```"
    quote = "\n>\n".join([table, f"> {words}", code, "> ---", f"> ## {words}", table])
    page = read(f"{words}\n\n{quote}").pages[0]
    found = bars(page)
    assert len(found) == 6
    assert len({x for x, _, _ in found}) == 1
    assert all(above[1] <= below[2] for above, below in pairwise(found))
    above = next(y for text, _, y, _ in pieces(page) if text == words)
    assert found[0][2] < above - BODY  # the space above the quote has none


def test_no_bar_reaches_above_the_text_of_a_page() -> None:
    rows = "> | one |\n> |---|\n" + "> | 1 |\n" * 40
    for draft in (rows, "> one\n>\n" * 40):
        _, page = read(f"> one\n>\n{draft}", paper="letter").pages
        assert max(top for _, _, top in bars(page)) < (page.mediabox.height + HEIGHT) / 2 + 0.1


@pytest.mark.parametrize("corner", ["#", "", "AI"])
def test_tables_of_a_draft_from_right_to_left_begin_at_the_right(corner: str) -> None:
    table = f"| {corner} | מוצר | הערות |\n|-|-|-|\n| one | Redis | two |"
    at = places(read(f"כמה מילים על מסדי נתונים\n\n{table}").pages[0])
    assert at["one"] > at["Redis"] > at["two"] > 250


def test_code_in_a_list_from_right_to_left_is_indented_at_the_right() -> None:
    x = [
        places(read(f"מילים\n\n{draft}").pages[0])["code"]
        for draft in ("    code", "- א\n\n      code")
    ]
    assert x[0] == x[1]


@pytest.mark.parametrize("above", ["```\nabove\n```", "| above |\n|-|"], ids=["code", "table"])
def test_what_introduces_something_has_no_more_space_above_it_than_other_text(above: str) -> None:
    def measure(draft: str) -> float:
        at = {text: y for text, _, y, _ in pieces(read(draft).pages[0])}
        return at["above"] - at["below"]

    other, introducing = f"{above}\n\nbelow", f"{above}\n\nbelow\n\n```\ncode\n```"
    assert measure(introducing) == pytest.approx(measure(other))

"""Faults that pages of real drafts had, each with a small draft in `pdf_cases`."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pages import load, notes_of, pieces, read


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

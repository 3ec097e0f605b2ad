# ruff: noqa: RUF001
"""The internals of ReportLab on which pdf.fonts relies, and the fonts of characters."""

import ast
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from machine import run_python
from pages import read, text_of
from pypdf import PdfReader
from reportlab.pdfgen.canvas import Canvas

from beyond import pdf
from beyond.pdf.fonts import (
    choose_families,
    find_family,
    get_face,
    split_by_family,
)
from beyond.pdf.languages import detect_language
from beyond.pdf.prepare import make_printable


def page(face_name: str, text: str) -> PdfReader:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    line = canvas.beginText(72, 500)
    line.setFont(face_name, 12)
    line.textOut(text)
    canvas.drawText(line)
    canvas.save()
    return PdfReader(io.BytesIO(out.getvalue()))


def descriptors(reader: PdfReader) -> Iterator[Any]:
    for found in reader.pages:
        resources: Any = found["/Resources"]
        for font in resources["/Font"].values():
            yield font.get_object()


def test_faces_know_glyphs_and_widths_and_are_loaded_once() -> None:
    inside = get_face("Text").face
    assert inside.charToGlyph[ord("a")] > 0
    font = get_face("Text")
    assert font.measure_text("a", 10) == pytest.approx(inside.charWidths[ord("a")] / 100)
    assert font is get_face("Text", 0)
    assert get_face("Signs", 3) is get_face("Signs")
    assert get_face("World", 2) is get_face("World")


def test_figures_of_equal_width_are_extracted_as_digits() -> None:
    font = get_face("Text")
    figures = "".join(font.get_tabular_figures()[ord(digit)] for digit in "1234567890")
    assert len({font.measure_text(figure, 10) for figure in figures}) == 1
    assert font.measure_text("1", 10) != font.measure_text("0", 10)
    assert page(font.fontName, figures).pages[0].extract_text() == "1234567890"


@pytest.mark.parametrize("text", ["السلام", "क्षेत्र", "שָׁלוֹם", "x̄", "ประเทศน้ำ"])
def test_shaped_text_can_be_extracted(text: str) -> None:
    font = get_face("Text")
    width, glyphs = font.shape(text, text[0] in "اש")
    assert width > 0
    shown = "".join(page(font.fontName, part).pages[0].extract_text() for _, part in glyphs)
    assert sorted(re.sub(r"\s", "", shown)) == sorted(text)


def test_letters_beside_raised_marks_stand_on_the_base_line() -> None:
    content: Any = read("تشهد نموًّا").pages[0].get_contents()
    rises: list[float] = []
    rise = 0.0
    for operands, operator in content.operations:
        if operator == b"Ts":
            rise = float(operands[0])
        elif operator in (b"Tj", b"TJ") and rise not in rises[-1:]:
            rises.append(rise)
    assert [bool(rise) for rise in rises] == [False, True, True, False]


def test_pdfs_do_not_name_helvetica() -> None:
    for draft in ("short", "long\n\n" * 200, "$x$ `code` ✔"):
        reader = PdfReader(io.BytesIO(pdf.render(draft)))
        names = [font["/BaseFont"] for font in descriptors(reader)]
        assert names and not any("Helvetica" in name for name in names)
        for found in reader.pages:
            content = found.get_contents()
            assert content is not None and b"/F1 " not in content.get_data()
        forms: Any = reader.pages[0]["/Resources"]["/XObject"]  # type: ignore[index]
        assert all(b"/F1 " not in form.get_object().get_data() for form in forms.values())


@pytest.mark.parametrize(
    ("char", "family"),
    [
        *(("a", "Text"), ("ж", "Text"), ("א", "Text"), ("─", "Code"), ("✔", "Signs")),
        *(("∑", "Text"), ("𝔼", "Signs"), ("𝒩", "World"), ("🔑", "World"), ("ব", "World")),
        *(("த", "World"), ("Ա", "Signs"), ("汉", "Han SC"), ("は", "Han JP"), ("한", "Han KR")),
    ],
)
def test_each_character_gets_the_first_family_that_has_it(char: str, family: str) -> None:
    assert find_family(char, choose_families(char)) == family


def test_fonts_are_loaded_only_for_drafts_that_need_them() -> None:
    script = """
from beyond import pdf
from reportlab.pdfbase.pdfmetrics import getRegisteredFontNames
for draft in ("plain **bold** `code`", "✅ x", "🚀 `🚀` 𝒩 ខ្មែរ বাংলা", "汉字"):
    pdf.render(draft)
    print(sorted(getRegisteredFontNames()))
"""
    plain, signs, world, han = map(ast.literal_eval, run_python(script).splitlines())
    assert {"Signs", "World", "HanSC"}.isdisjoint(plain)
    assert set(signs) - set(plain) == {"Signs"}
    assert set(world) - set(signs) == {"World"}
    assert set(han) - set(world) == {"HanSC"}


def test_han_is_set_in_the_font_of_its_region() -> None:
    for text, family in [
        ("海洋覆盖", "SC"),
        ("海洋は", "JP"),
        ("漢字 한국", "KR"),
        ("個海洋", "TC"),
    ]:
        assert split_by_family(text, choose_families(text))[0][0] == f"Han {family}"


def test_a_combining_mark_has_the_font_of_its_letter() -> None:
    assert split_by_family("αα̂b", choose_families("α̂")) == [("Text", "αα̂b")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b\x07c\ufeffd\u200be", "abcde"),
        ("a\u2028b\u3000c\td", "a\nb\u3000c d"),
        ("e\u0301 ️x\ufe0f", "é x"),
        ("ខ្មែរ x", "[5 characters of Khmer script] x"),
        (
            "(ភាសា ខ្មែរ។ ១២៣, ភាសា៕) and ខ",
            "([19 characters of Khmer script]) and [1 character of Khmer script]",
        ),
        ("🚀", "[U+1F680]"),
        ("\ue000\u0378\ud800", "[U+E000][U+0378][U+D800]"),
    ],
)
def test_characters_without_a_font_become_notes(text: str, expected: str) -> None:
    assert make_printable(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("English", "und"), ("Ελληνικά and x", "el"), ("Как это для", "ru"), ("हिन्दी है", "hi")),
        *(
            ("日本語のテキスト", "ja"),
            ("中文", "zh-Hans"),
            ("這個", "zh-Hant"),
            ("", "und"),
            ("123", "und"),
        ),
        ("One Greek letter π in the long English text of a book", "en"),
    ],
)
def test_languages_are_detected_by_script_and_frequent_words(text: str, expected: str) -> None:
    assert detect_language(text) == expected


@pytest.mark.parametrize(
    ("draft", "notes"),
    [
        ("ខ្ញុំ **ស្រឡាញ់** ភាសាខ្មែរ", "[21 characters of Khmer script]"),
        ("ខ្ញុំ\nស្រឡាញ់", "[12 characters of Khmer script]"),
        ("See ខ្ញុំ *ស្រឡាញ់* here", "See [12 characters of Khmer script] here"),
        (
            "ខ្ញុំ [ស្រឡាញ់](https://x.org)",
            "[5 characters of Khmer script] [7 characters of Khmer script]",
        ),
    ],
)
def test_letters_without_a_font_are_one_note_except_in_a_link(draft: str, notes: str) -> None:
    assert " ".join(text_of(draft).split()) == notes

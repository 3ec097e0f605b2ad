# ruff: noqa: RUF001
"""Where lines break, and the space between letters of different scripts."""

import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pages import find, load, read

from beyond import pdf
from beyond.pdf.lines import Line, Style
from beyond.pdf.parts import BODY, Look
from beyond.pdf.text import Text
from beyond.pdf.words import make_words

SOFT = "\u00ad"


def wrap(text: str, width: float, **style: Any) -> list[Line]:
    made = Text(make_words([(text, Look())]), Style(**style))
    made.wrap(width, 0)
    return made.lines


def shown(line: Line) -> str:
    return "".join(part.source for _, part in line.parts)


def many(text: str) -> Iterator[list[str]]:
    """The lines of a text in widths from 90 to 440 points."""
    for width in range(90, 440, 7):
        yield [shown(line).strip(" \xa0") for line in wrap(text, width)]


OPENING, CLOSING = "(（[「『《$", ")）]」』》、。，；：！？…,.;:!?ー々・ょッ"


@pytest.mark.parametrize(
    ("text", "opening", "closing"),
    [
        ("He called it “hands-off”, “every single sentence” (as “many” say) ‘so’. ", "“‘", "”’"),
        ("Er nannte das „ein Versprechen“, das „niemand halten“ konnte, ‚auch‘. ", "„‚", "“‘"),
        ("Er nannte das »ein Versprechen«, das »niemand halten« konnte. ", "»", "«"),
        ("Le mot « liberté » et « le reste » ; est-ce « vrai » ? Oui ! (« ainsi ») « tout : ci ». ",
         "«", "»"),
        ("Le mot «\xa0liberté\xa0» et «\xa0le reste\xa0» sont «\xa0ici\xa0», ( enfin ) [ là ]. ",
         "«", "»"),
        ("他说“你好”，《书名》（见下文：a）「引用」。她说‘不’！然后……走了——真的吗？", "“‘", "”’"),
        ("これは「引用」です。『本』（注）、ちょっと、キャッチコピー・コーヒー。人々！", "", ""),
        ("整数位：$1,000、$1,200、$1,400、$1,500（Superior A++）2020-2025年。", "", ""),
        ("그는 “안녕하세요”라고 말했다. ‘그리고’ (괄호 안) 「인용」 끝났다. ", "“‘", "”’"),
    ],
)  # fmt: skip
def test_no_line_ends_in_an_opening_mark_or_begins_with_a_closing_one(
    text: str, opening: str, closing: str
) -> None:
    for lines in many(text * 4):
        assert not [line for line in lines if line[-1:] in {*OPENING, *opening}], lines
        assert not [line for line in lines if line[:1] in {*CLOSING, *closing}], lines


def test_no_line_begins_with_a_closing_mark_after_bold_text() -> None:
    for number in range(30, 60):
        text = Text(
            make_words([("蜂" * number, Look()), ("強い", Look(bold=True)), ("。", Look())]),
            Style(),
        )
        text.wrap(330, 0)
        assert not [line for line in text.lines if shown(line).startswith("。")]


def test_straight_quotes_stay_with_what_they_enclose() -> None:
    for lines in many('他说"你好世界"，然后又说"再见"，于是大家都"笑了"起来。'):
        inside = False
        for line in lines:
            assert not (inside and line[0] == '"')
            for place, sign in enumerate(line):
                inside ^= sign == '"'
                assert not (sign == '"' and inside and place == len(line) - 1)


def test_no_line_breaks_between_an_apostrophe_and_bold_text() -> None:
    runs = [("d’", Look()), ("autres", Look(bold=True)), (" " + "mots " * 9, Look())]
    assert [part.source for part in make_words(runs)[0].parts] == ["d’", "autres"]


def test_soft_hyphens_show_only_at_the_end_of_a_line() -> None:
    word = f"Donau{SOFT}dampf{SOFT}schiff"
    [whole] = wrap(f"Die {word}", 400)
    assert all(SOFT not in part.shown and "-" not in part.shown for _, part in whole.parts)
    first, second = wrap(f"Die {word}", 90)
    assert "".join(part.shown for _, part in first.parts) == "Die Donaudampf-"
    assert "".join(part.shown for _, part in second.parts) == "schiff"
    assert first.width <= 90
    reader = read(f"# A {word}\n\nDie {word}")
    assert "Die Donaudampfschiff" in reader.pages[0].extract_text()
    assert reader.metadata and reader.metadata.title == "A Donaudampfschiff"


@pytest.mark.parametrize(
    ("language", "word", "width", "expected"),
    [
        ("de", "Bevölkerungsentwicklung", 80, "Bevölkerungs-"),
        ("en", "Responsibilities", 60, "Responsibil-"),
        ("ru", "Здравоохранение", 70, "Здравоохра-"),
        ("th", "Responsibilities", 60, "Responsibil-"),
        ("vi", "Responsibilities", 60, "Responsibil-"),
    ],
)
def test_words_wider_than_a_line_are_hyphenated_in_their_language(
    language: str, word: str, width: float, expected: str
) -> None:
    first, *_ = wrap(word, width, language=language)
    assert shown(first) == expected


@pytest.mark.parametrize(
    "word", ["GATTACAGATTACAGATTACA", "sha256abcdefghijklmnop", "customeridentifier_9", "g" * 40]
)
def test_words_that_may_be_codes_get_no_hyphen(word: str) -> None:
    for width in range(40, 100, 5):
        lines = [shown(line) for line in wrap(word, width, language="en")]
        assert "".join(lines) == word and len(lines) > 1
    assert "-" in "".join(shown(line) for line in wrap("Responsibilities", 60))


def test_thai_lines_break_between_words() -> None:
    words = ["ความ", "สำคัญ", "ต่างๆ", "ของ", "การ", "พัฒนา", "เศรษฐกิจ", "ใน", "ประเทศ", "ไทย"]
    for lines in many("".join(words) * 4):
        assert "".join(lines) == "".join(words) * 4
        for line in lines:
            assert line.startswith(tuple(words)) and line.endswith(tuple(words))


def test_no_line_of_a_broken_word_has_a_single_letter() -> None:
    for word in ("(responsibility),", "“Verantwortlichkeit”", "xkcdqwrtzpfgh", "Ἀθηναῖοι"):
        for width in range(30, 80):
            for line in [shown(line) for line in wrap(word, width)]:
                assert sum(map(str.isalpha, line)) > 1, (word, width)


def test_numbers_and_addresses_break_at_their_joints() -> None:
    first, *_ = wrap("https://example.org/wiki/Foo_(bar)/2024/some-page", 120)
    assert shown(first)[-1] in "/_-" and shown(first)[-1] != "("
    for lines in many("1,234,567.89 and 12,345,678"):
        assert not [line for line in lines if line[-1] in ",."]


def test_a_quarter_of_an_em_stands_between_han_and_latin_letters() -> None:
    for text in ("我们使用Python和2个工具", "これはひらがなAとカタカナ2です"):
        letters = sum(part.width for word in make_words([(text, Look())]) for part in word.parts)
        gaps = sum(a.isascii() != b.isascii() for a, b in pairwise(text))
        [line] = wrap(text, 400)
        assert line.width - letters == pytest.approx(gaps * BODY / 4)
        assert text in read(text).pages[0].extract_text()
    for text in ("使用，Python（x）", "用 Python 和", "한글Python과"):
        assert len(make_words([(text, Look())])[0].parts) > 0
        assert all(word.gap is None or word.gap.source for word in make_words([(text, Look())]))
    assert all(word.gap is None for word in make_words([("用x", Look(code=True))]))


def test_the_space_beside_han_is_not_extracted_as_a_space(tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    path.write_bytes(pdf.render("我们使用Python3编写程序，它在Windows上运行得很好而且很快。" * 8))
    found = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True)
    assert found.stdout.replace("\n", "").count("使用Python3编写程序，它在Windows上运行") == 8


def test_chinese_and_japanese_lines_are_flush_on_both_sides() -> None:
    chinese = "公司公布的数据显示本年度获得了多家评级机构给出的Python较高评级。" * 5
    japanese = "日本語の文章では、英単語の前後に四分アキを入れるのがAI一般的です。" * 5
    for text in (chinese, japanese):
        for width in range(200, 440, 11):
            lines = wrap(text, width, flush=True)
            for line in lines[:-1]:
                at, part = line.parts[-1]
                assert at + part.width == pytest.approx(width, abs=0.1)
            assert "".join(map(shown, lines)) == text
            assert not any(part.spacing for _, part in lines[-1].parts)


def test_only_paragraphs_of_chinese_and_japanese_are_flush() -> None:
    def spaced(markdown: str) -> bool:
        page: Any = read(markdown).pages[0]
        operations = page.get_contents().operations
        return any(operator == b"Tc" and operands != [0] for operands, operator in operations)

    assert spaced("公司公布的数据显示本年度获得了，" * 9)
    assert not spaced("한국어 문장은 양쪽 정렬을 하지 않습니다. " * 9)
    assert not spaced("English words and 汉字 in one line. " * 9)
    assert not spaced("公司公布的数据")


def test_vowel_signs_stay_on_letters_beside_right_to_left_text() -> None:
    [line] = wrap("ตอนที่ – हिन्दी टिप्पणी – هذا", 400)
    assert {"ที่", "हिन्दी", "टिप्पणी"} <= {part.source for _, part in line.parts}


def test_formulas_after_han_kana_and_hangul_are_set() -> None:
    root: Any = read(load("math-after-cjk")).trailer["/Root"]
    assert len(find(root["/StructTreeRoot"]["/K"], "Formula")) == 7

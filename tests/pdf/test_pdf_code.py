# ruff: noqa: RUF001
"""Blocks of code: colours, columns and scripts."""

import time
from itertools import pairwise
from typing import Any

import pytest
from pages import load, read

from beyond.pdf.code import COLOR_LIMIT, COLORS, make_code_lines
from beyond.pdf.fonts import get_face
from beyond.pdf.lines import Style
from beyond.pdf.paint import SHADE, color
from beyond.pdf.parts import INK, Part
from beyond.pdf.text import Text

CELL = get_face("Code").measure_text("0", 10)
LANGUAGES = {
    "python": "def f(x):\n    return f'{x}'  # note",
    "js": "const f = async (x) => `a ${x}`; // note",
    "ts": "interface A { x: number }",
    "json": '{"a": [1, true, null]}',
    "yaml": "a: 1\nb:\n  - 'x'  # note",
    "bash": 'for f in *.md; do echo "$f"; done # note',
    "sql": "SELECT a FROM b WHERE c = 'd' -- note",
    "java": "public class A { int x = 1; /* note */ }",
    "c++": '#include <map>\nint main() { return 0; } // note',
    "go": 'func main() { fmt.Println("x") } // note',
    "rust": "fn main() -> u32 { let x = 1; x } // note",
    "html": '<a href="x">text</a><!-- note -->',
}  # fmt: skip


def block(case: str) -> tuple[str, str]:
    """The first block of code in a draft, and the text beside its fence."""
    info, code = load(case).split("```")[1].split("\n", 1)
    return code.rstrip("\n"), info


def set_lines(code: str, info: str = "", room: float = 1000) -> list[list[tuple[float, Part]]]:
    """The parts of each line with their places, in points."""
    text = Text(make_code_lines(code, 10, info), Style(code=True))
    text.wrap(room, 0)
    return [line.parts for line in text.lines]


def contrast(name: str) -> Any:
    """The contrast between a colour and the shade of code, as WCAG 2 defines it."""
    light, dark = (
        sum(
            weight * (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4)
            for weight, part in zip((0.2126, 0.7152, 0.0722), color(one).rgb(), strict=True)
        )
        for one in (SHADE, name)
    )
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_of_code_has_enough_contrast() -> None:
    assert len(set(COLORS.values())) > 4
    assert min(map(contrast, COLORS.values())) > 4.5


def test_keywords_strings_and_comments_have_different_colours() -> None:
    made = {
        part.shown: part.look.color
        for line in set_lines(*block("code-colours"))
        for _, part in line
    }
    found = [next(color for text, color in made.items() if word in text)
             for word in ("def", '"""Sum', "# only", "total")]  # fmt: skip
    assert len(set(found)) == 4
    assert found[-1] is INK
    assert read(load("code-colours")).pages[0].extract_text().count("sodium") == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_is_coloured_and_keeps_its_text(language: str) -> None:
    code = LANGUAGES[language]
    made = set_lines(code, f"{language} title=x")
    assert "\n".join("".join(part.source for _, part in line) for line in made) == code
    assert len({part.look.color for line in made for _, part in line}) > 1


@pytest.mark.parametrize("info", ["", "nosuch", "text", "{", "🎉"])
def test_code_in_an_unknown_language_has_no_colours(info: str) -> None:
    made = set_lines("def f(): return 'x'", info)
    assert {part.look.color for line in made for _, part in line} == {INK}


def test_very_long_code_is_not_coloured_and_renders_in_time() -> None:
    start = time.process_time()
    made = make_code_lines("/" * (COLOR_LIMIT + 1), 10, "c")
    assert {part.look.color for word in made for part in word.parts} == {INK}
    make_code_lines("/" * COLOR_LIMIT, 10, "c")
    assert time.process_time() - start < 20


def test_han_takes_two_columns_so_that_bars_align() -> None:
    made = set_lines(*block("cjk-in-code"))
    assert [line[-1][1].source for line in made[2:]] == ["一", "二", "三"]
    # In the draft, too, the first of these lines has one more blank.
    assert [round(line[-1][0] / CELL, 3) for line in made[2:]] == [62, 61, 61]
    for line in made:
        for at, part in line:
            assert at / CELL == pytest.approx(round(at / CELL), abs=0.001)
            if part.font is not get_face("Code"):
                width = part.font.measure_text(part.shown, part.look.size)
                assert width == pytest.approx(2 * CELL * len(part.source), rel=0.001)


def test_code_keeps_vowel_signs_on_letters_and_sets_hebrew_and_arabic_from_the_right() -> None:
    thai, hindi, arabic, name, hebrew = set_lines(*block("scripts-in-code"))
    assert [part.source for _, part in thai if part.source.strip(" #4")] == [
        "ตอนที่", "เราจะเชื่อมโยงจาก",
    ]  # fmt: skip
    assert [part.source for _, part in hindi if part.source.strip(" #")] == [
        "यह", "एक", "हिन्दी", "टिप्पणी", "है",
    ]  # fmt: skip
    shaped = [part for line in (thai, hindi, arabic, name, hebrew) for _, part in line
              if part.glyphs]  # fmt: skip
    assert len(shaped) == 2 + 5 + 4 + 2 + 2
    assert [part.source for _, part in arabic if part.direction == "R"] == [
        "العربية", "باللغة", "تعليق", "هذا",
    ]  # fmt: skip
    text = "".join(part.source for _, part in hebrew)
    assert text.startswith("שם =") and text.endswith(
        '"'
    )  # outside strings, code runs from left to right


def test_coloured_code_breaks_where_plain_code_does() -> None:
    call = "result = client.execute_activity(charge, order_id, timeout=timedelta(seconds=5))"

    def starts(info: str) -> list[str]:
        return ["".join(part.source for _, part in line) for line in set_lines(call, info, 300)]

    assert starts("python") == starts("")
    assert len(starts("")) > 1


def test_soft_hyphens_in_code_are_removed() -> None:
    [line] = set_lines("a\u00adb")
    assert [part.source for _, part in line] == ["ab"]


def test_code_in_any_script_is_printed_in_any_width() -> None:
    code = "x = '汉字 かな 한글 ไทย हिन्दी العربية עברית é̄ ✔ 𝒩 ﬁ' # 注释 (שלום)"
    for width in range(60, 400, 20):
        made: Any = set_lines(code, "python", width)
        text = "".join(part.source for line in made for _, part in line)
        assert sorted(text.replace(" ", "")) == sorted(code.replace(" ", ""))


def test_no_line_of_code_breaks_within_empty_brackets() -> None:
    code = "find . -exec describe {} --now call(a, {}) { run() }"
    for room in range(100, 300, 2):
        lines = ["".join(part.source for _, part in line) for line in set_lines(code, room=room)]
        assert "".join(lines) == code
        ends = [above[-1] + below[0] for above, below in pairwise(lines)]
        assert not {"()", "{}"}.intersection(ends)

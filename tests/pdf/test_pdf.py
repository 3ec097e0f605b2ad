"""What a person sees, finds and clicks in a report, for any draft."""

import hashlib
import re
import sys
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machine import run_python
from pages import notes_of, pieces, read, text_of, texts
from pypdf import PdfReader

from beyond import markdown as drafts
from beyond import pdf

MEGABYTE = 1_000_000
BUDGET = 60  # seconds for a megabyte: four times the goal, as test machines are shared


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def links(reader: PdfReader) -> list[str]:
    notes = [note for page in reader.pages for note in notes_of(page)]
    return [note["/A"]["/URI"] for note in notes if "/A" in note]


def fonts(reader: PdfReader) -> dict[str, bool]:
    """Each font's name, and whether it is embedded."""
    found = {}
    for page in reader.pages:
        resources: Any = page["/Resources"]
        for font in resources["/Font"].values():
            font = font.get_object()
            font = font["/DescendantFonts"][0] if "/DescendantFonts" in font else font
            descriptor = font["/FontDescriptor"].get_object()
            name = font["/BaseFont"].removeprefix("/").split("+")[-1]
            found[name] = "/FontFile2" in descriptor
    return found


def outline(reader: PdfReader) -> list[Any]:
    def titles(entries: list[Any]) -> list[Any]:
        return [titles(e) if isinstance(e, list) else e.title for e in entries]

    return titles(reader.outline)


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("A **bold**, *leaning* `code` ~~gone~~ word.", "A bold, leaning code gone word."),
        ("office affluent fjord efficient", "office affluent fjord efficient"),
        ("`a -> b != c`", "a -> b != c"),
        ("one<br>two<BR />three", "one\ntwo\nthree"),
        ("one\ntwo", "one two"),
        ("H<sub>2</sub>O &lt;b&gt; &amp;amp; <para>", "H2O <b> &amp; <para>"),
        ("<div>\n<p>raw\n</div>", "raw"),
        ("- one\n- two\n  1. three\n  2. four", "• one\n• two\n1. three\n2. four"),
        ("1. one\n\n   more\n2.\n3. three", "1. one\nmore\n2.\n3. three"),
        ("> quoted\n> > deeper", "quoted\ndeeper"),
        ("```py\nif x:\n    y()\n```", "if x:\n    y()"),
        ("above\n\n---\n\nbelow", "above\nbelow"),
        ("![A chart](https://x.org/c.png)", "A chart"),
        (
            "![](https://x.org/c.png) ![](https://x.org/a d.png) ![B](https://img.shields.io/x.svg)",
            "c.png a d.png",
        ),
        ("![x](data:image/png;base64,AAAA) ![y](data:image/svg+xml;base64,AAAA)", "x y"),
        ("Done 🎉 👩\u200d🚀 ⚠️", "Done ⚠"),
        ("\ue000 \u0378 \U00020000", "[U+E000] [U+0378] [U+20000]"),
        ("a\x00b\x07c\ufeffd\u200be\ud800", "abcde[U+D800]"),
    ],
)
def test_each_construct_is_printed_as_its_text(markdown: str, expected: str) -> None:
    assert text_of(markdown).split() == expected.split()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Oceans cover the Earth"),
        ("ru", "Океаны покрывают Землю"),
        ("el", "Θάλασσα καλύπτει Γη"),
        ("ar", "المحيطات تغطي سطح الأرض والسلام"),
        ("he", "האוקיינוסים מכסים את שָׁלוֹם"),
        ("th", "มหาสมุทรปกคลุมพื้นผิวโลก น้ำทะเล"),
        ("hi", "महासागर पृथ्वी क्षेत्र विद्यार्थी"),
        ("ka", "ოკეანეები ფარავს დედამიწას"),
        ("zh-Hans", "海洋覆盖了地球表面的大部分"),
        ("zh-Hant", "海洋覆蓋了地球表面的大部分個"),
        ("ja", "海洋は地球の表面を覆っています"),
        ("ko", "바다는 지구 표면을 덮고 있다"),
        ("bn", "সমুদ্র পৃথিবী ক্ষেত্র"),
        ("ta", "கடல்கள் பூமியை மூடுகின்றன"),
        ("hy", "Օվկիանոսները ծածկում են Երկիրը"),
        ("am", "ውቅያኖሶች ምድርን ይሸፍናሉ"),
    ],
)
def test_text_of_each_script_is_embedded_and_can_be_searched(language: str, text: str) -> None:
    reader = read(text, topic=text)
    assert reader.root_object.get("/Lang") == language
    shown = unicodedata.normalize("NFC", reader.pages[0].extract_text())
    for word in unicodedata.normalize("NFC", text).split():
        assert squeezed(shown).count(word) == 2, f"{word} in topic and text of {shown}"
    assert all(fonts(reader).values())


def test_each_look_has_its_own_embedded_font() -> None:
    looks = "plain **bold** *leaning* ***both*** `code` **`bold code`**"
    assert fonts(read(looks)) == dict.fromkeys(
        [
            *("FiraGO-Regular", "FiraGO-Bold", "FiraGO-Italic", "FiraGO-BoldItalic"),
            *("CascadiaMono-Regular", "CascadiaMono-Bold"),
        ],
        True,
    )


def test_only_web_and_mail_links_are_live() -> None:
    draft = (
        "[web](https://a.org/b?c=(d)&e) [mail](mailto:a@b.org) <http://auto.org> [rel](other.md)"
        " [ftp](ftp://a.org) [js](javascript:alert(1)) [file](file:///etc/passwd)"
    )
    reader = read(draft)
    assert links(reader) == ["https://a.org/b?c=(d)&e", "mailto:a@b.org", "http://auto.org"]
    for word in ("web", "mail", "rel", "ftp", "js", "file"):
        assert word in reader.pages[0].extract_text()


def test_the_outline_skips_no_level_if_headings_do() -> None:
    draft = "### deep\n# one\n#### jump\n##### *more*\n## back\n# two 🎉"
    expected = ["deep", "one", ["jump", ["more"], "back"], "two"]
    assert outline(read(draft)) == expected


def test_a_heading_of_several_pages_is_in_the_outline_once() -> None:
    reader = read("# " + "word " * 1500)
    assert len(reader.pages) > 1
    assert len(outline(reader)) == 1


def test_topic_becomes_the_title_and_pages_are_numbered() -> None:
    reader = read("word\n\n" * 100, topic=" Tides of the sea\n", workflow_id="research-42")
    assert reader.metadata is not None
    assert reader.metadata.title == "Tides of the sea"
    assert reader.metadata.subject == "Tides of the sea"
    assert reader.metadata.keywords == "research-42"
    assert reader.pages[0].mediabox[2:] == [612, 792]
    first, *_, last = (page.extract_text() for page in reader.pages)
    assert " ".join(first.split()).startswith("Research Report Tides of the sea word")
    assert re.search(rf"{len(reader.pages)} /\s*{len(reader.pages)}$", last.strip())


@pytest.mark.parametrize(
    ("draft", "topic", "title", "subject"),
    [
        ("# Why *Do* Cats Purr?\n\nThey do.", "why do cats purr? 🐱", "Why Do Cats Purr?", ""),
        ("They do.", "why do cats purr?", "why do cats purr?", "why do cats purr?"),
        ("They do.\n\n### And dogs?", "Cats.\nDo not mention dogs", "And dogs?", ""),
        ("They do.", "why " * 31, "Research Report", ""),
        ("Sie tun es nicht für die Katze.", "", "Sie tun es nicht für die Katze.", ""),
        ("海洋覆盖了地球表面的大部分", "", "海洋覆盖了地球表面的大部分", ""),
        ("", "", "Research Report", ""),
        ("Here it is:\n\n# One\n\nx\n\n# Two\n\ny", "The sea?", "The sea?", "The sea?"),
        ("#\n\n## Dogs\n\nThey do.", "cats", "cats", "cats"),
        ("They do.", "One\rTwo", "Research Report", ""),
        ("## Food\n\nMice.\n\n## Sleep\n\nLong.", "cats", "cats", "cats"),
        ("## Food\n\nMice.\n\n## Sleep\n\nLong.", "cats\nand dogs", "Food", ""),
        ("## Food\n\nMice.\n\n### Sleep\n\nLong.", "cats", "Food", ""),
        ("# Food\n\nMice.\n\n# Sleep\n\nLong.", "cats", "Food", ""),
        ("They do.", "Cats 🚀 and ✅ dogs", "Cats and ✔ dogs", "Cats and ✔ dogs"),
    ],
)
def test_a_report_has_the_title_of_its_draft_or_else_its_topic(
    draft: str, topic: str, title: str, subject: str
) -> None:
    reader = read(draft, topic=topic)
    assert reader.metadata
    assert (reader.metadata.title, reader.metadata.subject) == (title, subject)
    text = " ".join(reader.pages[0].extract_text().split())
    assert text.count(title) == 1 or (title, draft) == ("Research Report", "")
    assert "mention" not in text


@pytest.mark.parametrize(
    ("draft", "is_english"),
    [
        ("# Bees 🐝\n\nBees — since 1850 — “dance”.", True),
        ("# Bites\n\nBites vāc nektāru un ražo medu.", False),
        ("# Pčele\n\nPčele skupljaju nektar.", False),
        ("# Bienen\n\nSie fliegen über Wiesen.", False),
    ],
)
def test_only_a_draft_without_foreign_letters_can_pass_for_english(
    draft: str, is_english: bool
) -> None:
    assert ("Research Report" in texts(draft)[0]) == is_english


def test_long_titles_are_cut_between_words() -> None:
    reader = read("# " + "responsibilities " * 20 + "\n\n## " + "responsibilities " * 20)
    assert reader.metadata and reader.metadata.title
    for title in (reader.metadata.title, outline(reader)[0], outline(reader)[1][0]):
        assert set(title.removesuffix("…").split()) == {"responsibilities"}
        assert title.endswith("…") and len(title) <= 121


def test_a_table_fits_the_page_and_repeats_its_header() -> None:
    long = "a sentence that has to wrap in its cell " * 3
    rows = "".join(f"| row{i} | {long} | {'endless' * 30} |\n" for i in range(40))
    reader = read(f"| No | Text | Word |\n|---:|:---:|---|\n{rows}")
    assert len(reader.pages) > 2
    for page in reader.pages:
        assert "No Text Word" in " ".join(page.extract_text().split())
        assert all(72 <= x <= 540 for x in positions(page))
    words = " ".join(page.extract_text() for page in reader.pages).split()
    assert [word for word in words if word.startswith("row")] == [f"row{i}" for i in range(40)]


def test_a_cell_taller_than_a_page_is_split_and_keeps_its_words() -> None:
    words = " ".join(f"w{i}" for i in range(5000))
    reader = read(f"|a|b|\n|-|-|\n|{words}|short|\n|last|row|")
    text = " ".join(page.extract_text() for page in reader.pages)
    assert set(words.split()) <= set(text.split())


def test_text_stays_within_the_margins() -> None:
    draft = "\n\n".join(
        [
            *("w" * 3000, "`" + "c" * 500 + "`", "```\n" + "x = 1; " * 100 + "\n```", "ก" * 500),
            *("汉字" * 300, "ש" * 500, "1234567. number", "- " * 60 + "deep", "> " * 60 + "deep"),
        ]
    )
    for page in read(draft).pages:
        assert all(72 <= x <= 540 for x in positions(page))


def positions(page: Any) -> list[float]:
    """Where stretches of text on a page begin, in points from its left edge."""
    return [x for text, x, _, _ in pieces(page) if not re.match(r"\d+ /|\d+$", text)]


def test_equal_drafts_give_equal_bytes_in_another_process_whatever_came_before() -> None:
    """A retry on another Worker recognizes the file of the first attempt by its bytes."""
    # Two languages with as many letters each, a note, glyphs, a formula, a table, code.
    draft = "ע ท [^1] $x^2$ \U0001d53c क्षेत्र 你好 🎉\n\n|1|\n|-|\n|2|\n\n```py\nx\n```\n\n[^1]: `a`"
    pdf.render("другой текст महासागर السلام")
    program = (
        "import hashlib; from beyond import pdf;"
        f"print(hashlib.md5(pdf.render({draft!r}, workflow_id='w')).hexdigest())"
    )
    made = {run_python(program, PYTHONHASHSEED=seed).strip() for seed in "12"}
    assert made == {hashlib.md5(pdf.render(draft, workflow_id="w")).hexdigest()}
    assert pdf.render(draft, workflow_id="x") != pdf.render(draft, workflow_id="w")


def test_one_draft_is_rendered_at_a_time() -> None:
    pdf.render("# Bees")  # loads the fonts
    with ThreadPoolExecutor(1) as thread:
        with pdf.one_at_a_time:
            waiting = thread.submit(pdf.render, "# Bees")
            time.sleep(0.5)
            assert not waiting.done()
        assert waiting.result().startswith(b"%PDF")


def test_rendering_opens_no_file_and_no_connection() -> None:
    pdf.render("warm up 你好 `code` **b** *i* ***bi***")
    touched: list[str] = []
    watching = True

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if watching and event in ("open", "socket.connect", "socket.getaddrinfo", "urllib.Request"):
            touched.append(f"{event} {args}")

    sys.addaudithook(watch)  # cannot be removed, hence `watching`
    pdf.render(
        "<img src=/etc/passwd> <img src='http://localhost/x.png'/> <para><b>\n\n"
        "![x](file:///etc/passwd) ![y](http://localhost/y.png) ![z](/etc/passwd)\n\n"
        '<img src="/etc/passwd">\n<a href="x"><link rel="stylesheet" href="http://localhost/">'
    )
    watching = False
    assert touched == []


def test_a_block_that_cannot_be_set_is_printed_as_its_source(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug in tables")

    monkeypatch.setattr("beyond.pdf.tables.share_width", broken)
    text = text_of("before\n\n|a|b|\n|-|-|\n|c|d|\n\n> after")
    lines = [line.strip() for line in text.splitlines()]
    assert lines == ["before", "|a|b|", "|-|-|", "|c|d|", "after"]
    assert "Lines 3 to 5" in caplog.text and "a bug in tables" in caplog.text
    notes = squeezed(text_of("before[^1]\n\n[^1]: A note.\n\n    |a|b|\n    |-|-|\n\nafter"))
    assert notes.startswith("before[1]after")
    assert "[^1]:Anote." in notes and "|a|b||-|-|" in notes


def test_a_draft_that_cannot_be_parsed_is_printed_as_its_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(drafts, "make_tokens", broken)
    assert text_of("# a\n\n*b*").split() == ["#", "a", "*b*"]


@pytest.mark.parametrize(
    "draft",
    [
        pytest.param(">" * 10_000 + "end", id="quotes"),
        pytest.param("- " * 10_000 + "end", id="lists"),
        pytest.param("[" * 10_000 + "end" + "]" * 10_000, id="brackets"),
        pytest.param("![" * 10_000 + "end" + "](x)" * 10_000, id="images"),
        pytest.param("*" * 10_000 + "end" + "*" * 10_000, id="stars"),
        pytest.param("".join("  " * i + "- a\n" for i in range(300)) + "\nend", id="deep list"),
        pytest.param("|" + "a|" * 1000 + "\n|" + "-|" * 1000 + "\n|end|", id="1,000 columns"),
        pytest.param("|a|\n|-|\n|" + "w" * 50_000 + "end|", id="endless cell"),
        pytest.param("| |\n|-|\n| |\n\nend", id="empty table"),
        pytest.param("<" * 5000 + "end", id="angles"),
        pytest.param("&" * 5000 + "&#0;&#xd800;&nosuch;end", id="entities"),
        pytest.param("# " + "x" * 20_000 + "\n\nend", id="endless heading"),
        pytest.param("#\n\n-\n\n>\n\n1.\n\n```\n```\n\n~~~\nend", id="empty constructs"),
        pytest.param("".join(map(chr, range(0x0800))) + "\n\nend", id="all characters"),
        pytest.param("\u202e\u2066\u200fend\u2069", id="bidi controls"),
        pytest.param("e" + "\u0301" * 5000 + " end", id="marks"),
        pytest.param("שלום " + "(" * 5000 + " end", id="rtl brackets"),
        pytest.param("999999999. a\n1. end", id="large number"),
    ],
)
def test_hostile_drafts_are_printed_in_time(draft: str) -> None:
    start = time.process_time()
    assert "end" in squeezed(text_of(draft))
    assert time.process_time() - start < BUDGET


@pytest.mark.parametrize("draft", ["", " ", "\n\n", "\x00", "\ud800", "\u200d", "[a]: /url"])
def test_empty_drafts_give_one_page(draft: str) -> None:
    assert len(read(draft).pages) == 1


@pytest.mark.parametrize(
    "draft",
    [
        pytest.param("- item ab\n" * (MEGABYTE // 10), id="100,000 items"),
        pytest.param("|a|b|\n|-|-|\n" + "|c|d|\n" * 150_000, id="150,000 rows"),
        pytest.param("[" * 30_000, id="30,000 brackets"),
        pytest.param("*" * 40_000, id="40,000 asterisks"),
        pytest.param("质量不错但是物流太慢了" * 3_545, id="39,000 Chinese characters"),
        pytest.param("```\n" + "x = foo(bar)  # comment\n" * 42_000 + "```", id="code"),
        pytest.param("```\n" + "ж = 质量(ю) # ▶─│\n" * 25_000 + "```", id="code in any script"),
    ],
)
def test_long_drafts_render_in_time(draft: str) -> None:
    """More kinds of text are in test_linear_time.py."""
    start = time.process_time()
    pdf.render(draft)
    assert time.process_time() - start < BUDGET


WORDS = st.text(st.characters(categories=["Ll", "Lu", "Lo", "Nd"], max_codepoint=0x24F), min_size=1)
CONSTRUCTS = st.sampled_from(
    [
        *("{}", "# {}", "**{}** x", "*{}*", "- {}", "7. {}", "> {}", "`{}`", "> - {}", "    {}"),
        *("|{}|b|\n|-|-|\n|c|d|", "```\n{}\n```", "[{}](http://x.org)", "~~{}~~", "- > 1. {}"),
    ]
)
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@PROPERTY
@given(st.lists(st.tuples(CONSTRUCTS, st.lists(WORDS, min_size=1, max_size=5)), max_size=8))
def test_every_word_of_markdown_is_printed(parts: list[tuple[str, list[str]]]) -> None:
    text = text_of("\n\n".join(form.format(" ".join(words)) for form, words in parts))
    shown = squeezed(text.replace("-\n", ""))  # a word that is wider than its line is hyphenated
    for _, words in parts:
        for word in words:
            assert unicodedata.normalize("NFC", word) in shown


@PROPERTY
@given(
    st.text(st.characters()) | st.text("#>-*_`~[]()!|<br/>&;:1. \t\n\\aé\u0301א汉🎉"),
    st.text(),
    st.text(st.characters()),
)
def test_any_text_renders_in_time(draft: str, topic: str, workflow_id: str) -> None:
    start = time.process_time()
    assert len(read(draft, topic=topic, workflow_id=workflow_id).pages) >= 1
    assert time.process_time() - start < BUDGET

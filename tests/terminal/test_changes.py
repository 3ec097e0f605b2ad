"""Which changes are found between two drafts, and how they are shown."""

import random
import time

import pytest

from beyond.terminal.changes import Paragraph, compare, show_changes, summarize

MARKS = {"": "{}", "-": "[-{}-]", "+": "{{+{}+}}", "note": "{}"}

REPORT = """\
# Bees

## Honey

They make honey in a hive of wax, and store it in cells.

- It keeps for years.
- It is sweet.

## Work

| Bee | Task | Days |
|---|---|--:|
| Worker | nectar | 40 |
| Drone | mating | 55 |
| Queen | eggs | 1,500 |

One bee visits a thousand flowers a day.
It dances to tell where they are.
"""


def view(old: str, new: str) -> list[str]:
    lines = show_changes(compare(old, new))
    return ["".join(MARKS[mark].format(text) for mark, text in line) for line in lines]


def change(old: str, new: str) -> list[str]:
    """The view of a report in which the one was replaced by the other."""
    assert old in REPORT
    return view(REPORT, REPORT.replace(old, new))


def summary(old: str, new: str) -> str:
    return summarize(compare(old, new))


def test_changed_words_are_marked_and_unchanged_paragraphs_folded_under_their_heading() -> None:
    assert change("wax, and store", "comb, and keep") == [
        "… 2 paragraphs as before (## Honey)",
        "They make honey in a hive of [-wax-]{+comb+}, and [-store-]{+keep+} it in cells.",
        "… 5 paragraphs as before (## Work)",
    ]


def test_folded_paragraphs_name_their_heading_even_if_another_change_follows() -> None:
    new = REPORT.replace("## Work", "## Hard Work").replace("a day", "an hour")
    assert view(REPORT, new)[-2:] == [
        "… 1 paragraph as before (## Hard Work)",
        "One bee visits a thousand flowers [-a day-]{+an hour+}. It dances to tell where they are.",
    ]


def test_lines_that_break_elsewhere_count_as_unchanged() -> None:
    new = REPORT.replace("thousand flowers a day.\nIt", "thousand\nflowers a day. It")
    assert summary(REPORT, new.replace("\n", "\r\n")) == "0 of 8 paragraphs changed"


def test_a_table_is_one_paragraph_whose_changed_rows_follow_its_headings() -> None:
    new = REPORT.replace("| Drone | mating | 55 |", "| Drone | rest | 15.5 |")
    assert summary(REPORT, new) == "1 of 8 paragraphs changed"
    assert view(REPORT, new)[1].splitlines() == [
        "| Bee | Task | Days |",
        "… 1 row as before",
        "| Drone | [-mating-]{+rest+} | [-55-]{+15.5+} |",
        "… 1 row as before",
    ]


def test_a_row_with_all_new_numbers_is_matched_by_its_first_cell() -> None:
    old = "| City | 2023 | 2024 |\n|---|---|---|\n| New York | 5.1 | 5.2 |\n| Rome | 3 | 4 |"
    new = "| City | 2023 | 2024 |\n|---|---|---|\n| Rome | 7 | 8 |\n| New York | 6.4 | 6.9 |"
    lines = view(old, new)[0].splitlines()
    assert sum(" York | [-5.1-]{+6.4+} | [-5.2-]{+6.9+} |" in line for line in lines) == 1
    assert sum("| Rome | [-3-]{+7+} | [-4-]{+8+} |" in line for line in lines) == 1
    assert sum(line.startswith("moved and changed: ") for line in lines) == 1


def test_only_the_changed_lines_of_code_are_shown() -> None:
    old = "```python\n# Bees\ndef fly():\n\n    return far\n```"
    assert view(old, old.replace("far", "near"))[0].splitlines() == [
        "… 4 lines as before",
        "    return [-far-]{+near+}",
        "… 1 line as before",
    ]


def test_a_moved_paragraph_is_marked_as_moved() -> None:
    paragraph = "They make honey in a hive of wax, and store it in cells.\n\n"
    new = REPORT.replace(paragraph, "") + f"\n{paragraph}"
    assert summary(REPORT, new) == "0 of 8 paragraphs changed, 1 moved"
    assert view(REPORT, new)[-1] == f"moved: {paragraph.strip()}"


def test_a_moved_and_changed_paragraph_is_marked_as_both() -> None:
    paragraph = "They make honey in a hive of wax, and store it in cells.\n\n"
    new = REPORT.replace(paragraph, "") + "\n" + paragraph.replace("wax", "comb")
    assert summary(REPORT, new) == "1 of 8 paragraphs changed, 1 moved"
    assert view(REPORT, new)[-1].startswith("moved and changed: They make honey in a hive of [-wax")


def test_new_and_deleted_paragraphs_are_counted_and_shown_in_their_places() -> None:
    new = REPORT.replace("- It keeps for years.\n", "").replace("## Work", "## Work\n\nA lot.")
    assert summary(REPORT, new) == "0 of 8 paragraphs changed, 1 new, 1 deleted"
    assert view(REPORT, new)[1:4] == [
        "[-- It keeps for years.-]",
        "… 2 paragraphs as before (## Work)",
        "{+A lot.+}",
    ]


def test_a_paragraph_that_shares_few_words_is_new_and_follows_the_deleted_one() -> None:
    new = "They are yellow, and nobody knows why."
    assert change("They make honey in a hive of wax, and store it in cells.", new)[1:3] == [
        "[-They make honey in a hive of wax, and store it in cells.-]",
        f"{{+{new}+}}",
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("销量达到1286.6万辆。", "销量达到1301万辆。", "销量达到[-1286.6-]{+1301+}万辆。"),
        ("锂电池的成本较低。", "锂电池的价格较低。", "锂电池的[-成本-]{+价格+}较低。"),
        ("配送が遅かったです。", "配送が早かったです。", "配送が[-遅-]{+早+}かったです。"),
        ("ราคาสูงมาก", "ราคาต่ำมาก", "ราคา[-สูง-]{+ต่ำ+}มาก"),
        ("मुख्य शिकायत और", "मुख्य शिकायत एवं", "मुख्य शिकायत [-और-]{+एवं+}"),
        ("up 15.1 % to 10M", "up 13.9 % to 20M", "up [-15.1-]{+13.9+} % to [-10M-]{+20M+}"),
        ("one two, three four", "1 2, three four", "[-one two-]{+1 2+}, three four"),
        ("a b c d e f", "a X c Y e f", "a [-b c d-]{+X c Y+} e f"),
    ],
)
def test_changes_are_marked_by_whole_words_in_each_script(old: str, new: str, told: str) -> None:
    assert view(old, new) == [told]


def test_the_first_draft_is_all_new() -> None:
    assert compare("", "Bees.") == [Paragraph("", "Bees.")]


def words(number: int) -> str:
    """Words with the frequencies of English, where one in twenty is "the"."""
    return " ".join(f"w{int(20 * random.paretovariate(1))}" for _ in range(number))


@pytest.mark.parametrize("join", ["\n\n", "\n- ", "\n| a | ", " "], ids=repr)
def test_a_draft_of_100_kb_is_compared_in_less_than_half_a_second(join: str) -> None:
    random.seed(1)
    old = join.join(words(40) for _ in range(600))
    new = old.replace("w25 ", "new ").replace("w300 ", "")
    assert len(old) > 100_000
    began = time.process_time()
    summary(old, new)
    assert time.process_time() - began < 0.5


def test_a_draft_of_equal_lines_is_compared_in_time() -> None:
    began = time.process_time()
    assert summary("- same\n" * 9_000, "- same\n" * 9_001) == "0 of 9001 paragraphs changed, 1 new"
    assert time.process_time() - began < 0.5

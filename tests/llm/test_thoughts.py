"""A model's thoughts, which are not its report."""

import time
from typing import Any

import pytest

from beyond.llm.thoughts import split_thoughts, take_out_thoughts

THOUGHTS = "The reader wants a short text about tea. I will leave out the history."
REPORT = "# Tea\n\nTea is a leaf.\n\nIt is steeped in water."


@pytest.mark.parametrize("report", [REPORT, "Tea is a leaf."], ids=["heading", "prose"])
@pytest.mark.parametrize(
    "around",
    [
        "<think>\n{}\n</think>\n\n",
        "\n<think>\n{}\n</think>\n\n",
        "<think>{}</think>",
        "<THINK>\n{}\n</THINK>\n",
        "<thinking>{}</thinking>\n",
        "<Thought>\n{}\n</Thought>\n",
        "<thoughts>{}</thoughts>",
        "<reasoning>\n{}\n</reasoning>\n",
        '<reasoning effort="high">\n{}\n</reasoning>\n',
        "<seed:think>{}</seed:think>",
        "[THINK]{}[/THINK]",
        "◁think▷{}◁/think▷",
        "<|START_THINKING|>{}<|END_THINKING|>",
        "<|channel>thought\n{}<channel|>",
        "{}\n</think>\n\n",
        "{}</think>",
        "{}[/THINK]",
        "{} I end with </think> then.\n</think>\n\n",
        "Sure, I will write that.\n<think>\n{}\n</think>\n\n",
        "Okay\n\n<think>\n{}\n</think>\n\n",
        "Let me see. <think>{}</think>\n\n",
        "<think>\n{}\n</think>\n<think>\nThe second part.\n</think>\n\n",
        "<think>\n{}\n<think>\nOnce more.\n</think>\nDone.\n</think>\n\n",
        "<think>\n{}\n```python\nprint(1)\n</think>\n\n",
        "<think>\nI write `</think>` behind it. {}\n</think>\n\n",
        "<think>\n# A plan\n{}\n</think>\n\n",
        "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|start|>assistant<|channel|>analysis<|message|>{}<|end|>"
        "<|start|>assistant<|channel|>final <|constrain|>markdown<|message|>",
        "analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
        "{}<|end|><|start|>assistant<|channel|>final<|message|>",
        "analysis{}assistantfinal",
    ],
)
def test_thoughts_at_the_beginning_are_taken_out(around: str, report: str) -> None:
    thoughts, draft = split_thoughts(around.format(THOUGHTS) + report)
    assert draft == report
    assert THOUGHTS in thoughts
    assert not thoughts.startswith(("<", "[", "◁"))


@pytest.mark.parametrize(
    "answer",
    [
        "<think>\n{}",
        "\n\n<think>{}",
        "[THINK]{}",
        "Sure.\n<think>\n{}",
        "<think>{}</think>",
        "<think>\n{}\n</think>\n\n",
        "{}\n</think>",
        "<|channel|>analysis<|message|>{}",
        "<|channel|>analysis<|message|>{}<|end|>",
    ],
)
def test_thoughts_alone_leave_no_report(answer: str) -> None:
    thoughts, draft = split_thoughts(answer.format(THOUGHTS))
    assert draft == ""
    assert THOUGHTS in thoughts


@pytest.mark.parametrize(
    "report",
    [
        "# The mark <think>\n\nA model closes it with\n</think>\nand goes on.",
        "# Marks\n\n<think>\nan example\n</think>\n\nThat was one.",
        "Models write `<think>` first.\n\nThey end with `</think>`.\n",
        "DeepSeek writes <think> before its answer. It closes that with </think>, always.",
        "Tags: <think> opens, </think> closes. That is all.",
        "```\n<think>\nan example\n</think>\n```\n\nSuch is the format.",
        "Long ago, models had no marks.\n\nToday:\n\n```\nPlan.\n</think>\n```\n",
        "A paragraph of its own.\n\nAnother one.\n\n<think>\nan example\n</think>\n\nThe end.",
        "# Harmony\n\nIt begins with <|start|>assistant<|channel|>final<|message|> there.",
        "Analysis of the market: the assistant final says no.",
        "analysis of the market",
        "It ends with `<|im_end|>`",
        "```\nhello<|im_end|>\n```",
        "| a | b |\n| --- | --- |\n| 1 | 2 |",
        "  indented\n",
        "",
    ],
)
def test_a_report_about_thought_marks_loses_nothing(report: str) -> None:
    assert split_thoughts(report) == ("", report)


@pytest.mark.parametrize(
    "report", ["# Marks\n\nA `</think>` ends thoughts.", "It closes with </think>, always."]
)
def test_a_report_about_thought_marks_loses_only_its_own_thoughts(report: str) -> None:
    assert split_thoughts(f"<think>\n{THOUGHTS}\n</think>\n\n{report}") == (THOUGHTS, report)


@pytest.mark.parametrize(
    "token",
    [
        "<|im_end|>",
        "\n<|eot_id|>",
        "<|endoftext|>",
        "<|return|>",
        "<|end|>",
        "</s>",
        "<eos>",
        "<end_of_turn>\n",
        "<\uff5cend▁of▁sentence\uff5c>",
        "<|im_end|>\n<|endoftext|>",
    ],
)
def test_end_tokens_are_taken_out(token: str) -> None:
    assert split_thoughts(REPORT + token) == ("", REPORT)


@pytest.mark.parametrize(
    "parts",
    [
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHTS}]},
            {"type": "text", "text": REPORT},
        ],
        [{"type": "thinking", "thinking": THOUGHTS}, {"type": "output_text", "text": REPORT}],
        [{"type": "text", "text": f"<think>{THOUGHTS}</think>"}, REPORT],
        [
            {"type": "reasoning", "reasoning": THOUGHTS},
            {"type": "text", "text": REPORT[:9]},
            {"type": "text", "text": REPORT[9:]},
        ],
    ],
)
def test_the_text_parts_of_a_content_are_the_report(parts: list[Any]) -> None:
    message: dict[str, Any] = {"content": parts}
    take_out_thoughts(message)
    assert message == {"content": REPORT, "reasoning_content": THOUGHTS}


def test_thoughts_are_added_to_those_that_the_provider_keeps_apart() -> None:
    message = {"content": f"<think>{THOUGHTS}</think>{REPORT}", "reasoning_content": "First."}
    take_out_thoughts(message)
    assert message == {"content": REPORT, "reasoning_content": f"First.\n\n{THOUGHTS}"}


@pytest.mark.parametrize(
    "answer",
    [
        "x" * 1_900_000,
        "x y" * 600_000,
        "蜂" * 600_000,
        " " * 500_000,
        "<think>" * 100_000,
        "`" * 500_000,
        "a." * 300_000,
        "</think> " * 80_000,
        "\n```" * 100_000,
    ],
    ids=lambda answer: str(answer[:8]),
)
def test_thoughts_are_found_quickly_in_any_answer(answer: str) -> None:
    started = time.monotonic()
    split_thoughts(answer)
    assert time.monotonic() - started < 5

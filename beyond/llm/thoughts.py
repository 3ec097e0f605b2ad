"""Separates a model's thoughts from its report.

Reasoning models mark their thoughts. A provider's API returns them in a separate field, but many
local servers and gateways leave them, with the marks, at the beginning of the answer.
"""

import re
from typing import Any

THOUGHT_TAG = r"(?:\w+:)?(?:think(?:ing)?|thoughts?|reasoning)(?:\s[^<>\n]*)?"
# The marks of DeepSeek, Qwen and most others; of Magistral; of Command; of Kimi; of Gemma.
OPEN = rf"(?:<{THOUGHT_TAG}>|\[THINK\]|<\|START_THINKING\|>|◁think▷|<\|channel>thought)"
CLOSE = rf"(?:</{THOUGHT_TAG}>|\[/THINK\]|<\|END_THINKING\|>|◁/think▷|<channel\|>)"
OPENING_MARK = re.compile(rf"\s*{OPEN}", re.IGNORECASE)
ANY_OPENING = re.compile(OPEN, re.IGNORECASE)
CLOSING_MARK = re.compile(CLOSE, re.IGNORECASE)
# A sentence such as "Sure, I will write that report." may come before the thoughts. A heading or
# code does not: it begins a report about such marks.
FIRST_LINE = r"(?=\S)[^\n<\[◁#`|]{1,200}"
OPENING_AFTER_SENTENCE = re.compile(rf"\s*{FIRST_LINE}[.!?…][ \t]*{OPEN}", re.IGNORECASE)
OPENING_AFTER_LINE = re.compile(rf"\s*{FIRST_LINE}\n\s*{OPEN}", re.IGNORECASE)
# The chat template may have written the opening mark into the prompt. A closing one alone ends
# thoughts if it follows a sentence or begins a line; in the middle of a sentence, it is quoted.
LONE_CLOSING = re.compile(rf"(?:(?<=[.!?:…)\]\"'”*])[ \t]*|^[ \t]*){CLOSE}", re.I | re.M)

# The channels of gpt-oss: "final" is the report. Some servers leave out their marks.
CHANNEL_NAME = r"(?:analysis|commentary|final)\b[^<\n]{0,80}"
CHANNELS = re.compile(
    rf"\s*(?:<\|start\|>assistant)?(?:<\|channel\|>\s*)?{CHANNEL_NAME}<\|message\|>"
)
FINAL_CHANNEL = re.compile(
    r"<\|channel\|>\s*final\b[^<\n]{0,80}(?:<\|constrain\|>\w+)?<\|message\|>"
)
BARE_CHANNELS = re.compile(r"\s*analysis(?=[A-Z\"'\n]).*?assistantfinal", re.DOTALL)
THOUGHT_MARKS = re.compile(
    rf"{OPEN}|{CLOSE}|<\|start\|>assistant|<\|channel\|>\s*\w+|<\|\w+\|>"
    r"|^\s*analysis(?=[A-Z\"'\n<])|assistantfinal$",
    re.IGNORECASE,
)

# The end tokens of chat templates, which a server should remove.
END_LENGTH = 200  # characters at the end of an answer in which to look for them
END_TOKENS = re.compile(r"(?:\s*(?:<[|\uff5c][\w▁]{2,}[|\uff5c]>|<eos>|<end_of_turn>|</s>))+\s*\Z")
FENCED = r"^(?P<fence>`{3,9}|~{3,9}).*?^(?P=fence)"
IN_LINE = r"(?<!`)(?P<ticks>`{1,9})(?!`)[^\n]{1,500}?(?<!`)(?P=ticks)(?!`)"
CODE = re.compile(f"{FENCED}|{IN_LINE}", re.DOTALL | re.MULTILINE)
GLUED_HEADING = re.compile(r"(?<=[a-z\d)][.!?:…])(?=#{1,6} \S)")


def take_out_thoughts(message: dict[str, Any]) -> None:
    """Moves thoughts from a message's `content` to its `reasoning_content`, LiteLLM's field.

    Changes `message`. Its `content`, a text or a list of parts, becomes the text of the report.
    """
    content = message.get("content")
    if isinstance(content, list):
        thoughts, text = join_parts(content)
    elif isinstance(content, str):
        thoughts, text = split_thoughts(content)
    else:
        return
    known = message.pop("reasoning_content", None)
    message["content"] = _begin_headings(text.lstrip() if known else text)
    if parts := [part for part in (known, thoughts) if part and isinstance(part, str)]:
        message["reasoning_content"] = "\n\n".join(parts)


def split_thoughts(answer: str) -> tuple[str, str]:
    """Returns the thoughts at the beginning of an answer, without their marks, and the report."""
    start = _find_report(answer)
    end = max(start, len(answer) - END_LENGTH)
    report = answer[start:end] + END_TOKENS.sub("", answer[end:])
    thoughts = THOUGHT_MARKS.sub("", answer[:start])
    return thoughts.strip(), report.lstrip() if start else report


def join_parts(parts: list[Any]) -> tuple[str, str]:
    """Returns the thoughts and the report from a `content` that is a list of parts."""
    thoughts, texts = "", ""
    for part in parts:
        match part:
            case str(text) | {"type": "text" | "output_text", "text": str(text)}:
                texts += text
            case {"thinking": list(inner)}:
                thoughts += join_parts(inner)[1]
            case {"thinking": str(text)} | {"reasoning": str(text)}:
                thoughts += text
    inner_thoughts, report = split_thoughts(texts)
    return thoughts + inner_thoughts, report


def _begin_headings(text: str) -> str:
    """Puts a blank line before each heading that is glued to the sentence before it.

    Claude searches in the middle of a text, and LiteLLM joins what comes before and after.
    """
    masked = CODE.sub(lambda code: "`" * len(code[0]), text)
    for glued in reversed(list(GLUED_HEADING.finditer(masked))):
        text = f"{text[: glued.start()]}\n\n{text[glued.start() :]}"
    return text


def _find_report(answer: str) -> int:
    """Returns where the report begins: at 0 without thoughts, at the end if there is no report."""
    masked = CODE.sub(lambda code: "`" * len(code[0]), answer)  # marks in code are quoted
    if bare := BARE_CHANNELS.match(answer):
        return bare.end()
    if CHANNELS.match(masked) or ("<|start|>assistant" in masked and not _has_heading(answer, 0)):
        final = FINAL_CHANNEL.search(masked)
        return final.end() if final else len(answer)

    start = _skip_first_line(masked)
    while start < len(answer):
        if opening := OPENING_MARK.match(masked, start):
            # If a thought leaves a code block open, the closing mark may look like code.
            end = opening.end()
            closing = CLOSING_MARK.search(masked, end) or LONE_CLOSING.search(answer, end)
            if not closing:
                return len(answer)
        else:
            closing = LONE_CLOSING.search(masked, start)
            if not closing or _has_heading(answer, start):
                return start
            if ANY_OPENING.search(masked, start, closing.start()):  # an example in a report
                return start
        start = closing.end()
    return start


def _skip_first_line(masked: str) -> int:
    """Returns where thoughts end that follow an introductory sentence, or 0."""
    opening = OPENING_AFTER_SENTENCE.match(masked) or OPENING_AFTER_LINE.match(masked)
    if opening and (closing := CLOSING_MARK.search(masked, opening.end())):
        return closing.end()
    return len(masked) if OPENING_AFTER_LINE.match(masked) else 0


def _has_heading(answer: str, start: int) -> bool:
    return answer[start : start + 200].lstrip().startswith("#")

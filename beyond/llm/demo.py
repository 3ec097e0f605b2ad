"""The demo models: canned text that shows the whole app without a key and without LiteLLM."""

import asyncio
import re
from typing import Any

from beyond.llm.settings import SLOW_DEMO_MODEL
from beyond.llm.writing import Writing
from models import INSTRUCTIONS_MARK

DEMO_DELAY = 1  # seconds for a draft; its words arrive one by one
SLOW_DEMO_DELAY = 15  # seconds; long enough to kill a Worker in the middle of a call

DEMO_TEXT = """\
> **Offline demo.** This is canned text, not research. For a real report, set `LLM_MODEL` and
> `LLM_API_KEY` in `.env`.

# {topic}

This draft stands in for the answer of a language model. Everything around it is real: the
Workflow, the Activities, your decisions in the Event History and the PDF at the end.

## Your instructions

{instructions}

## What happens next

| You type | The Workflow |
| --- | --- |
| `query` | answers with this text and adds no event to its history |
| `edit` | calls the model again, with your instruction added to the prompt |
| `keep` | leaves the loop and creates the PDF from the draft that you read |
"""


async def answer_as_demo(model: str, prompt: str, writing: Writing) -> dict[str, Any]:
    """Writes a draft word by word, then returns it in the OpenAI shape."""
    draft = _write_draft(prompt)
    words = re.findall(r"\S+\s*", draft)
    delay = SLOW_DEMO_DELAY if model == SLOW_DEMO_MODEL else DEMO_DELAY
    for word in words:
        writing.add(word)
        await asyncio.sleep(delay / len(words))
    message = {"role": "assistant", "content": draft}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"object": "chat.completion", "model": model, "choices": [choice]}


def _write_draft(prompt: str) -> str:
    """Returns a text that repeats the topic and the instructions, so that edits show."""
    topic, *instructions = prompt.split(INSTRUCTIONS_MARK)
    numbered = "\n".join(f"{number}. {text}" for number, text in enumerate(instructions, start=1))
    none_yet = "None yet. Type *edit* and give one: it will be listed here."
    return DEMO_TEXT.format(topic=topic, instructions=numbered or none_yet)

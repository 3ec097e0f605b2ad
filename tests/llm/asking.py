"""Calls a model as the Activity does, for tests of answers, errors and streams."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from loopback_llm import LoopbackLLM, Reply, as_json
from temporalio.exceptions import ApplicationError

from beyond.llm import complete
from beyond.llm.writing import Writing
from models import LLMCallInput

# Unusual answers by name.
ANSWERS = {
    case["name"]: case for case in json.loads((Path(__file__).parent / "answers.json").read_text())
}
BROKEN = "openai/gpt-4o: the provider stopped in the middle of its answer"


async def ask(
    writing: Writing | None = None, *, is_last_attempt: bool = False, limit: float = 60
) -> dict[str, Any]:
    """Returns the model's answer. `limit` is in seconds."""
    return await complete(
        LLMCallInput("bees"),
        timedelta(seconds=limit),
        writing or Writing(),
        is_last_attempt=is_last_attempt,
    )


async def fail(*, is_last_attempt: bool = False, limit: float = 60) -> ApplicationError:
    """Returns the error of a call."""
    with pytest.raises(ApplicationError) as error:
        await ask(is_last_attempt=is_last_attempt, limit=limit)
    return error.value


async def refuse(
    llm: LoopbackLLM,
    answer: Any,
    status: int = 200,
    *,
    is_last_attempt: bool = False,
    limit: float = 60,
) -> ApplicationError:
    """Returns the error of a call that gets this reply, text or JSON."""
    llm.replies.append(answer if isinstance(answer, Reply) else as_json(answer, status))
    return await fail(is_last_attempt=is_last_attempt, limit=limit)


def told(message: str, **more: Any) -> dict[str, Any]:
    """An error in the OpenAI shape."""
    return {"error": {"message": message, **more}}


def content_of(answer: dict[str, Any]) -> str:
    content: str = answer["choices"][0]["message"]["content"]
    return content

"""One call to a language model, through LiteLLM.

LiteLLM takes seconds to import. This package imports it where it is first used, so that the
Workflow and the starter, which need no model, never wait for it.
"""

import asyncio
import os
from datetime import timedelta
from types import ModuleType
from typing import Any

from temporalio.exceptions import ApplicationError

from beyond.llm.demo import DEMO_MODELS, answer_as_demo
from beyond.llm.errors import make_application_error
from beyond.llm.settings import find_problem, get_key, get_model
from models import LLMCallInput


async def complete(
    input: LLMCallInput, time_limit: timedelta, *, retry_unusable: bool = True
) -> dict[str, Any]:
    """Asks the model that `LLM_MODEL` names, once, and returns its answer in the OpenAI shape.

    Raises ApplicationError with a sentence for a person: retryable if asking again can help. An
    answer that is no completion is retryable if `retry_unusable`.
    """
    model, messages = get_model(), _make_messages(input)
    litellm = await asyncio.to_thread(load_litellm)
    if not litellm:
        return await answer_as_demo(model, messages[-1]["content"])
    try:
        answer = await litellm.acompletion(
            model=model,
            api_key=get_key("LLM_API_KEY") or None,
            messages=messages,
            timeout=time_limit.total_seconds(),
            # Temporal retries. With retries here, too, one failed attempt costs three requests.
            num_retries=0,
            max_retries=0,
        )
    except Exception as error:
        # "from None": the chain would carry headers and request bodies into the Event History.
        raise make_application_error(error, retry_unusable) from None
    # Pydantic warns about fields that providers add; the answer is kept as it came.
    result: dict[str, Any] = answer.model_dump(exclude_none=True, warnings=False)
    if not any(_is_readable(choice["message"].get("content")) for choice in result["choices"][:1]):
        raise ApplicationError(
            f"{model} answered without any text", type="EmptyAnswer", non_retryable=True
        )
    return result


def load_litellm() -> ModuleType | None:
    """Imports LiteLLM for the model that `LLM_MODEL` names; a demo model needs none.

    The first call takes seconds: make it in a thread. Raises ApplicationError with the cure if the
    model or its key cannot be used; it is retryable, because another Worker may be set up better.
    """
    if get_model() in DEMO_MODELS:
        return None
    # Without it, LiteLLM fetches its price list from the internet when it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.suppress_debug_info = True  # its errors print advertisements otherwise
    if problem := find_problem(litellm):
        raise ApplicationError(problem, type="Settings")
    return litellm


def _make_messages(input: LLMCallInput) -> list[dict[str, str]]:
    """The conversation so far: with a draft, the model revises what the person read."""
    messages = [{"role": "user", "content": input.prompt}]
    if input.draft:
        messages[:0] = [
            {"role": "user", "content": input.draft_prompt},
            {"role": "assistant", "content": input.draft},
        ]
    # Half a surrogate pair is legal in JSON and can come from a terminal, but no client sends it.
    return [{**m, "content": m["content"].encode(errors="replace").decode()} for m in messages]


def _is_readable(content: object) -> bool:
    """Whether there is something to read: neither white space nor zero-width characters are."""
    return isinstance(content, str) and any(c.isprintable() and not c.isspace() for c in content)

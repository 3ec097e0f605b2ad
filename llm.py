"""One call to a language model, through LiteLLM.

LiteLLM takes seconds to import. This module imports it where it is first used, so that the
Workflow and the starter, which need no model, never wait for it.
"""

import asyncio
import functools
import os
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any

from temporalio.exceptions import ApplicationError

from models import LLMCallInput

DEFAULT_MODEL = "openai/gpt-4o"
DEMO_MODEL = "offline/demo"

# Besides every 5xx. RFC 9110: timeout, conflict, too early, too many requests.
TRANSIENT_STATUSES = {408, 409, 425, 429}
# No provider's Retry-After may park a report for longer than this.
RETRY_AFTER_CAP = timedelta(minutes=10)
ERROR_LIMIT = 400  # characters of a provider's message that the Event History keeps

CURES = {
    401: "check LLM_API_KEY and restart the Worker",
    403: "check what this key may use",
    404: "check LLM_MODEL and restart the Worker",
}


async def complete(input: LLMCallInput, time_limit: timedelta) -> dict[str, Any]:
    """Asks the model that `LLM_MODEL` names, once, and returns its answer in the OpenAI shape.

    Raises ApplicationError with a sentence for a person: retryable if asking again can help.
    """
    litellm = await asyncio.to_thread(load_litellm)
    try:
        answer = await litellm.acompletion(
            model=_model(),
            api_key=os.environ.get("LLM_API_KEY") or None,
            messages=_messages(input),
            timeout=time_limit.total_seconds(),
            # Temporal retries. With retries here, too, one failed attempt costs three requests.
            num_retries=0,
            max_retries=0,
        )
    except Exception as error:
        # "from None": the chain would carry headers and request bodies into the Event History.
        raise _for_temporal(error) from None
    # Pydantic warns about fields that providers add; the answer is kept as it came.
    result: dict[str, Any] = answer.model_dump(exclude_none=True, warnings=False)
    if not any(choice["message"].get("content") for choice in result["choices"][:1]):
        raise ApplicationError(
            f"{_model()} answered without any text", type="EmptyAnswer", non_retryable=True
        )
    return result


def load_litellm() -> ModuleType:
    """Returns LiteLLM, ready for the model that `LLM_MODEL` names.

    The first call takes seconds: make it in a thread. Raises ApplicationError with the cure when
    the model or its key is not usable; it is retryable, because another Worker's may be.
    """
    litellm = _import_litellm()
    if problem := _settings_problem(litellm):
        raise ApplicationError(problem, type="Settings")
    return litellm


@functools.cache
def _import_litellm() -> ModuleType:
    # Without it, LiteLLM fetches its price list from the internet at import.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.suppress_debug_info = True  # its errors print advertisements otherwise

    class OfflineDemo(litellm.CustomLLM):  # type: ignore[name-defined,misc]
        async def acompletion(self, *, messages: list[dict[str, str]], **_: Any) -> Any:
            message = {"role": "assistant", "content": _demo_answer(messages)}
            return litellm.ModelResponse(
                model=DEMO_MODEL, choices=[{"message": message, "finish_reason": "stop"}]
            )

    litellm.custom_provider_map = [
        {"provider": DEMO_MODEL.partition("/")[0], "custom_handler": OfflineDemo()}
    ]
    return litellm


def _model() -> str:
    return os.environ.get("LLM_MODEL") or DEFAULT_MODEL


def _settings_problem(litellm: ModuleType) -> str:
    """One sentence with the cure when the configured model cannot be called, or ""."""
    model = _model()
    if model == DEMO_MODEL:
        return ""
    try:
        provider = litellm.get_llm_provider(model)[1]
    except litellm.BadRequestError:
        return (
            f"LLM_MODEL={model} names no provider that LiteLLM knows. "
            f"Set it to provider/model, such as {DEFAULT_MODEL}."
        )
    cure = f"Set it in .env or in the environment, or set LLM_MODEL={DEMO_MODEL} for a demo."
    own_variable = f"{provider.upper()}_API_KEY"
    for variable in ("LLM_API_KEY", own_variable):
        if key := os.environ.get(variable):
            if re.match(r"you|<|\.|x+$|sk-\.|change|replace|placeholder", key, re.IGNORECASE):
                return f"{variable} holds a placeholder, not a key for {model}. {cure}"
            return ""
    missing = litellm.validate_environment(model)["missing_keys"]
    # Only keys: what else LiteLLM lists (addresses, cloud credentials) has defaults elsewhere.
    keys = [name for name in missing if name.endswith("_API_KEY")]
    if not keys and own_variable in os.environ:  # empty, which LiteLLM takes for a key
        keys = [own_variable]
    if keys:
        return f"LLM_API_KEY (or {' or '.join(keys)}) is not set, and {model} needs it. {cure}"
    return ""


def _messages(input: LLMCallInput) -> list[dict[str, str]]:
    """The conversation so far: with a draft, the model revises what the person read."""
    messages = [{"role": "user", "content": input.prompt}]
    if input.draft:
        messages[:0] = [
            {"role": "user", "content": input.draft_prompt},
            {"role": "assistant", "content": input.draft},
        ]
    # Half a surrogate pair is legal in JSON and can come from a terminal, but no client sends it.
    return [{**m, "content": m["content"].encode(errors="replace").decode()} for m in messages]


def _for_temporal(error: Exception) -> ApplicationError:
    """Sorts an error by its HTTP status: LiteLLM's classes do not tell 403 and 413 apart."""
    status = getattr(error, "status_code", None) or 0
    transient = status in TRANSIENT_STATUSES or status >= 500
    detail = str(error).partition("Traceback")[0]
    detail = re.sub(r"^litellm\.\w+: (\w+: )?(\w+ - )?", "", detail)
    detail = _without_keys(" ".join(detail.split()))[:ERROR_LIMIT].rstrip(". ")
    cure = f"; {CURES[status]}" if status in CURES else ""
    return ApplicationError(
        f"{_model()}: {detail}{cure}",
        type=type(error).__name__,
        non_retryable=not transient,
        next_retry_delay=_retry_after(error) if transient else None,
    )


def _retry_after(error: Exception) -> timedelta | None:
    value = (getattr(error, "litellm_response_headers", None) or {}).get("retry-after", "")
    if value.isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    # 0 or a date in the past would hammer the provider: the retry policy's backoff is better.
    return timedelta(seconds=min(seconds, RETRY_AFTER_CAP.total_seconds())) if seconds > 0 else None


def _without_keys(text: str) -> str:
    """Providers quote the key, whole or masked, in their errors."""
    for name, value in os.environ.items():
        if name.endswith(("KEY", "TOKEN", "SECRET")) and len(value) >= 4:
            text = text.replace(value, "[key]")
    return re.sub(r"\bsk-[\w*.-]+\w", "[key]", text)


def _demo_answer(messages: list[dict[str, str]]) -> str:
    """Canned Markdown that repeats the topic and the instructions, so that edits can be seen."""
    topic, *instructions = messages[-1]["content"].split("\n\nAdditional instructions: ")
    asked = "\n".join(f"{number}. {text}" for number, text in enumerate(instructions, start=1))
    return f"""\
> **Offline demo.** No model is configured, so this is canned text, not research. Set
> `LLM_MODEL` and `LLM_API_KEY` in `.env` for a real report.

# {topic}

This draft stands in for the answer of a language model. Everything around it is real: the
Workflow, the Activities, your decisions in the Event History and the PDF at the end.

## Your instructions

{asked or "None yet. Type *edit* and give one: it will be listed here."}

## What happens next

| You type | The Workflow |
| --- | --- |
| `query` | answers with this text and adds no event to its history |
| `edit` | calls the model again, with your instruction added to the prompt |
| `keep` | leaves the loop and creates the PDF from the draft that you read |
"""

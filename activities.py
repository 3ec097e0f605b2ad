"""The Activities: everything that touches the world outside the Workflow.

LiteLLM and ReportLab are imported where they are first used. They take seconds to import, and
the Workflow and the starter, which import this module for its names, need neither.
"""

import asyncio
import functools
import hashlib
import os
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from models import LLMCallInput, PDFGenerationInput

DEFAULT_MODEL = "openai/gpt-4o"
DEMO_MODEL = "offline/demo"

# The time budget of one LLM call. Reasoning models think for minutes, and a call that is cut off
# is paid for all the same, so the limit is generous; heartbeats, not this limit, reveal a dead
# Worker. The HTTP client gives up first, so that the error names the provider.
LLM_HTTP_TIMEOUT = timedelta(minutes=9, seconds=30)
LLM_START_TO_CLOSE_TIMEOUT = timedelta(minutes=10)
HEARTBEAT_INTERVAL = timedelta(seconds=3)
HEARTBEAT_TIMEOUT = timedelta(seconds=10)  # survives two lost heartbeats

# No provider's Retry-After may park a report for longer than this.
RETRY_AFTER_CAP = timedelta(minutes=10)

# A page takes well under a second; the rest of the time is for waiting behind other reports
# in the Worker's thread pool.
PDF_START_TO_CLOSE_TIMEOUT = timedelta(seconds=30)

# Besides every 5xx. RFC 9110: timeout, conflict, too early, too many requests.
TRANSIENT_STATUSES = {408, 409, 425, 429}

CURES = {
    401: "check LLM_API_KEY and restart the Worker",
    403: "check what this key may use",
    404: "check LLM_MODEL and restart the Worker",
}


@activity.defn
async def llm_call(input: LLMCallInput) -> dict[str, Any]:
    """Asks the model that `LLM_MODEL` names, once; Temporal owns the retries.

    Returns the provider's answer in the OpenAI shape. Raises ApplicationError: retryable where
    asking again can help, non-retryable otherwise, with a sentence for a person as the message.
    """
    async with _heartbeats():
        litellm = await asyncio.to_thread(load_litellm)
        try:
            answer = await litellm.acompletion(
                model=_model(),
                api_key=os.environ.get("LLM_API_KEY") or None,
                messages=_messages(input),
                timeout=LLM_HTTP_TIMEOUT.total_seconds(),
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


@activity.defn
def create_pdf(input: PDFGenerationInput) -> str:
    """Writes the approved text as a PDF into `REPORTS_DIR` and returns the file's name.

    The name is `input.filename`, or with -1, -2, … where reports of that name exist. A retry finds
    the file that an earlier attempt finished. Raises ApplicationError: non-retryable for a name
    that cannot be a file, retryable (with the reason) where the disk refuses.
    """
    import pdf

    workflow_id = activity.info().workflow_id or "" if activity.in_activity() else ""
    name = Path(input.filename)
    target = reports_dir() / name
    if not name.name or "\0" in input.filename or target.is_dir():
        raise ApplicationError(
            f"{input.filename!r} cannot be the name of a report", type="BadName", non_retryable=True
        )
    content = pdf.render(input.content, topic=input.topic, workflow_id=workflow_id)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        written = _place(content, target, reuse=bool(workflow_id))
    except OSError as error:
        raise ApplicationError(
            f"the report cannot be written to {target.parent.resolve()}: {error.strerror or error}",
            type=type(error).__name__,
        ) from None
    return str(name.with_name(written.name))


def reports_dir() -> Path:
    return Path(os.environ.get("REPORTS_DIR") or ".").expanduser()


def load_litellm() -> ModuleType:
    """Returns LiteLLM, ready for the model that `LLM_MODEL` names.

    The first call takes seconds: make it in a thread. Raises ApplicationError, retryable because
    another Worker may be set up better, with the cure when the model or its key is not usable.
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


@asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    """Tells Temporal every few seconds that this Worker lives, and learns of a cancellation."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())

    beating = asyncio.create_task(beat()) if activity.in_activity() else None
    try:
        yield
    finally:
        if beating:
            beating.cancel()


def _for_temporal(error: Exception) -> ApplicationError:
    """Sorts an error by its HTTP status: LiteLLM's classes do not tell 403 and 413 apart."""
    status = getattr(error, "status_code", None) or 0
    transient = status in TRANSIENT_STATUSES or status >= 500
    detail = str(error).partition("Traceback")[0]
    detail = re.sub(r"^litellm\.\w+: (\w+: )?(\w+ - )?", "", detail)
    detail = _without_keys(" ".join(detail.split()))[:400].rstrip(". ")
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


def _place(content: bytes, target: Path, *, reuse: bool) -> Path:
    """Puts a finished file at the first free name, so that no reader ever sees half of it.

    With `reuse`, a file of the same bytes is taken as an earlier attempt's. Raises OSError.
    """
    digest = hashlib.sha256(content).hexdigest()[:16]
    if reuse:
        for stale in target.parent.glob(f".{digest}-*.tmp"):  # of an attempt that was killed
            stale.unlink(missing_ok=True)
    temporary = target.parent / f".{digest}-{uuid.uuid4()}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        for number in count():
            candidate = target.with_stem(f"{target.stem}-{number}") if number else target
            try:
                os.link(temporary, candidate)  # unlike a rename, never overwrites
                return candidate
            except FileExistsError:
                if reuse and _holds(candidate, content):
                    return candidate
    finally:
        temporary.unlink(missing_ok=True)
    raise AssertionError("count() does not end")


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


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

"""One call to a language model, through LiteLLM.

LiteLLM takes seconds to import. This package imports it when it is first used, so that the Workflow
and the starter, which need no model, never wait for it.
"""

import asyncio
import gc
import json
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import cache, partial
from types import ModuleType
from typing import Any

from temporalio.converter import default
from temporalio.exceptions import ApplicationError

from beyond.llm.demo import answer_as_demo
from beyond.llm.errors import (
    make_application_error,
    make_empty_error,
    make_late_error,
    make_silence_error,
    make_size_error,
    make_upstream_error,
)
from beyond.llm.received import Received
from beyond.llm.settings import DEMO_MODELS, find_key_to_send, find_problem, get_model
from beyond.llm.sources import add_sources
from beyond.llm.streams import SILENCE_LIMIT, ask_for_stream, may_stream, note_failed_stream
from beyond.llm.thoughts import take_out_thoughts
from beyond.llm.writing import Writing
from models import DRAFT_LIMIT, LLMCallInput

# The finish reasons that providers use: complete, token limit, content filter, failure. LiteLLM
# turns those that it does not know into "stop", and keeps the provider's word in another field.
FINISHED = {"stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "completed"}
AT_LIMIT = {"length", "max_tokens", "max_output_tokens", "model_length", "token_limit"}
FILTERED = {"content_filter", "safety", "sensitive", "refusal"}
BROKEN_OFF = {"error", "network_error"}
# They hold the pages that Claude has read, encrypted: tens of kilobytes each, and useless here.
ENCRYPTED_FIELDS = ("web_search_results", "web_search_calls")
SLACK = 60  # seconds by which LiteLLM's time limit is longer, so that ours passes first


async def complete(
    input: LLMCallInput, time_limit: timedelta, writing: Writing, *, is_last_attempt: bool = False
) -> dict[str, Any]:
    """Asks the model that `LLM_MODEL` names, once, and returns its answer in the OpenAI shape.

    `writing` collects the text while it arrives. If the model has searched, the returned text ends
    with its sources. The answer's `finish_reason` is "stop" for a complete text, "length",
    "content_filter", or the provider's own word. Raises ApplicationError with a sentence for a
    person; it is retryable if asking again can help. If the response is not a completion, breaks
    off or is late, it is retryable except on the last attempt.
    """
    model, messages = get_model(), _make_messages(input)
    litellm = await asyncio.to_thread(load_litellm)
    if not litellm:
        return await answer_as_demo(model, messages[-1]["content"], writing)
    seconds = time_limit.total_seconds()
    ask = partial(
        litellm.acompletion,
        model=model,
        api_key=find_key_to_send(),
        messages=messages,
        timeout=seconds + SLACK,
        # Temporal retries. If LiteLLM did, too, one failed attempt would cost three requests.
        num_retries=0,
        max_retries=0,
    )
    # A gateway may break every stream but send whole answers, so the last try does not stream.
    is_streamed = not is_last_attempt and may_stream()
    received, answer = Received(), None
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(began + seconds) as limit:
            if is_streamed:
                answer = await ask_for_stream(litellm, ask, limit, writing, received)
            if is_whole := not answer:
                limit.reschedule(began + seconds)
                received, answer = await _ask_for_whole(ask, is_last_attempt)
    except TimeoutError:
        if (limit.when() or 0) < began + seconds:
            raise make_silence_error(SILENCE_LIMIT) from None
        raise make_late_error(seconds, is_last_attempt) from None
    judged = _judge(answer, received, is_last_attempt)
    if is_streamed and is_whole:
        note_failed_stream()
    return judged


async def _ask_for_whole(
    ask: Callable[..., Awaitable[Any]], is_last_attempt: bool
) -> tuple[Received, Any]:
    """Asks without a stream. Returns what the provider sent, and its answer in the OpenAI shape."""
    logged: dict[str, Any] = {}  # has the response even if LiteLLM cannot read it
    try:
        answer = await ask(logger_fn=logged.update)
    except Exception as error:
        body = logged.get("original_response")
        body = body if isinstance(body, str) else ""
        result = _read_body(body)
        if not result:
            # "from None": the chain would carry headers and request bodies into the Event History.
            raise make_application_error(error, is_last_attempt, body) from None
    else:
        # Pydantic would warn about fields that providers add; the answer keeps them.
        result = answer.model_dump(exclude_none=True, warnings=False)
    received = Received()
    if not received.add(logged.get("original_response")):
        received.add(result)
    return received, result


def load_litellm() -> ModuleType | None:
    """Imports LiteLLM for the model that `LLM_MODEL` names. Returns None for a demo model.

    The first call takes seconds, so make it in a thread. Raises ApplicationError with the cure if
    the model or its key cannot be used. It is retryable, because another Worker may have the right
    settings.
    """
    if get_model() in DEMO_MODELS:
        return None
    # Otherwise LiteLLM also reads the .env above its own files, wherever the Worker runs.
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    # Otherwise LiteLLM fetches its price list from the internet when it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # Firewalls drop connections that are silent for minutes, as one is while a model thinks.
    os.environ.setdefault("AIOHTTP_SO_KEEPALIVE", "True")
    # LiteLLM aborts a stream after this many equal chunks in a row; a wide table has hundreds.
    os.environ.setdefault("REPEATED_STREAMING_CHUNK_LIMIT", "1000000")
    litellm = _import_litellm()
    if problem := find_problem(litellm):
        raise ApplicationError(problem, type="SettingsError")
    return litellm


@cache
def _import_litellm() -> ModuleType:
    """Imports LiteLLM without the garbage collector, while the Worker polls.

    A collection would stop all other threads for 0.4 s at a time. On a busy machine, the SDK would
    then report a deadlock in a Workflow that was merely waiting. LiteLLM's objects live as long as
    the process, so later collections skip them, too.
    """
    gc.disable()
    try:
        import litellm
    finally:
        gc.freeze()
        gc.enable()
    litellm.suppress_debug_info = True  # otherwise its errors print advertisements
    # It would also count a stream's tokens itself, although providers report them.
    litellm.disable_token_counter = True
    return litellm


def _make_messages(input: LLMCallInput) -> list[dict[str, str]]:
    """Returns the conversation so far. With a draft, the model revises what the person read."""
    messages = []
    if input.draft:
        messages += [
            {"role": "user", "content": input.draft_prompt},
            {"role": "assistant", "content": input.draft},
        ]
    messages.append({"role": "user", "content": input.prompt})
    # Half a surrogate pair is legal in JSON and may come from a terminal, but clients reject it.
    return [{**m, "content": m["content"].encode(errors="replace").decode()} for m in messages]


def _read_body(body: str) -> dict[str, Any]:
    """Returns the answer in a body, or {} if it has no text. LiteLLM rejects some that have one."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    match answer:
        case {"choices": [{"message": {"content": [*_] | str()}}, *_]}:
            return dict(answer)
    return {}


def _judge(result: dict[str, Any], received: Received, is_last_attempt: bool) -> dict[str, Any]:
    """Returns the answer with only the report as its content, and with the true finish reason.

    Raises ApplicationError if the answer has no report, broke off or is too large.
    """
    choice = result["choices"][0] if result["choices"] else {"message": {}}
    message = choice["message"]
    fields = choice.get("provider_specific_fields") or {}
    given = received.reason or fields.get("native_finish_reason") or choice.get("finish_reason")
    reason = choice["finish_reason"] = _name_reason(str(given or "stop"))
    error = fields.get("error") or choice.get("error")
    if (error or reason in BROKEN_OFF) and not is_last_attempt:
        raise make_upstream_error(error or received.error)
    if error and reason == "stop":
        choice["finish_reason"] = "error"
    take_out_thoughts(message)
    if not _is_readable(message.get("content")):
        raise make_empty_error(reason, message)
    message["content"] = add_sources(message["content"], received.sources)
    for name in ENCRYPTED_FIELDS:
        (message.get("provider_specific_fields") or {}).pop(name, None)
    size = default().payload_converter.to_payload(result).ByteSize()
    if size > DRAFT_LIMIT:
        raise make_size_error(size)
    return result


def _name_reason(reason: str) -> str:
    for name, words in (("stop", FINISHED), ("length", AT_LIMIT), ("content_filter", FILTERED)):
        if reason.lower() in words:
            return name
    return reason


def _is_readable(content: object) -> bool:
    """Whether there is something to read. White space and zero-width characters do not count."""
    return isinstance(content, str) and any(c.isprintable() and not c.isspace() for c in content)

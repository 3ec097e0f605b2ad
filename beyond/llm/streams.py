"""A model's answer as a stream, so that a person can read the draft while it is written."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from types import ModuleType
from typing import Any

from temporalio.exceptions import ApplicationError

from beyond.llm.errors import (
    make_application_error,
    make_size_error,
    make_stream_error,
    refuses_to_stream,
)
from beyond.llm.received import Received, tap_stream
from beyond.llm.settings import get_model
from beyond.llm.thoughts import join_parts
from beyond.llm.writing import Writing
from models import DRAFT_LIMIT

# A chunk costs LiteLLM and its HTTP client up to 1 ms of CPU, and a fast model sends 70 a second.
# Eight streams then take 8 x 70 x 1 ms = 0.56 s of CPU a second, about half a core.
STREAMS_AT_ONCE = 8
SILENCE_LIMIT = 90  # seconds without a chunk after the first word
MEMORY = 3600  # seconds until a model that could not stream is asked again

_turns = asyncio.Semaphore(STREAMS_AT_ONCE)
# For each model, when its streams have failed since the last good one (`time.monotonic`). After two
# failures, the model is not asked to stream. A refusal to stream counts as two.
_failed_streams: dict[str, list[float]] = {}


def may_stream() -> bool:
    """Whether to stream the next call: not if many calls stream, or if the model cannot."""
    recent = [at for at in _failed_streams.get(get_model(), []) if time.monotonic() - at < MEMORY]
    return not _turns.locked() and len(recent) < 2


def note_failed_stream(times: int = 1) -> None:
    """Notes that a model's stream failed where an answer in one piece might not have."""
    _failed_streams.setdefault(get_model(), []).extend([time.monotonic()] * times)


async def ask_for_stream(
    litellm: ModuleType,
    ask: Callable[..., Awaitable[Any]],
    limit: asyncio.Timeout,
    writing: Writing,
    received: Received,
) -> dict[str, Any] | None:
    """Asks for a stream, adds each piece to `writing`, and returns the whole in the OpenAI shape.

    Returns None if the provider does not stream, or if nothing readable arrived. `ask` is LiteLLM's
    call without the arguments for streaming. `received` gets all that the provider sends. After
    the first word, each event moves `limit` to `SILENCE_LIMIT` seconds from now, but never beyond
    its first value. Raises ApplicationError if the call fails or the stream breaks off.
    """
    async with _turns:
        try:
            stream = await ask(stream=True, stream_options={"include_usage": True})
        except Exception as error:
            if refuses_to_stream(error):
                note_failed_stream(times=2)
                return None
            raise make_application_error(error, is_last_attempt=False) from None
        chunks: list[Any] = []
        try:
            # Leaving the block closes the connection, which stops the billing.
            async with aclosing(stream):
                renew_limit = _make_renewal(limit, writing)
                await tap_stream(stream, received, renew_limit)
                await read_chunks(stream, chunks, writing, renew_limit)
        except ApplicationError:
            raise
        except Exception as error:
            _require_end(received, received.has_ended and received.is_whole, error)
    # If LiteLLM hides what the provider sent, only LiteLLM knows the finish reason.
    reason = received.reason or ("" if received.has_known_shape else stream.received_finish_reason)
    _require_end(received, bool(reason or received.is_whole or not writing.has_begun))
    if not writing.make_live_draft() and reason in ("", "stop", None):
        return None  # asked without a stream, the model may explain a refusal
    whole = await asyncio.to_thread(litellm.stream_chunk_builder, chunks)
    answer: dict[str, Any] = whole.model_dump(exclude_none=True, warnings=False)
    answer["choices"][0]["finish_reason"] = reason or "stop"
    _failed_streams.pop(get_model(), None)
    return answer


def _make_renewal(limit: asyncio.Timeout, writing: Writing) -> Callable[[], None]:
    """Returns the function that each event calls. After the first word, it renews `limit`."""
    loop, deadline = asyncio.get_running_loop(), limit.when() or 0.0

    def renew() -> None:
        if writing.has_begun:
            limit.reschedule(min(deadline, loop.time() + SILENCE_LIMIT))

    return renew


async def read_chunks(
    stream: Any, chunks: list[Any], writing: Writing, renew_limit: Callable[[], None] = lambda: None
) -> None:
    """Reads a stream to its end into `chunks` and `writing`, and calls `renew_limit` at each chunk.

    Raises ApplicationError if the text is longer than `DRAFT_LIMIT`.
    """
    texts, size = [], 0
    async for chunk in stream:
        chunks.append(chunk)
        # A gateway may send a whole answer at once. Without this, no other task would get a turn.
        await asyncio.sleep(0)
        for choice in chunk.choices[:1]:
            delta = choice.delta
            if isinstance(delta.content, list):
                thoughts, delta.content = join_parts(delta.content)
                delta.reasoning_content = thoughts or None
            text, thoughts = delta.content or "", delta.get("reasoning_content") or ""
            texts += [delta] if text else []
            writing.add(text, thoughts)
            renew_limit()
            size += len(json.dumps(f"{text}{thoughts}"))
            if size > DRAFT_LIMIT:
                raise make_size_error(size)
    # RAGFlow's last piece repeats all the others.
    *before, last = [delta.content for delta in texts] or [""]
    if len(before) > 1 and last == "".join(before):
        texts[-1].content = ""


def _require_end(received: Received, is_whole: bool, error: Exception | None = None) -> None:
    """Raises ApplicationError if the stream was cut off or ended with an error."""
    if is_whole and not (received.error and not received.reason):
        return
    if received.has_ended and not received.error:
        note_failed_stream()  # it was not cut off; this server sends no finish reason
    raise make_stream_error(error, received.error) from None

"""A model's answer as a stream, so that a person reads the draft while it is written."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from types import ModuleType
from typing import Any

from beyond.llm.errors import (
    make_application_error,
    make_broken_error,
    make_upstream_error,
    refuses_to_stream,
)
from beyond.llm.settings import get_model
from beyond.llm.writing import Writing

# Each of a draft's hundreds of chunks costs LiteLLM and its HTTP client 0.3 to 2 ms of CPU, and a
# whole answer 5 ms.
STREAMS_AT_ONCE = 16

_turns = asyncio.Semaphore(STREAMS_AT_ONCE)
_without_streams: set[str] = set()  # the models that have refused, for the life of the Worker


def may_stream() -> bool:
    """Whether the next call is to be streamed: not if many are, or if the model refused before."""
    return not _turns.locked() and get_model() not in _without_streams


def stream_no_more() -> None:
    """Notes that the model answers, but not with a stream."""
    _without_streams.add(get_model())


async def ask_for_stream(
    litellm: ModuleType,
    ask: Callable[..., Awaitable[Any]],
    time_limit: timedelta,
    writing: Writing,
) -> dict[str, Any] | None:
    """Asks for a stream, tells `writing` of each piece, and returns the whole in the OpenAI shape.

    Returns None if the provider does not stream, or if nothing to read came. `ask` is LiteLLM's
    call with all but what makes it a stream. Raises ApplicationError.
    """
    async with _turns:
        try:
            stream = await ask(stream=True, stream_options={"include_usage": True})
        except Exception as error:
            if refuses_to_stream(error):
                return None
            raise make_application_error(error, retry_unusable=True) from None
        chunks = []
        try:
            # Its end closes the connection: nothing more is paid for a draft that nobody wants.
            async with asyncio.timeout(time_limit.total_seconds()), aclosing(stream):
                async for chunk in stream:
                    chunks.append(chunk)
                    for choice in chunk.choices[:1]:
                        delta = choice.delta
                        writing.add(delta.get("content"), delta.get("reasoning_content"))
            whole = await asyncio.to_thread(litellm.stream_chunk_builder, chunks)
        except Exception as error:
            raise make_broken_error(error) from None
    # The provider's own word, or None. LiteLLM makes "stop" of none, and of what it does not know.
    # Gemini's it keeps in the second place.
    reason = stream.received_finish_reason or stream.intermittent_finish_reason
    if not writing.describe() and reason in (None, "stop"):
        return None  # as a whole answer, it may be a refusal, or text in a list of parts
    if not reason:
        raise make_upstream_error("")
    answer: dict[str, Any] = whole.model_dump(exclude_none=True, warnings=False)
    answer["choices"][0]["finish_reason"] = reason
    return answer

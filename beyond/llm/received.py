"""What a provider has sent, because LiteLLM's translation loses sources and finish reasons."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from beyond.llm.sources import Sources

DEPTH = 12  # levels of an answer that are searched; the deepest field, OpenAI's, is at the seventh
REASONS = {"finish_reason", "finishReason", "stop_reason", "done_reason"}


class Received:
    """What a provider has sent beside the text.

    `reason` is the provider's own finish reason, or "", and `error` is its own error, or None.
    `has_ended` is true if the stream was not cut off. `has_known_shape` is true if the answer has
    one of the shapes that contain a finish reason.
    """

    def __init__(self) -> None:
        self.sources = Sources()
        self.reason = ""
        self.error: Any = None
        self.has_ended = self.has_known_shape = self._has_usage_at_end = False

    @property
    def is_whole(self) -> bool:
        """Whether the stream is complete. Providers send usage without text only at the end."""
        return bool(self.reason) or self._has_usage_at_end

    def add(self, sent: Any) -> bool:
        """Reads an answer or an event of a stream. Returns False if it is neither."""
        fields = _read(sent)
        for name, value in _walk(fields, DEPTH):
            self.sources.add(name, value)
            if name in REASONS and isinstance(value, str) and value:
                self.reason = value
            self.has_known_shape |= name in ("choices", "candidates")
        match fields:
            case {"error": error} | {"response": {"error": error}} if error:
                self.error = error
            case {"choices": [{"delta": {"content": content}}, *_]} if content:
                self._has_usage_at_end = False
            case {"usage": dict(usage)} if usage:
                self._has_usage_at_end = True
        return bool(fields)


async def tap_stream(stream: Any, received: Received, call: Callable[[], None]) -> None:
    """Makes LiteLLM's stream add each event to `received` and then call `call`."""
    source = await stream.fetch_stream()
    if hasattr(source, "streaming_response"):
        source.streaming_response = _pass_on(source.streaming_response, received, call)
    elif hasattr(source, "__aiter__"):
        stream.completion_stream = _pass_on(source, received, call)


async def _pass_on(events: Any, received: Received, call: Callable[[], None]) -> AsyncIterator[Any]:
    try:
        async for event in events:
            if received.add(event):
                call()
            yield event
        received.has_ended = True
    finally:
        if isinstance(closing := events.close() if hasattr(events, "close") else None, Awaitable):
            await closing  # otherwise OpenAI's stream keeps its connection


def _read(event: Any) -> Any:
    if hasattr(event, "model_dump"):
        return event.model_dump(exclude_none=True, warnings=False)
    if isinstance(event, bytes):
        event = event.decode(errors="replace")
    if isinstance(event, str):
        try:
            return json.loads(event.removeprefix("data:"))
        except (ValueError, RecursionError):
            return None
    return event


def _walk(value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Yields the names and values of all fields, down to `depth` levels of objects and lists."""
    if isinstance(value, dict):
        yield from value.items()
        value = [*value.values()]
    for inner in value if isinstance(value, list) and depth else ():
        yield from _walk(inner, depth - 1)

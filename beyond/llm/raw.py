"""What a provider has sent: LiteLLM's translation loses sources, and the reason of an end."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from beyond.llm.sources import Sources

DEPTH = 12  # of an answer: the deepest field that is read is OpenAI's seventh
REASONS = {"finish_reason", "finishReason", "stop_reason", "done_reason"}


class Raw:
    """What a provider has sent beside the text.

    `reason` is its own word for the end, and `error` its own error. `has_ended` says that nothing
    cut its stream off. `has_choices` says that it is of a shape whose reasons are known.
    """

    def __init__(self) -> None:
        self.sources = Sources()
        self.reason = ""
        self.error: Any = None
        self.has_ended = self.has_choices = self._has_usage_at_end = False

    @property
    def is_whole(self) -> bool:
        """Whether a stream came to its end: usage without text comes only there."""
        return bool(self.reason) or self._has_usage_at_end

    def add(self, sent: Any) -> bool:
        """Takes an answer or an event of a stream. Returns whether it is one."""
        told = _read(sent)
        for name, value in _walk(told, DEPTH):
            self.sources.add(name, value)
            if name in REASONS and isinstance(value, str) and value:
                self.reason = value
            self.has_choices |= name in ("choices", "candidates")
        match told:
            case {"error": error} | {"response": {"error": error}} if error:
                self.error = error
            case {"choices": [{"delta": {"content": content}}, *_]} if content:
                self._has_usage_at_end = False
            case {"usage": dict(usage)} if usage:
                self._has_usage_at_end = True
        return bool(told)


async def listen(stream: Any, raw: Raw, call: Callable[[], None]) -> None:
    """Has `raw` hear all that a stream of LiteLLM's receives, and calls `call` at each event."""
    source = await stream.fetch_stream()
    if hasattr(source, "streaming_response"):
        source.streaming_response = _pass_on(source.streaming_response, raw, call)
    elif hasattr(source, "__aiter__"):
        stream.completion_stream = _pass_on(source, raw, call)


async def _pass_on(events: Any, raw: Raw, call: Callable[[], None]) -> AsyncIterator[Any]:
    try:
        async for event in events:
            if raw.add(event):
                call()
            yield event
        raw.has_ended = True
    finally:
        if isinstance(closing := events.close() if hasattr(events, "close") else None, Awaitable):
            await closing  # OpenAI's stream holds the connection


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


def _walk(told: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Yields the fields of objects within objects, with their names."""
    if isinstance(told, dict):
        yield from told.items()
        told = [*told.values()]
    for value in told if isinstance(told, list) and depth else ():
        yield from _walk(value, depth - 1)

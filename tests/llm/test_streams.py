"""From a model's stream to a draft."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from asking import BROKEN, ask, content_of, fail
from loopback_llm import LoopbackLLM, Reply, as_json, piece, stream_of
from pytest_httpserver import HTTPServer
from support import KEY, eventually
from temporalio.exceptions import ApplicationError

from beyond.llm import load_litellm, streams
from beyond.llm.streams import STREAMS_AT_ONCE
from beyond.llm.writing import Writing

pytestmark = pytest.mark.usefixtures("llm")


async def test_a_stream_becomes_an_answer_in_the_openai_shape(llm: LoopbackLLM) -> None:
    llm.replies.append(Reply("# Bees\n\nThey **dance**. 蜜蜂 🐝"))
    answer = await ask()
    assert llm.calls[0].streamed
    assert answer["object"] == "chat.completion"
    message = {"role": "assistant", "content": "# Bees\n\nThey **dance**. 蜜蜂 🐝"}
    assert answer["choices"] == [{"index": 0, "message": message, "finish_reason": "stop"}]
    assert answer["usage"]["total_tokens"] == 2


ERROR = {"error": {"message": f"Overloaded, {KEY} has to wait", "code": 502}}


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (stream_of("Bees ", "dance", reason=None), BROKEN),
        (Reply(events=[piece("Bees ")], broken=True), BROKEN),
        (Reply(events=[piece("Bees "), ERROR]), "openai/gpt-4o: Overloaded, [key] has to wait"),
        (Reply(events=[ERROR]), "openai/gpt-4o: Overloaded, [key] has to wait"),
        (Reply(events=[piece("Bees "), "{not JSON"]), BROKEN),
        (stream_of("Bees ", reason="error"), BROKEN),
        (stream_of("Bees ", reason="network_error"), BROKEN),
        (stream_of("Bees ", reason="abort"), BROKEN),
    ],
    ids=["no end", "cut", "error", "error at once", "odd", "failed", "network", "aborted"],
)
async def test_a_stream_that_breaks_off_fails_the_attempt(
    llm: LoopbackLLM, reply: Reply, told: str
) -> None:
    llm.replies.append(reply)
    error = await fail()
    assert (error.message, error.non_retryable) == (told, False)
    assert (error.__cause__, len(llm.calls)) == (None, 1)


async def test_the_last_try_asks_for_a_whole_answer(llm: LoopbackLLM) -> None:
    """A gateway may break each stream."""
    assert content_of(await ask(is_last_attempt=True)) == "# Draft\n\nbees"
    assert not llm.calls[0].streamed


async def test_a_stream_of_equal_pieces_is_a_valid_draft(llm: LoopbackLLM) -> None:
    llm.replies.append(stream_of(*["---|"] * 300))
    assert content_of(await ask()) == "---|" * 300


REFUSALS = [
    (400, "Your organization must be verified to stream this model"),
    (422, "stream_options: extra inputs are not permitted"),
    (501, "streaming is not implemented"),
]


async def drafts_of(llm: LoopbackLLM, number: int) -> list[bool]:
    """Asks for drafts as Temporal does, and returns which calls were streamed."""
    for _ in range(number):
        for attempt in range(3):
            try:
                assert content_of(await ask(is_last_attempt=attempt == 2)) == "# Draft\n\nbees"
                break
            except ApplicationError as error:
                assert not error.non_retryable
    return [call.streamed for call in llm.calls]


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_a_refusal_to_stream_is_remembered_for_an_hour(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, refusal: tuple[int, str]
) -> None:
    status, text = refusal
    llm.replies.append(Reply(text, status=status))
    assert await drafts_of(llm, 2) == [True, False, False]
    monkeypatch.setattr(streams, "MEMORY", 0)
    assert (await drafts_of(llm, 1))[3:] == [True]


async def test_streaming_stops_after_two_odd_streams_in_a_row(llm: LoopbackLLM) -> None:
    odd, whole = Reply(events=[]), Reply()
    llm.replies += [odd, whole, whole, odd, whole, odd, whole]
    assert await drafts_of(llm, 5) == [True, False, True, True, False, True, False, False]


@pytest.mark.parametrize("name", ["openai/m", "openrouter/m", "groq/m"])
async def test_a_server_without_finish_reasons_is_soon_asked_for_whole_answers(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LLM_MODEL", name)
    for variable in ("OPENROUTER_API_BASE", "GROQ_API_BASE"):
        monkeypatch.setenv(variable, llm.base_url)
    llm.replies += [stream_of("Bees ", "dance", reason=None)] * 2
    assert await drafts_of(llm, 3) == [True, True, False, False, False]


async def test_a_refusal_of_too_many_streams_is_retried_as_a_stream(llm: LoopbackLLM) -> None:
    text = "too many concurrent streams"
    llm.replies.append(Reply(text, status=429, headers={"Retry-After": "17"}))
    error = await fail()
    assert error.next_retry_delay == timedelta(seconds=17)
    assert await drafts_of(llm, 1) == [True, True]


async def test_a_model_that_falls_silent_is_retried(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its first word, it may think."""
    monkeypatch.setattr(streams, "SILENCE_LIMIT", 0.3)
    monkeypatch.setattr("beyond.llm.SILENCE_LIMIT", 0.3)
    thoughts = [piece(reasoning_content="hm ")] * 3
    llm.replies.append(Reply(events=[*thoughts, piece("Bees "), None], pace=0.4))
    error = await fail()
    assert not error.non_retryable
    assert "the model stopped in the middle of its answer: nothing arrived for 0 s" in error.message
    await eventually(lambda: llm.calls[0].abandoned)


async def test_other_tasks_run_while_a_stream_arrives_all_at_once() -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    litellm: Any = load_litellm()

    async def chunks() -> AsyncIterator[Any]:
        for _ in range(1000):
            delta = litellm.types.utils.Delta(content="a ")
            choice = litellm.types.utils.StreamingChoices(delta=delta)
            yield litellm.ModelResponseStream(choices=[choice])

    others = asyncio.create_task(take_turns())
    await streams.read_chunks(chunks(), [], Writing())
    others.cancel()
    assert turns >= 999  # between two chunks


async def test_a_refusal_in_a_stream_is_quoted(llm: LoopbackLLM) -> None:
    """LiteLLM drops it from a stream."""
    refusal = {"role": "assistant", "content": None, "refusal": "I cannot help with bees."}
    body = {"choices": [{"index": 0, "message": refusal, "finish_reason": "stop"}]}
    stream = [piece(refusal="I cannot help"), piece(finish_reason="stop"), "[DONE]"]
    llm.replies += [Reply(events=stream), as_json(body)]
    error = await fail()
    assert error.message == "openai/gpt-4o refused: I cannot help with bees"
    assert len(llm.calls) == 2


async def test_only_the_first_eight_calls_in_progress_are_streamed(llm: LoopbackLLM) -> None:
    llm.go_on.clear()
    calls = [asyncio.create_task(ask()) for _ in range(STREAMS_AT_ONCE + 4)]
    await eventually(lambda: len(llm.calls) == len(calls))
    llm.go_on.set()
    assert {content_of(answer) for answer in await asyncio.gather(*calls)} == {"# Draft\n\nbees"}
    assert sum(call.streamed for call in llm.calls) == STREAMS_AT_ONCE


async def test_a_call_that_is_cancelled_closes_its_stream(llm: LoopbackLLM) -> None:
    writing = Writing()
    llm.replies.append(stream_of(*["word "] * 1500, pace=0.05))
    call = asyncio.create_task(ask(writing))
    await eventually(lambda: writing.make_live_draft() is not None)
    call.cancel()
    await eventually(lambda: llm.calls[0].abandoned)
    with pytest.raises(asyncio.CancelledError):
        await call


def _anthropic(*events: dict[str, Any]) -> str:
    usage = {"input_tokens": 3, "output_tokens": 1}
    message = {"id": "m", "role": "assistant", "content": [], "model": "c", "usage": usage}
    block = {"type": "text", "text": ""}
    text = {"type": "text_delta", "text": "Bees dance."}
    all_events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message | {"type": "message"}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": text},
        *events,
    ]
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in all_events)


def _gemini(reason: str | None) -> str:
    content = {"parts": [{"text": "Bees dance."}], "role": "model"}
    candidate = {"content": content, "index": 0, "finishReason": reason}
    return f"data: {json.dumps({'candidates': [candidate], 'modelVersion': 'g'})}\n\n"


END: dict[str, Any] = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {"output_tokens": 5},
}
LIMIT_REACHED = END | {"delta": {"stop_reason": "max_tokens"}}
PAUSE = END | {"delta": {"stop_reason": "pause_turn"}}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
STREAMS = {
    "anthropic": ("anthropic/claude-sonnet-4-5", _anthropic(END, {"type": "message_stop"}), "stop"),
    "anthropic's limit": ("anthropic/claude-sonnet-4-5", _anthropic(LIMIT_REACHED), "length"),
    "anthropic's error": ("anthropic/claude-sonnet-4-5", _anthropic(OVERLOADED), "Overloaded"),
    "anthropic without an end": (
        "anthropic/claude-sonnet-4-5",
        _anthropic(),
        "the provider stopped",
    ),
    "anthropic's pause": ("anthropic/claude-sonnet-4-5", _anthropic(PAUSE), "pause_turn"),
    "gemini": ("gemini/gemini-2.5-flash", _gemini("STOP"), "stop"),
    "gemini without an end": ("gemini/gemini-2.5-flash", _gemini(None), "the provider stopped"),
    "openrouter's error": (
        "openrouter/m",
        f"data: {json.dumps({'error': {'code': 502, 'message': 'gone', 'metadata': {}}})}\n\n",
        "openrouter/m: gone",
    ),
    "ollama's error": (
        "ollama_chat/llama3",
        json.dumps(
            {
                "model": "m",
                "created_at": "2025-01-01T00:00:00Z",
                "done": False,
                "message": {"role": "assistant", "content": "Bees"},
            }
        )
        + '\n{"error": "the runner has stopped"}\n',
        "ollama_chat/llama3: the runner has stopped",
    ),
    "gemini's limit": ("gemini/gemini-2.5-flash", _gemini("MAX_TOKENS"), "length"),
}


@pytest.mark.parametrize("case", STREAMS)
async def test_each_providers_stream_ends_with_its_reason_or_error(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    model, body, ends = STREAMS[case]
    monkeypatch.setenv("LLM_MODEL", model)
    for name in ("ANTHROPIC", "GEMINI", "OPENROUTER", "OLLAMA"):
        monkeypatch.setenv(f"{name}_API_BASE", httpserver.url_for(""))
    everything = httpserver.expect_request(re.compile(".*"))
    everything.respond_with_data(body, content_type="text/event-stream")
    if ends not in ("stop", "length", "pause_turn"):
        assert ends in (await fail()).message
        return
    answer = await ask()
    assert (content_of(answer), answer["choices"][0]["finish_reason"]) == ("Bees dance.", ends)

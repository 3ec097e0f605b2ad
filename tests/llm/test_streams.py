"""From a model's stream to a draft, and what a person sees meanwhile."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from loopback_llm import LoopbackLLM, Reply, piece
from pytest_httpserver import HTTPServer
from starters import OpenStarter, piped
from support import KEY, draft_of, eventually, start_report, waiting
from temporalio.api.common.v1 import ActivityType, Payload, Payloads
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from beyond.llm import complete, load_litellm, streams
from beyond.llm.streams import STREAMS_AT_ONCE
from beyond.llm.writing import Writing
from beyond.payloads import ReadableCodec
from beyond.terminal.progress import find_live_draft
from beyond.terminal.reports import describe_report
from models import LIVE_DRAFT_LENGTH, LiveDraft, LLMCallInput

pytestmark = pytest.mark.usefixtures("llm")

LIMIT = timedelta(minutes=1)
WORDS = [f"word{number} " for number in range(1500)]
BROKEN = "openai/gpt-4o: the provider stopped in the middle of its answer"


async def ask(writing: Writing | None = None, *, is_last_attempt: bool = False) -> dict[str, Any]:
    prompt = LLMCallInput("bees")
    return await complete(prompt, LIMIT, writing or Writing(), is_last_attempt=is_last_attempt)


async def fail() -> ApplicationError:
    with pytest.raises(ApplicationError) as error:
        await ask()
    return error.value


def content_of(answer: dict[str, Any]) -> str:
    content: str = answer["choices"][0]["message"]["content"]
    return content


def stream_of(*texts: str, reason: str | None = "stop", **more: Any) -> Reply:
    events = [*map(piece, texts), *([piece(finish_reason=reason)] if reason else []), "[DONE]"]
    return Reply(events=events, **more)


# From a stream to a draft.


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


async def test_a_limit_on_streams_is_temporary(llm: LoopbackLLM) -> None:
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
    whole = Reply(body=json.dumps(body), content_type="application/json")
    llm.replies += [Reply(events=stream), whole]
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
    llm.replies.append(stream_of(*WORDS, pace=0.05))
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


# What a person sees meanwhile.


def test_a_live_draft_is_the_end_of_the_text_and_the_number_of_its_words() -> None:
    writing = Writing()
    assert writing.make_live_draft() is None
    for word in WORDS:
        writing.add(word)
    text = "".join(WORDS)
    assert writing.make_live_draft() == LiveDraft(text[-LIVE_DRAFT_LENGTH:], 1500)


def test_thoughts_are_not_part_of_the_live_draft() -> None:
    writing = Writing()
    writing.add("", "Bees, hm.")
    assert writing.make_live_draft() == LiveDraft(thinking=True)
    writing.add("<think>What do I know")
    assert writing.make_live_draft() == LiveDraft(thinking=True)
    writing.add("?</think>Bees dance.")
    assert writing.make_live_draft() == LiveDraft("Bees dance.", 2)


def test_a_chinese_or_japanese_character_is_a_word() -> None:
    writing = Writing()
    writing.add("蜜蜂会跳舞。 Bees dance.")
    assert writing.make_live_draft() == LiveDraft("蜜蜂会跳舞。 Bees dance.", 8)


@pytest.mark.usefixtures("worker")
async def test_the_server_has_the_live_draft_and_the_history_does_not_grow(
    client: Client, llm: LoopbackLLM
) -> None:
    some, more = (list(map(piece, WORDS[start : start + 50])) for start in (0, 50))
    end = piece(finish_reason="stop")
    llm.replies.append(Reply(events=[*some, None, *more, None, end]))
    report = await start_report(client, "bees")

    async def count_words() -> int:
        live = await find_live_draft(client, await describe_report(client, report.id))
        return live.words if live else 0

    for words in (50, 100):

        async def are_written(words: int = words) -> bool:
            return await count_words() == words

        await eventually(are_written)
        llm.go_on.set()
    await waiting(report, 1)
    assert await count_words() == 0
    description = await describe_report(client, report.id)
    assert description.workflow_execution_info.history_length == 10
    assert await draft_of(report) == "".join(WORDS[:100])


class FailingCodec(ReadableCodec):
    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        raise OSError("the service that keeps the keys is away")


async def test_a_failing_codec_hides_only_the_live_draft(client: Client) -> None:
    converter = replace(client.data_converter, payload_codec=FailingCodec())
    writing = PendingActivityInfo(
        activity_type=ActivityType(name="llm_call"),
        state=PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
        heartbeat_details=Payloads(payloads=[Payload(data=b"secret")]),
        last_heartbeat_time=Timestamp(seconds=1),
    )
    description = DescribeWorkflowExecutionResponse(pending_activities=[writing])
    without_key = Client(client.service_client, data_converter=converter)
    assert await find_live_draft(without_key, description) is None


@pytest.mark.usefixtures("worker")
async def test_a_retry_clears_the_live_draft_and_says_why(client: Client, llm: LoopbackLLM) -> None:
    half = [piece(word) for word in WORDS[:60]]
    again = [piece("Done."), None, piece(" It is."), piece(finish_reason="stop")]
    llm.replies += [Reply(events=[*half, None], broken=True), Reply(events=again)]
    report = await start_report(client, "bees")

    async def told() -> tuple[str, str]:
        """The live draft, and why its call is being retried."""
        description = await describe_report(client, report.id)
        live = await find_live_draft(client, description)
        activities = description.pending_activities
        return live.text if live else "", activities[0].last_failure.message if activities else ""

    async def first_half() -> bool:
        return await told() == ("".join(WORDS[:60]), "")

    async def second_attempt() -> bool:
        text, why = await told()
        assert text in ("", "".join(WORDS[:60]), "Done.")
        return (text, why) == ("Done.", BROKEN)

    await eventually(first_half)
    llm.go_on.set()
    await eventually(second_attempt)
    llm.go_on.set()
    status = await waiting(report, 1)
    assert (status.text, status.error) == ("Done. It is.", "")


@pytest.mark.usefixtures("worker")
async def test_a_person_sees_the_draft_grow(llm: LoopbackLLM, open_starter: OpenStarter) -> None:
    words = [piece(word) for word in ["# Bees\n\n", "蜜蜂 **dance**. ", *WORDS[:40]]]
    thought, end = piece(reasoning_content="hm "), piece(finish_reason="stop")
    llm.replies.append(Reply(events=[thought, None, *words, None, end]))
    starter = open_starter("bees")
    starter.sees("Thinking…")
    llm.go_on.set()
    starter.sees("Draft 1")
    starter.sees("蜜蜂 **dance**.")
    starter.sees(re.compile(r"Researching… \d+ s, 45 words"))
    llm.go_on.set()
    starter.sees("Research is complete!")
    assert "蜜蜂 dance." in starter.text
    assert "**dance**" not in starter.text
    starter.keep()
    starter.sees_result()
    assert starter.ends() == 0


@pytest.mark.usefixtures("worker")
async def test_a_pipe_shows_only_the_finished_draft(llm: LoopbackLLM) -> None:
    llm.replies.append(stream_of(*WORDS[:80], pace=0.03))
    done = await asyncio.to_thread(piped, "bees\nkeep\n")
    assert done.returncode == 0
    assert done.stdout.count("word1 ") == 1
    assert "Researching" not in done.stdout

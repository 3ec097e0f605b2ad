"""From a model's answer to a draft and its finish reason."""

import asyncio
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asking import ANSWERS, ask, content_of, fail
from loopback_llm import LoopbackLLM, Reply, answer, as_json
from support import KEY, edit, eventually, start_report, waiting
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities import llm_call
from beyond import heartbeats
from models import DRAFT_LIMIT, LLMCallInput

HERE = Path(__file__).parent
PLAYED = {path.stem: path for path in (HERE / "answers").glob("*.json")}
TEA = "# Tea\n\nTea is a leaf.\n\nIt is steeped in water."
THOUGHTS = "The reader wants a short text about tea. I will leave out the history."
TIDES = (
    "# Tides\n\nThe tide follows the moon.\n\n"
    "- It is high twice a day.\n- It is late by 50 minutes each day.\n"
)

# pytest turns these warnings into errors. LiteLLM serializes fields that providers should not send.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer")


WITH_A_DRAFT = [
    "thoughts after a newline",
    "thoughts with only a closing tag",
    "thoughts in another tag",
    "thoughts in Mistral's marks",
    "thoughts in harmony channels",
    "an end token",
    "content in parts",
]


CUT_OFF = {
    "no resources left in the middle": "insufficient_system_resource",
    "a limit under another name": "length",
}


async def answered(
    llm: LoopbackLLM, body: dict[str, Any], *, is_last_attempt: bool = False
) -> dict[str, Any]:
    """Returns what a call makes of this answer."""
    llm.replies.append(as_json(body))
    return await ask(is_last_attempt=is_last_attempt)


# The request.


async def test_a_call_outside_a_worker_answers_in_the_openai_shape(llm: LoopbackLLM) -> None:
    assert content_of(await llm_call(LLMCallInput("bees"))) == "# Draft\n\nbees"
    assert [call.messages for call in llm.calls] == [[{"role": "user", "content": "bees"}]]
    assert llm.calls[0].key == f"Bearer {KEY}"


async def test_a_revision_sends_the_draft_that_was_read(llm: LoopbackLLM) -> None:
    await llm_call(LLMCallInput("bees, as a poem", draft="All about bees", draft_prompt="bees"))
    assert llm.calls[0].messages == [
        {"role": "user", "content": "bees"},
        {"role": "assistant", "content": "All about bees"},
        {"role": "user", "content": "bees, as a poem"},
    ]


async def test_half_a_surrogate_pair_is_sent_as_a_question_mark(llm: LoopbackLLM) -> None:
    """The HTTP client cannot encode it, so Temporal used to retry the call forever."""
    await llm_call(LLMCallInput("bees \udcfc", draft="\ud83d", draft_prompt="bees"))
    assert [message["content"] for message in llm.calls[0].messages] == ["bees", "?", "bees ?"]


@pytest.mark.parametrize("around", ["{} ", "\t{}\r\n", '"{}"', "'{}'", ' "{}" '])
async def test_white_space_and_quotes_around_the_key_are_not_sent(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, around: str
) -> None:
    monkeypatch.setenv("LLM_API_KEY", around.format(KEY))
    await llm_call(LLMCallInput("bees"))
    assert llm.calls[0].key == f"Bearer {KEY}"


async def test_the_demo_model_repeats_topic_and_instructions_without_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    prompt = "bees\n\nAdditional instructions: shorter\n\nAdditional instructions: in verse"
    draft = content_of(await llm_call(LLMCallInput(prompt)))
    assert "Offline demo" in draft
    assert "# bees\n" in draft
    assert "1. shorter\n2. in verse\n" in draft


async def test_a_call_heartbeats_while_the_model_thinks_and_not_after(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "HEARTBEAT_INTERVAL", timedelta(seconds=0.01))
    environment = ActivityEnvironment()
    beats: list[object] = []
    environment.on_heartbeat = lambda *details: beats.append(details)
    llm.go_on.clear()
    call = asyncio.create_task(environment.run(llm_call, LLMCallInput("bees")))
    await eventually(lambda: llm.in_flight == 1)
    so_far = len(beats)
    await eventually(lambda: len(beats) > so_far + 3)
    llm.go_on.set()
    await call
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    assert not [name for name in names if name.endswith("_beat")]


async def test_an_attempt_that_temporal_has_timed_out_makes_no_call(llm: LoopbackLLM) -> None:
    """This happens if the Worker was suspended before the call began."""
    environment = ActivityEnvironment()
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    environment.info = replace(environment.info, started_time=long_ago)
    call = asyncio.create_task(environment.run(llm_call, LLMCallInput("bees")))
    await asyncio.sleep(0.1)
    environment.cancel()  # as the answer to the first heartbeat does
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not llm.calls


# The draft.


@pytest.mark.parametrize("name", WITH_A_DRAFT)
async def test_the_draft_is_the_report_without_thoughts(llm: LoopbackLLM, name: str) -> None:
    result = await answered(llm, ANSWERS[name]["body"])
    [choice] = result["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (TEA, "stop")
    assert name == "an end token" or choice["message"]["reasoning_content"] == THOUGHTS


NO_REASON, WITH_SOURCES = "gemini-ends-without-a-reason", "answer-engine-stream-with-sources"
PLAYED_DRAFTS = set(PLAYED) - {NO_REASON, WITH_SOURCES}


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", sorted(PLAYED_DRAFTS))
async def test_an_answer_of_unusual_shape_becomes_a_complete_draft(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, name: str, streamed: bool
) -> None:
    llm.play(json.loads(PLAYED[name].read_text()), monkeypatch)
    result = await ask(is_last_attempt=not streamed)
    assert (content_of(result), result["choices"][0]["finish_reason"]) == (TIDES, "stop")
    is_stream = name != "groq-without-service-tier"
    assert len(llm.calls) == (1 if is_stream or not streamed else 2)
    if "thoughts" in name:
        assert result["choices"][0]["message"]["reasoning_content"] == "Keep it short."


async def test_a_gemini_stream_without_a_finish_reason_is_retried(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has usage with each piece, so usage does not mark its end."""
    llm.play(json.loads(PLAYED[NO_REASON].read_text()), monkeypatch)
    error = await fail()
    assert "the provider stopped in" in error.message
    assert not error.non_retryable


async def test_the_sources_of_an_answer_engine_are_numbered(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.play(json.loads(PLAYED[WITH_SOURCES].read_text()), monkeypatch)
    text = content_of(await ask())
    assert "each day[1][2]." in text
    assert "1. [The moon and the tide](<https://tides.example.org/moon>)\n2. [Why" in text


async def test_a_text_that_litellm_rejects_becomes_a_draft(llm: LoopbackLLM) -> None:
    body = answer(TEA)
    body["choices"][0]["message"]["reasoning_content"] = {"text": THOUGHTS}
    assert content_of(await answered(llm, body)) == TEA


@pytest.mark.parametrize(
    ("glued", "apart"),
    [
        ("I'll search for tea.# Tea\n\nIt is old.", "I'll search for tea.\n\n# Tea\n\nIt is old."),
        ("# Tea\n\nIt is old.## Use\n\nHot.", "# Tea\n\nIt is old.\n\n## Use\n\nHot."),
        ("Write `a.# b` or C.# b.", "Write `a.# b` or C.# b."),
    ],
)
async def test_a_heading_within_a_line_begins_a_line(
    llm: LoopbackLLM, glued: str, apart: str
) -> None:
    assert content_of(await answered(llm, answer(glued))) == apart


@pytest.mark.parametrize(
    "text", ["\u200b7\n", "x" * (DRAFT_LIMIT - 1000)], ids=["one character", "just small enough"]
)
async def test_the_shortest_and_the_longest_answer_are_drafts(llm: LoopbackLLM, text: str) -> None:
    llm.replies.append(Reply(text))
    assert content_of(await llm_call(LLMCallInput("seven"))) == text


@pytest.mark.parametrize(
    ("text", "size"), [("x" * 3_000_000, "3.0"), ("蜂" * 400_000, "2.4"), ("x" * 1_000_000, "1.0")]
)
@pytest.mark.parametrize("is_last_attempt", [False, True], ids=["streamed", "whole"])
async def test_an_answer_too_large_for_a_report_fails_with_its_size(
    llm: LoopbackLLM, text: str, size: str, is_last_attempt: bool
) -> None:
    """JSON takes six bytes for a Chinese character. A stream is aborted at the limit."""
    llm.replies.append(Reply(text))
    error = await fail(is_last_attempt=is_last_attempt)
    assert (error.type, error.non_retryable) == ("AnswerTooLarge", True)
    assert re.fullmatch(
        r"the answer has (\d\.\d) MB, but a report holds at most 1 MB; ask for a shorter one",
        error.message,
    )
    assert not is_last_attempt or f" {size} MB" in error.message


# Finish reasons.


@pytest.mark.parametrize("reason", ["stop", "end_turn", "eos", "STOP", "COMPLETE", None])
async def test_an_answer_that_the_model_finished_has_the_reason_stop(
    llm: LoopbackLLM, reason: str | None
) -> None:
    result = await answered(llm, answer(TEA, reason))
    assert result["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("name", CUT_OFF)
async def test_a_cut_off_report_keeps_its_finish_reason(llm: LoopbackLLM, name: str) -> None:
    result = await answered(llm, ANSWERS[name]["body"])
    assert result["choices"][0]["finish_reason"] == CUT_OFF[name]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("sensitive", "content_filter"),
        ("abort", "abort"),
        ("tool_calls", "tool_calls"),
        ("who_knows", "who_knows"),
    ],
)
async def test_another_finish_reason_appears_in_the_status(
    llm: LoopbackLLM, reason: str, told: str
) -> None:
    result = await answered(llm, answer("# Tea\n\nTea is", reason))
    assert result["choices"][0]["finish_reason"] == told


@pytest.mark.parametrize("reason", ["error", "network_error"])
async def test_an_answer_that_broke_off_becomes_a_draft_at_the_last_try(
    llm: LoopbackLLM, reason: str
) -> None:
    """Each call costs money, so the person sees what the last one brought."""
    result = await answered(llm, answer("# Tea\n\nTea is", reason), is_last_attempt=True)
    assert result["choices"][0]["finish_reason"] == reason


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    "reason", ["MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"]
)
async def test_malformed_answers_from_gemini_count_as_cut_off(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, reason: str, streamed: bool
) -> None:
    content = {"parts": [{"text": "# Tea\n\nTea is"}], "role": "model"}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    candidate = {"content": content, "index": 0, "finishReason": reason}
    body = {"candidates": [candidate], "usageMetadata": usage}
    case = {"model": "gemini/gemini-2.5-pro", "base": ["GEMINI_API_BASE", ""]}
    llm.play(case | {"whole": body, "stream": [body]}, monkeypatch)
    result = await ask(is_last_attempt=not streamed)
    assert result["choices"][0]["finish_reason"] == reason


# From one draft to the next.


async def test_an_edit_sends_no_thoughts(client: Client, llm: LoopbackLLM, task_queue: str) -> None:
    llm.replies.append(Reply(f"<think>{THOUGHTS}</think>\n\n{TEA}"))
    report = await start_report(client, "tea", task_queue)
    assert (await waiting(report, draft=1)).text == TEA
    await edit(report, "shorter")
    await waiting(report, draft=2)
    assert llm.calls[1].messages[1] == {"role": "assistant", "content": TEA}

"""What a person sees of a draft while the model writes it."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from asking import BROKEN
from google.protobuf.timestamp_pb2 import Timestamp
from loopback_llm import LoopbackLLM, Reply, piece, stream_of
from starters import OpenStarter, piped
from support import draft_of, eventually, start_report, waiting
from temporalio.api.common.v1 import ActivityType, Payload, Payloads
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import Client

from beyond.llm.writing import Writing
from beyond.payloads import ReadableCodec
from beyond.terminal.progress import find_live_draft
from beyond.terminal.reports import describe_report
from models import LIVE_DRAFT_LENGTH, LiveDraft

pytestmark = pytest.mark.usefixtures("llm")

WORDS = [f"word{number} " for number in range(1500)]


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

"""The processes that the benchmark starts beside the app.

python benchmark_peers.py llm           a language model on loopback, in one thread
python benchmark_peers.py floor         the floor: the least that a report costs on Temporal
python benchmark_peers.py pdfs N SECS   the create_pdf of the folder in PYTHONPATH, N characters
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

FLOOR_TASK_QUEUE = "floor"
FLOOR_SLOTS = 2_000  # as many as our Worker has

# What a prompt asks for, and how the model then streams: as many tokens a second as most do.
SLOW_STREAM, SLOW_PIECES, SLOW_PACE = "word by word", 600, 0.02
# A page on letter paper, without anything that the tutorial's code cannot set.
PAGE = """\
## What a tun is

When its pond dries up, a tardigrade pulls in its legs, gives up **97 percent** of its water and
turns into a *tun*: a barrel of a tenth of a millimetre that neither eats nor breathes nor ages.
Proteins without a fixed shape take the place of the water and set like glass around whatever
must not break, and a drop of rain is enough to bring the animal back, decades later.

- **Cold**: a few days at one degree above absolute zero, and minutes of boiling water.
- **Pressure**: six times that of the deepest trench of the ocean, or none at all.
- **Radiation**: a thousand times the dose that kills a person, because a protein called Dsup
  wraps the DNA and keeps the fragments of water away from it.

In 2007 a satellite carried three thousand of them into the vacuum of space for ten days. Most
came back alive, some of them after the full light of the sun, and laid eggs that hatched. No
other animal is known to have done that, and nobody knows why one that lives in moss should be
able to: nothing in its life is like space, except that it dries out.

1. They walk on eight legs with claws, slowly, which is what their name says.
2. They live in moss, in sand, in hot springs and under the ice of both poles.
3. About 1,400 species are described, and most of them are smaller than a grain of salt.

"""


def answer(prompt: str) -> dict[str, Any]:
    """What the provider says to the prompt: a page about its topic."""
    message = {"role": "assistant", "content": f"# {prompt}\n\n{PAGE}"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "loopback",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def events(prompt: str) -> Iterator[bytes]:
    """The same as a stream: in one piece, or in many if the prompt asks for a slow one."""
    whole = answer(prompt)
    text = whole["choices"][0]["message"]["content"]
    size = len(text) // SLOW_PIECES + 1 if SLOW_STREAM in prompt else len(text)
    pieces = [{"content": text[at : at + size]} for at in range(0, len(text), size)]
    for delta in [*pieces, {}]:
        reason = None if delta else "stop"
        chunk = whole | {
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
            "usage": None if delta else whole["usage"],
        }
        yield f"data: {json.dumps(chunk)}\n\n".encode()
    yield b"data: [DONE]\n\n"


def thinking_time(prompt: str) -> float:
    """The seconds that the model thinks: the benchmark's prompts begin with them."""
    return float(prompt.split()[0])


async def serve_llm() -> None:
    """Prints its address, then a line for each call that it is paid for."""
    server = await asyncio.start_server(_converse, "127.0.0.1", backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            assert length, head
            request = json.loads(await reader.readexactly(int(length[1])))
            prompt = request["messages"][-1]["content"]
            print(prompt, flush=True)
            await asyncio.sleep(thinking_time(prompt))
            if request.get("stream"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
                writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
                for event in [*events(prompt), b""]:
                    writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                    await writer.drain()
                    if SLOW_STREAM in prompt:
                        await asyncio.sleep(SLOW_PACE)
                continue
            body = json.dumps(answer(prompt)).encode()
            lines = "HTTP/1.1 200 OK", "Content-Type: application/json"
            head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
            writer.write(head + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@activity.defn
async def llm_call(prompt: str) -> dict[str, Any]:
    await asyncio.sleep(thinking_time(prompt))
    return answer(prompt)


@activity.defn
async def create_pdf(content: str) -> str:
    return "research_pdf.pdf"


@workflow.defn(name="GenerateReportWorkflow")
class FloorWorkflow:
    """The shape of the tutorial's Workflow: an Activity, a Signal, an Activity."""

    def __init__(self) -> None:
        self._decided = False
        self._draft = ""

    @workflow.signal
    def user_decision_signal(self, decision: dict[str, str]) -> None:
        self._decided = True

    @workflow.query
    def get_research_result(self) -> str:
        return self._draft

    @workflow.run
    async def run(self, input: dict[str, str]) -> str:
        soon = timedelta(minutes=1)
        draft = await workflow.execute_activity(
            llm_call, input["prompt"], start_to_close_timeout=soon
        )
        self._draft = draft["choices"][0]["message"]["content"]
        await workflow.wait_condition(lambda: self._decided)
        return await workflow.execute_activity(create_pdf, self._draft, start_to_close_timeout=soon)


async def floor_worker() -> None:
    from temporalio.client import Client
    from temporalio.envconfig import ClientConfig
    from temporalio.worker import Worker

    client = await Client.connect(**ClientConfig.load_client_connect_config())
    worker = Worker(
        client,
        task_queue=FLOOR_TASK_QUEUE,
        workflows=[FloorWorkflow],
        activities=[llm_call, create_pdf],
        max_concurrent_activities=FLOOR_SLOTS,
    )
    async with worker:
        print("Worker is polling", flush=True)
        await asyncio.Event().wait()


def make_pdfs(characters: int, seconds: float) -> None:
    """Prints the seconds that one PDF takes, after a first one that loads the fonts."""
    from activities import create_pdf
    from models import PDFGenerationInput

    def make(length: int) -> None:
        create_pdf(PDFGenerationInput(content=(PAGE * (length // len(PAGE) + 1))[:length]))

    make(len(PAGE))
    started = time.perf_counter()
    made = 0
    while not made or time.perf_counter() - started < seconds:
        make(characters)
        made += 1
    print((time.perf_counter() - started) / made)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["llm"]:
            asyncio.run(serve_llm())
        case ["floor"]:
            asyncio.run(floor_worker())
        case ["pdfs", characters, seconds]:
            make_pdfs(int(characters), float(seconds))

"""A language model on loopback: a real HTTP server that speaks the OpenAI protocol."""

import json
import re
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

PIECES = 8  # in which a text is streamed


@dataclass
class Reply:
    """One answer. `text` of None becomes a draft that repeats the prompt; `delay` in seconds."""

    text: str | None = None
    status: int = 200
    delay: float = 0
    finish_reason: str = "stop"
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None  # instead of JSON in the OpenAI shape; never streamed
    content_type: str = "text/html"  # of such a body
    cut: bool = False  # closes the connection without an answer
    # A stream's own, instead of the text's. At None, it waits until the test sets `go_on`.
    events: list[Any] | None = None
    pace: float = 0  # seconds between the events of a stream
    broken: bool = False  # closes the connection in the middle of a stream


@dataclass
class Call:
    messages: list[dict[str, str]]
    key: str
    streamed: bool = False
    answered: bool = False
    abandoned: bool = False  # the caller closed the connection before the answer


class _QuickServer(HTTPServer):
    def thread_target(self) -> None:
        assert self.server
        self.server.serve_forever(poll_interval=0.02)  # how long each test waits for its end


class LoopbackLLM:
    """Answers with `replies` in their order, and after that with `default`.

    It listens at `port`, or at any free one. A provider of another protocol answers as `case` says:
    with its `whole`, or the events of its `stream`, whatever the path. While `go_on` is cleared, no
    call is answered. `called` is set when the first one comes.
    """

    def __init__(self, port: int = 0) -> None:
        self.go_on, self.called = Event(), Event()
        self._lock = Lock()
        self._server = _QuickServer(host="127.0.0.1", port=port, threaded=True)
        path = "/v1/chat/completions"
        self._server.expect_request(path, method="POST").respond_with_handler(self._respond)
        anything = self._server.expect_request(re.compile(".*"), method="POST")
        anything.respond_with_handler(self._play)
        self.reset()

    def reset(self) -> None:
        """Forgets replies and calls."""
        self.default = Reply()
        self.replies: deque[Reply] = deque()
        self.case: dict[str, Any] = {}
        self.calls: list[Call] = []
        self.most_in_flight = 0
        self.called.clear()
        self.go_on.set()

    def __str__(self) -> str:
        waits = "" if self.go_on.is_set() else ", until go_on is set"
        return f"{len(self.calls)} calls, {self.in_flight} of them in progress{waits}"

    def __enter__(self) -> "LoopbackLLM":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self.stop()

    def start(self) -> None:
        """Listens. After `stop()`, it listens at the same address again."""
        if not self._server.is_running():
            self._server.start()

    def stop(self) -> None:
        if self._server.is_running():
            self._server.stop()

    def play(self, case: dict[str, Any], environment: pytest.MonkeyPatch) -> None:
        """Answers as `case` says, and sets what its provider is asked with."""
        self.case = case
        variable, path = case["base"]
        settings: dict[str, str] = case.get("env", {})
        address = self.base_url.removesuffix("/v1") + path
        for name, value in {"LLM_MODEL": case["model"], variable: address, **settings}.items():
            environment.setenv(name, value)

    @property
    def base_url(self) -> str:
        return self._server.url_for("/v1")

    @property
    def in_flight(self) -> int:
        return sum(not (call.answered or call.abandoned) for call in self.calls)

    def _respond(self, request: Request) -> Response:
        if self.case:
            return self._play(request)
        streamed = bool(request.json.get("stream"))
        with self._lock:
            if streamed and (self.replies[0] if self.replies else self.default).body is not None:
                return _refuse_to_stream()
            reply = self.replies.popleft() if self.replies else self.default
            key = request.headers.get("Authorization", "")
            call = Call(request.json["messages"], key, streamed)
            self.calls.append(call)
            self.called.set()
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self._caller_leaves(request, time.monotonic() + reply.delay):
            call.abandoned = True
            return Response(status=499)
        call.answered = True
        if reply.cut:
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        if streamed and reply.status == 200 and not reply.cut:
            stream = self._stream(reply, call, request)
            return Response(stream, 200, reply.headers, content_type="text/event-stream")
        body = reply.body if reply.body is not None else json.dumps(_payload(reply, call))
        content_type = "application/json" if reply.body is None else reply.content_type
        return Response(body, reply.status, reply.headers, content_type=content_type)

    def _play(self, request: Request) -> Response:
        if not self.case:
            return Response(json.dumps({"error": "no such path"}), 404)
        asked = json.loads(request.data)
        streamed = bool(asked.get("stream")) or "stream" in request.path.lower()
        self.calls.append(Call(asked.get("messages", []), "", streamed, answered=True))
        if streamed:
            events = (e if isinstance(e, str) else json.dumps(e) for e in self.case["stream"])
            body = "".join(f"data: {event}\n\n" for event in events)
            return Response(body, content_type="text/event-stream")
        return Response(json.dumps(self.case["whole"]), content_type="application/json")

    def _stream(self, reply: Reply, call: Call, request: Request) -> Iterator[str]:
        call.answered = False
        try:
            for event in _events(reply, call) if reply.events is None else reply.events:
                if event is None:
                    self.go_on.clear()
                else:
                    yield f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n"
                if self._caller_leaves(request, time.monotonic() + reply.pace):
                    return
            if reply.broken:
                request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            call.answered = True
        finally:  # a caller that has not read everything resets the connection
            call.abandoned = not call.answered

    def _caller_leaves(self, request: Request, until: float) -> bool:
        """Waits. Returns true, and early, if the caller closes the connection."""
        connection: socket.socket = request.environ["werkzeug.socket"]
        while (left := until - time.monotonic()) > 0 or not self.go_on.is_set():
            readable, _, _ = select.select([connection], [], [], min(max(left, 0.02), 0.1))
            if readable and not connection.recv(1, socket.MSG_PEEK):
                return True
        return False


def _refuse_to_stream() -> Response:
    error = {"error": {"message": "this server does not support streaming"}}
    return Response(json.dumps(error), 400, content_type="application/json")


def piece(text: str = "", finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """An event of a stream in the OpenAI shape."""
    delta |= {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "loopback",
        "choices": [choice],
    }


def stream_of(*texts: str, reason: str | None = "stop", **more: Any) -> Reply:
    """A reply that streams these texts. `more` are its other fields."""
    events = [*map(piece, texts), *([piece(finish_reason=reason)] if reason else []), "[DONE]"]
    return Reply(events=events, **more)


def answer(content: Any, finish_reason: str | None = "stop") -> dict[str, Any]:
    """A whole answer in the OpenAI shape."""
    message = {"role": "assistant", "content": content}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}


def as_json(body: Any, status: int = 200, **more: Any) -> Reply:
    """A reply with this body, which may be text already. `more` are its other fields."""
    text = body if isinstance(body, str) else json.dumps(body)
    return Reply(status=status, body=text, content_type="application/json", **more)


def _events(reply: Reply, call: Call) -> Iterator[str | dict[str, Any]]:
    """The answer as a stream of some pieces."""
    whole = _payload(reply, call)
    text = whole["choices"][0]["message"]["content"]
    size = len(text) // PIECES + 1
    for start in range(0, len(text), size):
        yield piece(text[start : start + size])
    yield piece(finish_reason=reply.finish_reason)
    yield piece() | {"choices": [], "usage": whole["usage"]}
    yield "[DONE]"


def _payload(reply: Reply, call: Call) -> dict[str, Any]:
    if reply.status != 200:
        # Providers quote the key in their errors.
        return {"error": {"message": f"{reply.text or 'refused'} {call.key}", "code": "x"}}
    text = f"# Draft\n\n{call.messages[-1]['content']}" if reply.text is None else reply.text
    return answer(text, reply.finish_reason) | {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "loopback",
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }

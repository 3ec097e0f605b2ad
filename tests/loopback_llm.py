"""A language model on loopback: a real HTTP server that speaks the OpenAI protocol."""

import json
import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response


@dataclass
class Reply:
    """One answer. `text` of None becomes a draft that repeats the prompt; `delay` in seconds."""

    text: str | None = None
    status: int = 200
    delay: float = 0
    finish_reason: str = "stop"
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None  # instead of JSON in the OpenAI shape
    content_type: str = "text/html"  # of such a body
    cut: bool = False  # closes the connection without an answer


@dataclass
class Call:
    messages: list[dict[str, str]]
    key: str
    answered: bool = False
    abandoned: bool = False  # the caller closed the connection before the answer


class _QuickServer(HTTPServer):
    def thread_target(self) -> None:
        assert self.server
        self.server.serve_forever(poll_interval=0.02)  # how long each test waits for its end


class LoopbackLLM:
    """Answers as `replies` say, in their order, and as `default` says after that.

    While `go_on` is cleared, no call is answered. `called` is set when the first one comes.
    """

    def __init__(self) -> None:
        self.go_on, self.called = Event(), Event()
        self._lock = Lock()
        self._server = _QuickServer(host="127.0.0.1", threaded=True)
        path = "/v1/chat/completions"
        self._server.expect_request(path, method="POST").respond_with_handler(self._respond)
        self.reset()

    def reset(self) -> None:
        """Forgets replies and calls."""
        self.default = Reply()
        self.replies: deque[Reply] = deque()
        self.calls: list[Call] = []
        self.most_in_flight = 0
        self.called.clear()
        self.go_on.set()

    def __enter__(self) -> "LoopbackLLM":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self.stop()

    def start(self) -> None:
        """Listens, also again after `stop()` and then at the same address."""
        if not self._server.is_running():
            self._server.start()

    def stop(self) -> None:
        if self._server.is_running():
            self._server.stop()

    @property
    def base_url(self) -> str:
        return self._server.url_for("/v1")

    @property
    def in_flight(self) -> int:
        return sum(not (call.answered or call.abandoned) for call in self.calls)

    def _respond(self, request: Request) -> Response:
        with self._lock:
            reply = self.replies.popleft() if self.replies else self.default
            call = Call(request.json["messages"], request.headers.get("Authorization", ""))
            self.calls.append(call)
            self.called.set()
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self._caller_leaves(request, time.monotonic() + reply.delay):
            call.abandoned = True
            return Response(status=499)
        call.answered = True
        if reply.cut:
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        body = reply.body if reply.body is not None else json.dumps(_payload(reply, call))
        content_type = "application/json" if reply.body is None else reply.content_type
        return Response(body, reply.status, reply.headers, content_type=content_type)

    def _caller_leaves(self, request: Request, until: float) -> bool:
        """Waits, and returns early and true when the caller closes the connection meanwhile."""
        connection: socket.socket = request.environ["werkzeug.socket"]
        while time.monotonic() < until or not self.go_on.is_set():
            readable, _, _ = select.select([connection], [], [], 0.1)
            if readable and not connection.recv(1, socket.MSG_PEEK):
                return True
        return False


def _payload(reply: Reply, call: Call) -> dict[str, Any]:
    if reply.status != 200:
        # Providers quote the key in their errors.
        return {"error": {"message": f"{reply.text or 'refused'} {call.key}", "code": "x"}}
    text = f"# Draft\n\n{call.messages[-1]['content']}" if reply.text is None else reply.text
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "loopback",
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }

"""A language model on loopback: a real HTTP server that speaks the OpenAI protocol."""

import json
import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from threading import Lock
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


@dataclass
class Call:
    messages: list[dict[str, str]]
    key: str
    answered: bool = False
    abandoned: bool = False  # the caller closed the connection before the answer


class LoopbackLLM:
    """Answers as `replies` say, in their order, and as `default` says after that."""

    def __init__(self) -> None:
        self.default = Reply()
        self.replies: deque[Reply] = deque()
        self.calls: list[Call] = []
        self._lock = Lock()
        self._server = HTTPServer(host="127.0.0.1", threaded=True)
        path = "/v1/chat/completions"
        self._server.expect_request(path, method="POST").respond_with_handler(self._respond)

    def __enter__(self) -> "LoopbackLLM":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
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
        if _caller_leaves(request, reply.delay):
            call.abandoned = True
            return Response(status=499)
        call.answered = True
        body = reply.body if reply.body is not None else json.dumps(_payload(reply, call))
        content_type = "application/json" if reply.body is None else "text/html"
        return Response(body, reply.status, reply.headers, content_type=content_type)


def _caller_leaves(request: Request, seconds: float) -> bool:
    """Waits, and returns early and true when the caller closes the connection meanwhile."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([connection], [], [], min(left, 0.2))
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

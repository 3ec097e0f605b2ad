"""The connection breaks after the server has the request and before its reply arrives."""

import select
import socket
import threading
from collections.abc import Iterator

import pytest
from starters import Begin, OpenStarter
from support import decisions_on
from temporalio.client import Client

from models import UserDecision

pytestmark = pytest.mark.usefixtures("worker")


class Line:
    """A connection to Temporal that breaks once, at a request that contains `breaks_at`."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.breaks_at = b""
        self.broken = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._relay, args=[near], daemon=True).start()

    def _relay(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._server) as far:
            while True:
                for source in select.select([near, far], [], [])[0]:
                    if not (data := source.recv(65536)):
                        return
                    wanted = self.breaks_at and self.breaks_at in data
                    if source is near and wanted and not self.broken:
                        far.sendall(data)
                        far.recv(65536)  # the server has acted, and its answer goes nowhere
                        self.broken = True
                        return
                    (far if source is near else near).sendall(data)


@pytest.fixture
def line(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    line = Line(client.service_client.config.target_host)
    monkeypatch.setenv("TEMPORAL_ADDRESS", line.address)
    yield line
    line.close()


async def test_a_start_whose_reply_is_lost_starts_one_report(
    line: Line, client: Client, open_starter: OpenStarter
) -> None:
    line.breaks_at = b"honey"
    starter = open_starter("honey")
    workflow_id = starter.started()
    assert line.broken
    starter.asked_to_decide()
    open_ones = [one.id async for one in client.list_workflows("ExecutionStatus = 'Running'")]
    assert open_ones == [workflow_id]


async def test_a_decision_whose_reply_is_lost_counts_once(line: Line, begin: Begin) -> None:
    starter, report = begin()
    line.breaks_at = b"honey"
    starter.edit("honey")
    assert line.broken
    starter.sees("Draft 2")
    starter.keep()
    starter.sees_result()
    kinds = [decision.decision for decision in await decisions_on(report)]
    assert kinds == [UserDecision.EDIT, UserDecision.KEEP]

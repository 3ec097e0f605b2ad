"""What a person reads if Temporal runs but the settings are wrong for it."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from starters import OpenStarter, piped
from support import Serve, WorkerProcess, eventually, free_port, start_report
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetSystemInfoRequest
from temporalio.client import Client

from beyond.server import connection
from beyond.server.connection import (
    NO_SERVER,
    TemporalUnreachableError,
    connect,
    limits_requests,
    retry_until_answered,
)
from beyond.server.dev_server import start_server
from beyond.terminal.progress import NO_WORKER, explain_missing_worker
from beyond.terminal.reports import describe_report


def say_bad_request(stream: socket.socket) -> None:
    stream.recv(65536)
    stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def refuse_key(stream: socket.socket) -> None:
    """Answers each request as Temporal Cloud does with a key that has expired: in HTTP/2."""

    def frame(kind: int, flags: int, number: bytes, payload: bytes = b"") -> bytes:
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + number + payload

    def field(name: bytes, value: bytes) -> bytes:
        return bytes([0, len(name)]) + name + bytes([len(value)]) + value

    fields = {b"content-type": b"application/grpc", b"grpc-status": b"16"}
    fields[b"grpc-message"] = b"Jwt is expired"
    answer = b"\x88" + b"".join(field(*one) for one in fields.items())  # 0x88 is status 200
    file = stream.makefile("rb")
    file.read(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    stream.sendall(frame(4, 0, bytes(4)))
    while header := file.read(9):
        file.read(int.from_bytes(header[:3], "big"))
        if header[3] == 1:  # the headers of a request
            stream.sendall(frame(1, 5, header[5:9], answer))
        elif header[3] == 4 and not header[4]:
            stream.sendall(frame(4, 1, bytes(4)))


@pytest.fixture
def tls(certificates: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.set_alpn_protocols(["h2"])
    return context


@pytest.fixture
def problem(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A function that connects with the given settings of Temporal and returns the error."""

    def find(**settings: object) -> str:
        for name, value in settings.items():
            monkeypatch.setenv(f"TEMPORAL_{name}", str(value))
        done = piped("bees\n")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        return done.stderr.rstrip("\n")

    return find


Problem = Callable[..., str]


@pytest.mark.parametrize("place", ["environment", "temporal.toml", "nowhere"])
def test_a_refused_api_key_is_reported_with_where_it_is_set(
    place: str, serve: Serve, problem: Problem, tmp_path: Path
) -> None:
    address = f"localhost:{serve(refuse_key)}"
    if place == "environment":
        said = problem(ADDRESS=address, API_KEY="a-key", TLS="false")
        assert said == (
            f"Temporal at {address} refuses the API key in TEMPORAL_API_KEY: Jwt is expired. "
            "Set a key that is valid for the namespace."
        )
    elif place == "temporal.toml":
        (tmp_path / "no-temporal.toml").write_text(
            f'[profile.default]\naddress = "{address}"\napi_key = "a-key"\n'
            "[profile.default.tls]\ndisabled = true\n"
        )
        assert problem() == (
            f"Temporal at {address} refuses the API key in temporal.toml: Jwt is expired. "
            "Set a key there that is valid for the namespace, or one in TEMPORAL_API_KEY."
        )
    else:
        assert problem(ADDRESS=address) == (
            f"Temporal at {address} requires an API key: Jwt is expired. Set TEMPORAL_API_KEY."
        )


def test_plain_text_to_a_tls_server_names_the_setting_for_tls(
    serve: Serve, problem: Problem, tls: ssl.SSLContext
) -> None:
    address = f"localhost:{serve(say_bad_request, tls)}"
    assert problem(ADDRESS=address) == (
        f"Temporal at {address} closes the connection. If it uses TLS, set "
        "TEMPORAL_TLS=true, or TEMPORAL_API_KEY for Temporal Cloud."
    )


def test_tls_to_a_plain_text_server_names_the_settings_that_turn_it_on(
    serve: Serve, problem: Problem
) -> None:
    address = f"localhost:{serve(say_bad_request)}"
    assert problem(ADDRESS=address, TLS="true") == (
        f"Temporal at {address} does not use TLS, but an API key or TLS is set: in "
        "TEMPORAL_API_KEY, in a variable TEMPORAL_TLS… or in temporal.toml. Unset it there, or set "
        "another TEMPORAL_ADDRESS."
    )


def test_a_wrong_certificate_is_reported_with_its_setting(
    serve: Serve, problem: Problem, tls: ssl.SSLContext, certificates: Path
) -> None:
    address = f"localhost:{serve(say_bad_request, tls)}"
    assert problem(ADDRESS=address, TLS="true") == (
        f"The certificate of Temporal at {address} was issued by an authority that this machine "
        "does not trust. Set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the file with that authority's "
        "certificate."
    )
    authority = certificates / "ca.pem"
    said = problem(TLS_SERVER_CA_CERT_PATH=authority, TLS_SERVER_NAME="other.example")
    assert said == (
        f"The certificate of Temporal at {address} is for another name. "
        "Set that name in TEMPORAL_TLS_SERVER_NAME."
    )
    said = problem(TLS_CLIENT_CERT_PATH=__file__, TLS_CLIENT_KEY_PATH=__file__)
    assert said.startswith("The client certificate or its key cannot be read. ")


@pytest.mark.parametrize(
    "name", ["TLS_SERVER_CA_CERT_PATH", "TLS_CLIENT_CERT_PATH", "TLS_CLIENT_KEY_PATH"]
)
def test_a_tls_file_that_cannot_be_read_is_reported_with_its_setting(
    name: str, problem: Problem
) -> None:
    assert problem(ADDRESS="localhost:7233", **{name: "/nowhere"}) == (
        f"TEMPORAL_{name} names the file /nowhere for TLS, which cannot be read: No such file or "
        "directory. Name another one."
    )


def test_a_tls_file_of_temporal_toml_that_cannot_be_read_is_reported(
    problem: Problem, tmp_path: Path
) -> None:
    (tmp_path / "no-temporal.toml").write_text(
        '[profile.default.tls]\nserver_ca_cert_path = "/nowhere"\n'
    )
    assert problem().startswith("temporal.toml names the file /nowhere for TLS, which cannot be ")


def test_a_server_that_requires_a_client_certificate_names_its_settings(
    serve: Serve, problem: Problem, tls: ssl.SSLContext, certificates: Path
) -> None:
    tls.load_verify_locations(certificates / "ca.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    address = f"localhost:{serve(say_bad_request, tls)}"
    assert problem(ADDRESS=address, TLS_SERVER_CA_CERT_PATH=certificates / "ca.pem") == (
        f"Temporal at {address} closes the connection. If it requires a client certificate, set "
        "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH to its files."
    )


@pytest.mark.parametrize("address", ["https://temporal.example.com:7233", "localhost", "a:b"])
async def test_an_address_without_host_or_port_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    with pytest.raises(TemporalUnreachableError) as error:
        await connect()
    assert str(error.value) == (
        f"Temporal's address {address} is not HOST:PORT, such as localhost:7233. "
        "Change it in TEMPORAL_ADDRESS or in temporal.toml."
    )


LIMITS = [
    f"--dynamic-config-value=frontend.{limit}"
    for limit in ("namespaceRPS=4", "globalNamespaceRPS=4", "namespaceBurstRatio=1")
]


async def test_requests_over_a_namespaces_limit_wait_and_are_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    log = tmp_path / "server.log"
    async with await start_server(log, extra_args=LIMITS) as environment:
        client = environment.client
        request = DescribeNamespaceRequest(namespace=client.namespace)
        ask = partial(client.workflow_service.describe_namespace, request)
        await asyncio.gather(
            *(retry_until_answered(client, ask, said.append, NO_SERVER) for _ in range(12))
        )
        address = client.service_client.config.target_host
        assert limits_requests(client)
        monkeypatch.setattr(connection, "LIMIT_MEMORY", 0)
        assert not limits_requests(client)  # it is forgotten
    assert said == [f"Temporal at {address} limits the rate of requests: this may take longer"]


async def test_in_a_limited_namespace_every_starter_gets_its_draft_and_few_miss_the_worker(
    tmp_path: Path, open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five starters that poll every second would leave the Worker no requests."""
    port = free_port()
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{port}")
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    log = tmp_path / "server.log"
    async with await start_server(log, port, extra_args=LIMITS):
        worker = WorkerProcess(tmp_path).wait_until_polling()
        try:
            starters = [open_starter(f"topic {number}") for number in range(5)]
            for starter in starters:
                starter.asked_to_decide()
            # On a busy machine, a Worker that was refused may not poll again for seconds.
            assert sum("No Worker" in starter.text for starter in starters) <= 1
            lists = [asyncio.to_thread(piped, "", "--list") for _ in range(3)]
            for done in await asyncio.gather(*lists):
                assert done.returncode == 0
                assert "No Worker" not in done.stderr
                assert done.stdout.count("\ttopic ") == len(starters)
        finally:
            worker.kill()
            worker.wait()


async def test_an_outage_is_reported_once_and_after_it_no_worker_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    address, said = f"127.0.0.1:{port}", list[str]()
    server = await start_server(tmp_path / "server.log", port)
    client = await Client.connect(address)
    await server.shutdown()

    async def ask() -> None:
        await client.workflow_service.get_system_info(GetSystemInfoRequest())

    waiting = asyncio.gather(*(retry_until_answered(client, ask, said.append) for _ in range(5)))
    await eventually(lambda: bool(said))
    async with await start_server(tmp_path / "server.log", port):
        await waiting
        report = await start_report(client, "bees")
        info = (await describe_report(client, report.id)).workflow_execution_info
        assert await explain_missing_worker(client, info) == ""
        monkeypatch.setattr(connection, "RECONNECT_TIME", 0)
        assert await explain_missing_worker(client, info) == NO_WORKER
    assert said == [
        f"Temporal is not reachable at {address}; trying again",
        "Temporal is reachable again",
    ]


async def test_a_dev_server_is_suggested_only_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.invalid:7233")
    with pytest.raises(TemporalUnreachableError) as error:
        await connect()
    assert str(error.value).startswith("Temporal is not reachable at temporal.invalid:7233 (")
    assert str(error.value).endswith("). Check TEMPORAL_ADDRESS and the network.")

"""Why no answer arrives: each cause on a real socket, with the sentence that reports it."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
from loopback_llm import LoopbackLLM
from support import KEY, eventually
from temporalio.exceptions import ApplicationError

from beyond.llm import complete, load_litellm
from beyond.llm.writing import Writing
from beyond.process import RESTART
from models import LLMCallInput

# Of the clients that `new_clients` takes from LiteLLM.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
)


@contextmanager
def serving(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Yields the port of a server that does this to each connection, and closes it."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:  # the test is over
                return
            with connection:
                try:
                    answer(connection)
                except OSError:  # the caller leaves, or does not speak TLS
                    continue

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody has signed, with its key."""
    folder = tmp_path_factory.mktemp("certificate")
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *names]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "certificate.pem"


@pytest.fixture
def tls(certificate: Path) -> AbstractContextManager[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(1)

    return serving(answer)


@pytest.fixture(autouse=True)
def new_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """LiteLLM keeps its clients, with the proxies and certificates of their day."""
    monkeypatch.setenv("LLM_API_KEY", KEY)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    litellm = load_litellm()
    assert litellm
    litellm.in_memory_llm_clients_cache.flush_cache()
    yield
    litellm.in_memory_llm_clients_cache.flush_cache()


async def fail(monkeypatch: pytest.MonkeyPatch, address: str) -> ApplicationError:
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(ApplicationError) as error:
        await complete(LLMCallInput("bees"), timedelta(seconds=20), Writing())
    assert "object at" not in error.value.message
    return error.value


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://127.0.0.1:1/v1", "127.0.0.1:1 refuses the connection"),
        (
            "http://no-such-host.invalid/v1",
            "no-such-host.invalid:80 cannot be found (DNS); check the name",
        ),
    ],
)
async def test_an_outage_is_retried(
    monkeypatch: pytest.MonkeyPatch, address: str, told: str
) -> None:
    error = await fail(monkeypatch, address)
    assert (error.type, error.message) == ("ConnectionError", f"openai/gpt-4o: {told}")
    assert not error.non_retryable


async def test_a_closed_connection_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a TLS server, too: it answers plain text with an alert, or with nothing."""
    with serving(lambda connection: connection.recv(100)) as port:
        error = await fail(monkeypatch, f"http://127.0.0.1:{port}/v1")
    assert error.message == (
        f"openai/gpt-4o: 127.0.0.1:{port} closed the connection without an answer; "
        "if this goes on, write https:// in OPENAI_BASE_URL"
    )
    assert not error.non_retryable


async def test_plain_text_to_a_tls_server_names_the_cure(
    monkeypatch: pytest.MonkeyPatch, tls: AbstractContextManager[int]
) -> None:
    with tls as port:
        error = await fail(monkeypatch, f"http://localhost:{port}/v1")
    assert error.message.endswith("if this goes on, write https:// in OPENAI_BASE_URL")


@pytest.mark.parametrize("address", ["http://example.com/v1", "https://example.com/v1"])
async def test_a_dead_proxy_is_named(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    error = await fail(monkeypatch, address)
    assert error.message == "openai/gpt-4o: the proxy 127.0.0.1:1 refuses the connection"
    assert not error.non_retryable


@pytest.mark.parametrize("name", ["ALL_PROXY", "HTTPS_PROXY"])
async def test_a_socks_proxy_is_refused_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "socks5://127.0.0.1:1")
    error = await fail(monkeypatch, "https://example.com/v1")
    assert (error.type, error.non_retryable) == ("SettingsError", True)
    assert error.message == (
        "openai/gpt-4o: the environment names a SOCKS proxy, which LiteLLM cannot use; "
        f"name an HTTP proxy or none, and {RESTART}"
    )


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:8000/v1", "localhost/v1", "ftp://localhost/v1", "http://localhost:99999/v1"],
)
async def test_an_invalid_address_is_refused_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    error = await fail(monkeypatch, address)
    assert (error.type, error.non_retryable) == ("SettingsError", True)
    assert error.message == (
        f"openai/gpt-4o: the address {address} cannot be used; write it as http://host:port/v1 "
        f"or https://host/v1 in OPENAI_BASE_URL and {RESTART}"
    )


async def test_https_to_a_plain_server_is_refused_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, llm: LoopbackLLM
) -> None:
    error = await fail(monkeypatch, llm.base_url.replace("http:", "https:"))
    host = llm.base_url.split("/")[2]
    assert error.message == (
        f"openai/gpt-4o: {host} does not use TLS; write http:// in OPENAI_BASE_URL and {RESTART}"
    )
    assert error.non_retryable


@pytest.mark.parametrize("file", ["", "/no/such/file.pem"])
async def test_an_unknown_certificate_is_refused_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, tls: AbstractContextManager[int], file: str
) -> None:
    if file:
        monkeypatch.setenv("SSL_CERT_FILE", file)
    with tls as port:
        error = await fail(monkeypatch, f"https://localhost:{port}/v1")
    missing = f"; there is no file {file}" if file else ""
    assert error.message == (
        f"openai/gpt-4o: the certificate of localhost:{port} is not trusted "
        f"(self-signed certificate){missing}; "
        f"set SSL_CERT_FILE to its authority's certificate and {RESTART}"
    )
    assert error.non_retryable


async def test_the_cure_for_an_unknown_certificate_works(
    monkeypatch: pytest.MonkeyPatch, tls: AbstractContextManager[int], certificate: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with tls as port:
        error = await fail(monkeypatch, f"https://localhost:{port}/v1")
    assert "closed the connection without an answer" in error.message  # by then, it is trusted


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            "vertex_ai/gemini-pro",
            "LiteLLM needs a Python package for this model that is not installed (google.auth); "
            f"install it and {RESTART}",
        ),
        (
            "bedrock/anthropic.claude",
            f"Unable to locate credentials; correct the settings and {RESTART}",
        ),
        (
            "azure_ai/some-model",
            "api_base is required for Azure AI Studio. Please set the api_base parameter. Passed "
            f"`api_base=None`; correct the settings and {RESTART}",
        ),
        (
            "snowflake/claude",
            f"Missing snowflake account_id; correct the settings and {RESTART}",
        ),
        (
            "cloudflare/@cf/llama",
            "Missing CLOUDFLARE_ACCOUNT_ID - set CLOUDFLARE_ACCOUNT_ID in the environment or pass "
            f"api_base explicitly; correct the settings and {RESTART}",
        ),
    ],
)
async def test_a_missing_setting_or_package_is_refused_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, model: str, told: str
) -> None:
    monkeypatch.setenv("LLM_MODEL", model)
    if model.startswith(("vertex", "bedrock")):
        monkeypatch.setenv("LLM_API_KEY", "your-api-key")
    error = await fail(monkeypatch, "http://127.0.0.1:1/v1")
    assert (error.message, error.non_retryable) == (f"{model}: {told}", True)


@pytest.mark.skipif(not shutil.which("ss"), reason="only Linux has ss")
async def test_a_silent_connection_is_kept_alive(llm: LoopbackLLM) -> None:
    """A firewall that drops it would be noticed, and none drops it that sees the probes."""
    llm.go_on.clear()
    call = asyncio.create_task(complete(LLMCallInput("bees"), timedelta(minutes=1), Writing()))
    await eventually(lambda: llm.in_flight == 1)
    port = llm.base_url.split(":")[2].split("/")[0]
    command = ["ss", "-tno", f"dport = :{port}"]
    sockets = await asyncio.to_thread(subprocess.check_output, command, text=True)
    llm.go_on.set()
    await call
    assert "timer:(keepalive," in sockets

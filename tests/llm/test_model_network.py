"""Why no answer arrives: each cause on a real socket, with the sentence that reports it."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import ask, fail
from loopback_llm import LoopbackLLM
from support import KEY, Serve, eventually
from temporalio.exceptions import ApplicationError

from beyond.llm import load_litellm
from beyond.process import RESTART

# Of the clients that `new_clients` takes from LiteLLM.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def tls(certificates: Path, serve: Serve) -> int:
    """The port of a server with a certificate that only it has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "ca.pem", certificates / "ca.key")
    return serve(lambda connection: connection.recv(1), context)


@pytest.fixture(autouse=True)
def new_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """LiteLLM caches its clients with the proxies and certificates that were set at the time."""
    monkeypatch.setenv("LLM_API_KEY", KEY)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    litellm = load_litellm()
    assert litellm
    litellm.in_memory_llm_clients_cache.flush_cache()
    yield
    litellm.in_memory_llm_clients_cache.flush_cache()


async def fail_at(monkeypatch: pytest.MonkeyPatch, address: str) -> ApplicationError:
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    error = await fail(limit=20)
    assert "object at" not in error.message
    return error


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
    error = await fail_at(monkeypatch, address)
    assert (error.type, error.message) == ("ConnectionError", f"openai/gpt-4o: {told}")
    assert not error.non_retryable


async def test_a_closed_connection_is_retried(
    monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    """So is one to a TLS server, which answers plain text with an alert or not at all."""
    port = serve(lambda connection: connection.recv(100))
    error = await fail_at(monkeypatch, f"http://127.0.0.1:{port}/v1")
    assert error.message == (
        f"openai/gpt-4o: 127.0.0.1:{port} closed the connection without an answer; "
        "if this goes on, write https:// in OPENAI_BASE_URL"
    )
    assert not error.non_retryable


async def test_plain_text_to_a_tls_server_names_the_cure(
    monkeypatch: pytest.MonkeyPatch, tls: int
) -> None:
    error = await fail_at(monkeypatch, f"http://localhost:{tls}/v1")
    assert error.message.endswith("if this goes on, write https:// in OPENAI_BASE_URL")


@pytest.mark.parametrize("address", ["http://example.com/v1", "https://example.com/v1"])
async def test_a_dead_proxy_is_named(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    error = await fail_at(monkeypatch, address)
    assert error.message == "openai/gpt-4o: the proxy 127.0.0.1:1 refuses the connection"
    assert not error.non_retryable


@pytest.mark.parametrize("name", ["ALL_PROXY", "HTTPS_PROXY"])
async def test_a_socks_proxy_is_refused_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "socks5://127.0.0.1:1")
    error = await fail_at(monkeypatch, "https://example.com/v1")
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
    error = await fail_at(monkeypatch, address)
    assert (error.type, error.non_retryable) == ("SettingsError", True)
    assert error.message == (
        f"openai/gpt-4o: the address {address} cannot be used; write it as http://host:port/v1 "
        f"or https://host/v1 in OPENAI_BASE_URL and {RESTART}"
    )


async def test_https_to_a_plain_server_is_refused_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, llm: LoopbackLLM
) -> None:
    error = await fail_at(monkeypatch, llm.base_url.replace("http:", "https:"))
    host = llm.base_url.split("/")[2]
    assert error.message == (
        f"openai/gpt-4o: {host} does not use TLS; write http:// in OPENAI_BASE_URL and {RESTART}"
    )
    assert error.non_retryable


@pytest.mark.parametrize("file", ["", "/no/such/file.pem"])
async def test_an_unknown_certificate_is_refused_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, tls: int, file: str
) -> None:
    if file:
        monkeypatch.setenv("SSL_CERT_FILE", file)
    error = await fail_at(monkeypatch, f"https://localhost:{tls}/v1")
    missing = f"; there is no file {file}" if file else ""
    assert error.message == (
        f"openai/gpt-4o: the certificate of localhost:{tls} is not trusted "
        f"(self-signed certificate){missing}; "
        f"set SSL_CERT_FILE to its authority's certificate and {RESTART}"
    )
    assert error.non_retryable


async def test_the_cure_for_an_unknown_certificate_works(
    monkeypatch: pytest.MonkeyPatch, tls: int, certificates: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    error = await fail_at(monkeypatch, f"https://localhost:{tls}/v1")
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
    error = await fail_at(monkeypatch, "http://127.0.0.1:1/v1")
    assert (error.message, error.non_retryable) == (f"{model}: {told}", True)


@pytest.mark.skipif(not shutil.which("ss"), reason="only Linux has ss")
async def test_a_silent_connection_is_kept_alive(llm: LoopbackLLM) -> None:
    """Firewalls drop silent connections, but not those with TCP keep-alive probes."""
    llm.go_on.clear()
    call = asyncio.create_task(ask())
    await eventually(lambda: llm.in_flight == 1)
    port = llm.base_url.split(":")[2].split("/")[0]
    command = ["ss", "-tno", f"dport = :{port}"]
    sockets = await asyncio.to_thread(subprocess.check_output, command, text=True)
    llm.go_on.set()
    await call
    assert "timer:(keepalive," in sockets

"""The connection to Temporal: its settings, its errors in plain words, and retries in an outage."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Set
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetSystemInfoRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.service import GrpcCompression, RPCError, RPCStatusCode

from beyond.process import RefusedError

DEFAULT_ADDRESS = "localhost:7233"
THIS_MACHINE = ("localhost", "127.0.0.1")
START_SERVER = "temporal server start-dev --db-filename temporal.db"
CONNECT_TIMEOUT = 10  # seconds
SERVER_CHECK_INTERVAL = timedelta(seconds=5)
RETRY_INTERVAL = 1  # seconds between attempts while no server answers
# Seconds between a starter's requests while the server limits their rate. It counts the Workers'
# polls, too, and refuses these first: a few eager starters could keep the Workers from their tasks.
LIMIT_INTERVAL = 5
LIMIT_MEMORY = 60  # seconds after the last refusal in which the limit still counts as reached
# Seconds after an outage in which Workers may still be away: they try again every ten or less.
RECONNECT_TIME = 20

# The errors of a request if there is no server, or if the connection breaks before the reply.
NO_SERVER = {RPCStatusCode.UNAVAILABLE, RPCStatusCode.UNKNOWN, RPCStatusCode.INTERNAL}
# Those, or no reply in time. The SDK reports its own deadline as CANCELLED.
NO_ANSWER = NO_SERVER | {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}

# What a person should read in place of the SDK's words for a failed connection.
CONNECTION_PROBLEMS = {
    "InvalidContentType": "Temporal at {address} does not use TLS, but an API key or TLS is set: "
    "in TEMPORAL_API_KEY, in a variable TEMPORAL_TLS… or in temporal.toml. Unset it there, or set "
    "another TEMPORAL_ADDRESS.",
    "InvalidCertificate(NotValidForName": "The certificate of Temporal at {address} is for another "
    "name. Set that name in TEMPORAL_TLS_SERVER_NAME.",
    "InvalidCertificate(Expired": "The certificate of Temporal at {address} has expired.",
    "InvalidCertificate": "The certificate of Temporal at {address} was issued by an authority "
    "that this machine does not trust. Set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the file with that "
    "authority's certificate.",
    "PrivateKeyParseError": "The client certificate or its key cannot be read. Check the files "
    "in TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH, or in temporal.toml.",
}

# By the server's address, and shared: requests that wait at the same time report an outage once.
_refused_at: dict[str, float] = {}  # when it last refused a request as one too many, monotonic
_away: set[str] = set()  # the servers that do not answer
_back_at: dict[str, float] = {}  # when a server that was away answered again, monotonic

T = TypeVar("T")


class TemporalUnreachableError(RefusedError):
    """There is no Temporal server to work with."""


async def connect(**options: Any) -> Client:
    """Connects with the settings of the environment and temporal.toml, and with `options`.

    `options` are further arguments of Client.connect. Raises TemporalUnreachableError after at most
    `CONNECT_TIMEOUT` seconds.
    """
    settings = connection_settings()
    if is_on_this_machine(settings["target_host"]):
        # On localhost, compression only costs CPU.
        options.setdefault("grpc_compression", GrpcCompression.NONE)
    try:
        return await asyncio.wait_for(Client.connect(**settings, **options), CONNECT_TIMEOUT)
    except (RuntimeError, ValueError, TimeoutError) as error:
        raise TemporalUnreachableError(_explain(str(error), settings)) from None


def _explain(error: str, settings: ClientConnectConfig) -> str:
    """Returns the SDK's error in plain words, with the cure."""
    address = settings["target_host"]
    for sign, sentence in CONNECTION_PROBLEMS.items():
        if sign in error:
            return sentence.format(address=address)
    # The part for people, such as "Connection refused".
    cause = re.search(r'(?:message|error): "([^"]+)"', error)
    reason = cause[1] if cause else "no answer"
    if re.search("code: (?:Unauthenticated|PermissionDenied)", error):
        return _explain_refused_key(address, reason)
    if "after connection" in error:
        cure = "If it uses TLS, set TEMPORAL_TLS=true, or TEMPORAL_API_KEY for Temporal Cloud."
        if settings.get("tls"):
            cure = (
                "If it requires a client certificate, set TEMPORAL_TLS_CLIENT_CERT_PATH and "
                "TEMPORAL_TLS_CLIENT_KEY_PATH to its files."
            )
        return f"Temporal at {address} closes the connection. {cure}"
    cure = "Check TEMPORAL_ADDRESS and the network."
    if is_on_this_machine(address):
        cure = f"Start it with: {START_SERVER}"
    return f"Temporal is not reachable at {address} ({reason}). {cure}"


def _explain_refused_key(address: str, reason: str) -> str:
    reason = reason.rstrip(".")
    if os.environ.get("TEMPORAL_API_KEY"):
        return (
            f"Temporal at {address} refuses the API key in TEMPORAL_API_KEY: {reason}. "
            "Set a key that is valid for the namespace."
        )
    if connection_settings().get("api_key"):
        return (
            f"Temporal at {address} refuses the API key in temporal.toml: {reason}. "
            "Set a key there that is valid for the namespace, or one in TEMPORAL_API_KEY."
        )
    return f"Temporal at {address} requires an API key: {reason}. Set TEMPORAL_API_KEY."


async def require_namespace(client: Client) -> None:
    """Raises RefusedError if the server has no such namespace, or refuses the API key."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    limit = timedelta(seconds=CONNECT_TIMEOUT)
    try:
        await client.workflow_service.describe_namespace(request, timeout=limit)
    except RPCError as error:
        if error.status == RPCStatusCode.UNAUTHENTICATED:
            address = client.service_client.config.target_host
            raise RefusedError(_explain_refused_key(address, error.message)) from None
        if error.status != RPCStatusCode.NOT_FOUND:  # this key may not look up namespaces
            return
        raise RefusedError(
            f"There is no namespace {client.namespace} at "
            f"{client.service_client.config.target_host}. Set another one in TEMPORAL_NAMESPACE, "
            f"or create it: temporal operator namespace create {client.namespace}"
        ) from None


def connection_settings() -> ClientConnectConfig:
    """Reads the environment and temporal.toml. Raises TemporalUnreachableError."""
    try:
        settings = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError) as error:
        raise TemporalUnreachableError(f"The Temporal settings cannot be read: {error}") from None
    except OSError as error:  # of a certificate or a key
        settings_for_tls = {
            path: name for name, path in os.environ.items() if name.startswith("TEMPORAL_TLS")
        }
        raise TemporalUnreachableError(
            f"{settings_for_tls.get(str(error.filename), 'temporal.toml')} names the file "
            f"{error.filename} for TLS, which cannot be read: {error.strerror}. Name another one."
        ) from None
    settings["target_host"] = settings.get("target_host") or DEFAULT_ADDRESS
    settings["namespace"] = settings.get("namespace") or "default"
    address = settings["target_host"]
    if "://" in address or not re.search(r":\d+$", address):
        raise TemporalUnreachableError(
            f"Temporal's address {address} is not HOST:PORT, such as {DEFAULT_ADDRESS}. "
            "Change it in TEMPORAL_ADDRESS or in temporal.toml."
        )
    return settings


def is_on_this_machine(address: str) -> bool:
    """Whether `address`, HOST:PORT, is on this machine."""
    return address.rpartition(":")[0] in THIS_MACHINE


async def retry_until_answered(
    client: Client,
    request: Callable[[], Awaitable[T]],
    say: Callable[[str], None],
    no_answer: Set[RPCStatusCode] = NO_ANSWER,
) -> T:
    """Retries `request` until a server answers, and says when the server goes away and comes back.

    One failed attempt does not count as an outage. Also retries while the server limits the rate of
    requests, and says that once. Raises RefusedError if the server refuses the API key, and
    RPCError for a status that is not in `no_answer`.
    """
    address = client.service_client.config.target_host
    attempt = 0
    while True:
        attempt += 1
        try:
            answer = await request()
        except RPCError as error:
            if error.status == RPCStatusCode.UNAUTHENTICATED:  # the key has expired meanwhile
                raise RefusedError(_explain_refused_key(address, error.message)) from None
            if error.status == RPCStatusCode.RESOURCE_EXHAUSTED:
                if not limits_requests(client):
                    say(f"Temporal at {address} limits the rate of requests: this may take longer")
                note_refusal(client)
                await asyncio.sleep(LIMIT_INTERVAL)
                continue
            if error.status not in no_answer:
                raise
            if attempt > 1 and address not in _away:
                say(f"Temporal is not reachable at {address}; trying again")
                _away.add(address)
            await asyncio.sleep(RETRY_INTERVAL)
        else:
            if address in _away:
                say("Temporal is reachable again")
                _away.discard(address)
                _back_at[address] = time.monotonic()
            return answer


def note_refusal(client: Client) -> None:
    """Notes that the server has refused a request as one too many."""
    _refused_at[client.service_client.config.target_host] = time.monotonic()


def limits_requests(client: Client) -> bool:
    """Whether the server refused a request as one too many in the last `LIMIT_MEMORY` seconds.

    Its Workers may be slow then.
    """
    return _is_recent(_refused_at, client, LIMIT_MEMORY)


def was_away(client: Client) -> bool:
    """Whether the server was away until at most `RECONNECT_TIME` seconds ago."""
    return _is_recent(_back_at, client, RECONNECT_TIME)


def _is_recent(times: Mapping[str, float], client: Client, seconds: float) -> bool:
    """Whether the time that `times` has for the client's server is less than `seconds` ago."""
    address = client.service_client.config.target_host
    return address in times and time.monotonic() - times[address] < seconds


async def watch_server(client: Client, say: Callable[[str], None]) -> None:
    """Says when the server goes away and when it is back, until it answers with an error."""

    async def ask() -> None:
        request = GetSystemInfoRequest()
        await client.workflow_service.get_system_info(request, timeout=SERVER_CHECK_INTERVAL)

    with suppress(RPCError):  # the Worker reports the errors that a server answers with
        while True:
            await retry_until_answered(client, ask, say)
            await asyncio.sleep(SERVER_CHECK_INTERVAL.total_seconds())

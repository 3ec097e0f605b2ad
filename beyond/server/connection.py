"""Where Temporal is, and how a request survives an outage."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Set
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
CONNECT_TIMEOUT = 10  # seconds
SERVER_CHECK_INTERVAL = timedelta(seconds=5)
RETRY_INTERVAL = 1  # seconds between the attempts of a request that no server answers

# How a request fails when there is no server, and when the connection breaks before the answer.
NO_SERVER = {RPCStatusCode.UNAVAILABLE, RPCStatusCode.UNKNOWN}
# The same, or when no answer comes in time. The SDK reports its own deadline as CANCELLED.
NO_ANSWER = NO_SERVER | {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}

# What the SDK's words for a connection that fails mean for a person.
CONNECTION_PROBLEMS = {
    "InvalidContentType": "Temporal at {address} speaks no TLS, which TEMPORAL_API_KEY and "
    "TEMPORAL_TLS ask for. Unset them, or set another TEMPORAL_ADDRESS.",
    "InvalidCertificate(NotValidForName": "The certificate of Temporal at {address} is for another "
    "name. Set that name in TEMPORAL_TLS_SERVER_NAME.",
    "InvalidCertificate(Expired": "The certificate of Temporal at {address} has expired.",
    "InvalidCertificate": "The certificate of Temporal at {address} is of an authority that this "
    "machine does not know. Name the file with that authority's certificate in "
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH.",
    "PrivateKeyParseError": "The client certificate or its key cannot be read. Check the files "
    "that TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH name.",
}

_limited_addresses: set[str] = set()  # whose limit was told

T = TypeVar("T")


class TemporalUnreachableError(RefusedError):
    """There is no Temporal server to work with."""


async def connect(**options: Any) -> Client:
    """Connects as the environment and temporal.toml say, with further `options` of Client.connect.

    Raises TemporalUnreachableError.
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
    """Says in one sentence what the SDK tells in the names of its own parts, and what to do."""
    address = settings["target_host"]
    for sign, sentence in CONNECTION_PROBLEMS.items():
        if sign in error:
            return sentence.format(address=address)
    # Such as "Connection refused".
    cause = re.search(r'(?:message|error): "([^"]+)"', error)
    reason = cause[1] if cause else "no answer"
    if re.search("code: (?:Unauthenticated|PermissionDenied)", error):
        return _explain_refused_key(address, reason)
    if "after connection" in error:
        cure = "If it speaks TLS, set TEMPORAL_TLS=true, or TEMPORAL_API_KEY for Temporal Cloud."
        if settings.get("tls"):
            cure = (
                "If it asks for a client certificate, name the files in "
                "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH."
            )
        return f"Temporal at {address} breaks the connection off. {cure}"
    cure = "Check TEMPORAL_ADDRESS and the network."
    if is_on_this_machine(address):
        cure = "Start it with: temporal server start-dev --db-filename temporal.db"
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
    return f"Temporal at {address} wants an API key: {reason}. Set TEMPORAL_API_KEY."


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
        if error.status != RPCStatusCode.NOT_FOUND:  # such as one that this key may not see
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
    return address.rpartition(":")[0] in THIS_MACHINE


async def retry_until_answered(
    client: Client,
    request: Callable[[], Awaitable[T]],
    say: Callable[[str], None],
    no_answer: Set[RPCStatusCode] = NO_ANSWER,
) -> T:
    """Repeats the request until a server answers it, and says when the server goes and comes.

    It is also repeated when there are too many requests, which is said once.
    Raises RefusedError if the server refuses the API key, and RPCError at any other error.
    """
    outage_announced = False
    while True:
        try:
            answer = await request()
        except RPCError as error:
            address = client.service_client.config.target_host
            if error.status == RPCStatusCode.UNAUTHENTICATED:  # the key has expired meanwhile
                raise RefusedError(_explain_refused_key(address, error.message)) from None
            if error.status == RPCStatusCode.RESOURCE_EXHAUSTED:
                _say_once_that_requests_are_limited(address, say)
            elif error.status not in no_answer:
                raise
            elif not outage_announced:
                say(f"Temporal is not reachable at {address}; trying again")
                outage_announced = True
            await asyncio.sleep(RETRY_INTERVAL)
        else:
            if outage_announced:
                say("Temporal is reachable again")
            return answer


def _say_once_that_requests_are_limited(address: str, say: Callable[[str], None]) -> None:
    """Once for a process: it may come again with every request."""
    if address not in _limited_addresses:
        _limited_addresses.add(address)
        say(f"Temporal at {address} limits the rate of requests; waiting where that is needed")


async def watch_server(client: Client, say: Callable[[str], None]) -> None:
    """Says when the server goes and when it is back."""

    async def ask() -> None:
        request = GetSystemInfoRequest()
        await client.workflow_service.get_system_info(request, timeout=SERVER_CHECK_INTERVAL)

    with suppress(RPCError):  # an error that the server answers with is the Worker's to report
        while True:
            await retry_until_answered(client, ask, say)
            await asyncio.sleep(SERVER_CHECK_INTERVAL.total_seconds())

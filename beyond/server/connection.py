"""Where Temporal is, and how a request survives an outage."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Set
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.service import GrpcCompression, RPCError, RPCStatusCode

from beyond.process import RefusedError

DEFAULT_ADDRESS = "localhost:7233"
THIS_MACHINE = ("localhost", "127.0.0.1")
CONNECT_TIMEOUT = 10  # seconds
RETRY_INTERVAL = 1  # seconds between the attempts of a request that no server answers

# How a request fails when there is no server, and when the connection breaks before the answer.
NO_SERVER = {RPCStatusCode.UNAVAILABLE, RPCStatusCode.UNKNOWN}
# The same, or when no answer comes in time. The SDK reports its own deadline as CANCELLED.
NO_ANSWER = NO_SERVER | {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}

T = TypeVar("T")


class TemporalUnreachableError(RefusedError):
    """There is no Temporal server to work with."""


async def connect(**options: Any) -> Client:
    """Connects as the environment and temporal.toml say, with further `options` of Client.connect.

    Raises TemporalUnreachableError.
    """
    settings = connection_settings()
    if split_address(settings["target_host"])[0] in THIS_MACHINE:
        # There is no network to spare.
        options.setdefault("grpc_compression", GrpcCompression.NONE)
    try:
        return await asyncio.wait_for(Client.connect(**settings, **options), CONNECT_TIMEOUT)
    except (RuntimeError, ValueError, TimeoutError) as error:
        if "InvalidContentType" in str(error):  # plain text in place of TLS
            raise TemporalUnreachableError(
                f"Temporal at {settings['target_host']} speaks no TLS, which TEMPORAL_API_KEY and "
                "TEMPORAL_TLS ask for. Unset them, or set another TEMPORAL_ADDRESS."
            ) from None
        # The SDK wraps the cause, such as "Connection refused", in the names of its own parts.
        cause = re.search(r'(?:message|error): "([^"]+)"', str(error))
        raise TemporalUnreachableError(
            f"Temporal is not reachable at {settings['target_host']} "
            f"({cause[1] if cause else str(error) or 'no answer'}). "
            "Start it with: temporal server start-dev"
        ) from None


async def require_namespace(client: Client) -> None:
    """Raises RefusedError if the server says that it has no such namespace."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    limit = timedelta(seconds=CONNECT_TIMEOUT)
    try:
        await client.workflow_service.describe_namespace(request, timeout=limit)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:  # such as one that this key may not see
            return
        raise RefusedError(
            f"There is no namespace {client.namespace} at "
            f"{client.service_client.config.target_host}. Set another one in TEMPORAL_NAMESPACE, "
            f"or create it: temporal operator namespace create {client.namespace}"
        ) from None


def connection_settings() -> ClientConnectConfig:
    """Reads the environment and temporal.toml. Raises TemporalUnreachableError if it cannot."""
    try:
        settings = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError) as error:
        raise TemporalUnreachableError(f"The Temporal settings cannot be read: {error}") from None
    settings["target_host"] = settings.get("target_host") or DEFAULT_ADDRESS
    settings["namespace"] = settings.get("namespace") or "default"
    return settings


def split_address(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host, port


async def until_answered(
    client: Client,
    request: Callable[[], Awaitable[T]],
    say: Callable[[str], None],
    no_answer: Set[RPCStatusCode] = NO_ANSWER,
) -> T:
    """Repeats the request until a server answers it, and says when the server goes and comes.

    Raises RPCError if the server's answer is an error.
    """
    outage_announced = False
    while True:
        try:
            answer = await request()
        except RPCError as error:
            if error.status not in no_answer:
                raise
            if not outage_announced:
                address = client.service_client.config.target_host
                say(f"Temporal is not reachable at {address}; trying again")
            outage_announced = True
            await asyncio.sleep(RETRY_INTERVAL)
        else:
            if outage_announced:
                say("Temporal is reachable again")
            return answer

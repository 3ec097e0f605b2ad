"""Where Temporal is, how a request survives an outage, and how a process of ours ends."""

import asyncio
import os
import re
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Set
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn, TypeVar

from dotenv import find_dotenv, load_dotenv
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    SignalWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.service import GrpcCompression, RPCError, RPCStatusCode

from beyond.terminal.screen import printable

DEFAULT_ADDRESS = "localhost:7233"
THIS_MACHINE = ("localhost", "127.0.0.1")
CONNECT_TIMEOUT = 10  # seconds
RETRY_INTERVAL = 1  # seconds between the attempts of a request that no server answers

# How a request fails when there is no server, and when the connection breaks before the answer.
NO_SERVER = {RPCStatusCode.UNAVAILABLE, RPCStatusCode.UNKNOWN}
# The same, or when no answer comes in time. The SDK reports its own deadline as CANCELLED.
NO_ANSWER = NO_SERVER | {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}

T = TypeVar("T")


class Refused(Exception):
    """Says in one sentence what cannot be done, and what to do instead."""


class TemporalUnreachable(Refused):
    """There is no Temporal server to work with."""


async def connect(**options: Any) -> Client:
    """Connects as the environment and temporal.toml say, with further `options` of Client.connect.

    Raises TemporalUnreachable.
    """
    settings = connection_settings()
    if host_and_port(settings["target_host"])[0] in THIS_MACHINE:
        # No network to spare, and to compress each message takes a fourteenth of a Worker's CPU.
        options.setdefault("grpc_compression", GrpcCompression.NONE)
    try:
        return await asyncio.wait_for(Client.connect(**settings, **options), CONNECT_TIMEOUT)
    except (RuntimeError, ValueError, TimeoutError) as error:
        if "InvalidContentType" in str(error):  # plain text, where TLS was to begin
            raise TemporalUnreachable(
                f"Temporal at {settings['target_host']} speaks no TLS, which TEMPORAL_API_KEY and "
                "TEMPORAL_TLS ask for. Unset them, or set another TEMPORAL_ADDRESS."
            ) from None
        # The SDK wraps the cause, such as "Connection refused", in the names of its own parts.
        cause = re.search(r'(?:message|error): "([^"]+)"', str(error))
        raise TemporalUnreachable(
            f"Temporal is not reachable at {settings['target_host']} "
            f"({cause[1] if cause else str(error) or 'no answer'}). "
            "Start it with: temporal server start-dev"
        ) from None


async def require_namespace(client: Client) -> None:
    """Raises Refused where the server says that it has no such namespace."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    limit = timedelta(seconds=CONNECT_TIMEOUT)
    try:
        await client.workflow_service.describe_namespace(request, timeout=limit)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:  # such as one that this key may not see
            return
        raise Refused(
            f"There is no namespace {client.namespace} at "
            f"{client.service_client.config.target_host}. Set another one in TEMPORAL_NAMESPACE, "
            f"or create it: temporal operator namespace create {client.namespace}"
        ) from None


def connection_settings() -> ClientConnectConfig:
    """Reads the environment and temporal.toml. Raises TemporalUnreachable if it cannot."""
    try:
        settings = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError) as error:
        raise TemporalUnreachable(f"The Temporal settings cannot be read: {error}") from None
    settings["target_host"] = settings.get("target_host") or DEFAULT_ADDRESS
    settings["namespace"] = settings.get("namespace") or "default"
    return settings


def host_and_port(address: str) -> tuple[str, str]:
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


async def signal_once(
    client: Client, workflow_id: str, signal: Callable[..., Any], payload: object
) -> Callable[[], Awaitable[object]]:
    """Returns a request that sends the Signal, and that counts once however often it is made.

    WorkflowHandle.signal has no request ID: a Signal whose answer is lost would count twice.
    """
    request = SignalWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        signal_name=signal.__name__,
        identity=client.identity,
        request_id=str(uuid.uuid4()),
    )
    request.input.payloads.extend(await client.data_converter.encode([payload]))
    return partial(client.workflow_service.signal_workflow_execution, request)


def run_process(
    main: Callable[[], Coroutine[Any, Any, int]],
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> NoReturn:
    """Runs `main` with the settings of .env, and ends the process with the exit code it returns.

    A failure ends it with one sentence on stderr and exit code 1. The event loop is asyncio's own,
    or what `new_event_loop` returns.
    """
    result: int | str
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as it is during the imports
            signal.signal(signal.SIGINT, signal.default_int_handler)
        load_dotenv(_settings_file())
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            result = runner.run(main())
    except (Refused, RPCError) as error:
        result = str(error)
    except KeyboardInterrupt:
        result = 128 + signal.SIGINT
    except asyncio.CancelledError:
        result = 128 + signal.SIGTERM
    except BrokenPipeError:
        result = 1  # nobody reads any more
    except UnicodeError as error:  # of .env, or of an argument
        result = f"This is not UTF-8: {error}"
    except OSError as error:  # such as a terminal that was closed, or a disk that is full
        parts = error.filename, error.strerror or str(error)
        result = ": ".join(str(part) for part in parts if part)
    exit_process(result)


def _settings_file() -> str:
    """The nearest .env, or "". Raises Refused where the working directory is gone."""
    try:
        return find_dotenv(usecwd=True)
    except FileNotFoundError:
        raise Refused("The working directory is gone. Change to another one.") from None


def cancel_on_signals() -> None:
    """Makes SIGTERM, SIGHUP and the errors of a closed terminal end the starter as Ctrl-C does."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task

    def leave() -> None:
        if not task.cancelling():  # a second signal would interrupt the last words
            task.cancel()

    def on_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), OSError):
            leave()
        elif not task.cancelling():
            loop.default_exception_handler(context)

    def on_signal(*_: object) -> None:
        if not loop.is_closed():  # as it is while the process ends
            loop.call_soon_threadsafe(leave)

    loop.set_exception_handler(on_error)
    for name in ("SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):  # Windows has no SIGHUP
            signal.signal(number, on_signal)


def exit_process(result: int | str) -> NoReturn:
    """Ends the process with an exit code, or with a sentence on stderr and exit code 1.

    Unlike sys.exit(), it skips the interpreter's teardown, in which the SDK's threads can crash:
    https://github.com/temporalio/sdk-python/issues/300
    """
    with suppress(OSError):  # whoever reads it may have gone
        if isinstance(result, str):
            print(printable(result), file=sys.stderr)
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None where the caller closed it
            stream.flush()
    os._exit(1 if isinstance(result, str) else result)

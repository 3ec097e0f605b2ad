"""Start-up, standard input and exit of the Worker and the starter."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn

from dotenv import find_dotenv, load_dotenv

from beyond.printable import printable

# How a message ends if its cure needs a new process. The starter runs the Worker of `--local`.
RESTART = "restart the Worker (with --local, the starter)"


class RefusedError(Exception):
    """Says in one sentence what cannot be done and what to do instead."""


def end_at_ctrl_c() -> None:
    """Lets Ctrl-C end the process without a traceback, unless its caller ignores Ctrl-C.

    This is for the imports, which take a moment. Afterwards, `run_process` handles Ctrl-C.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_process(
    main: Callable[[], Coroutine[Any, Any, int]],
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> NoReturn:
    """Runs `main` with the settings of .env, and exits with the code that it returns.

    If it fails, the process prints one sentence to stderr and exits with code 1. `new_event_loop`
    returns the event loop; by default, it is asyncio's own.
    """
    from temporalio.service import RPCError  # Ctrl-C must be able to end this import, too

    result: int | str
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        _load_settings()
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            result = runner.run(main())
    except (RefusedError, RPCError) as error:
        result = str(error)
    except KeyboardInterrupt:
        result = 128 + signal.SIGINT
    except asyncio.CancelledError:
        result = 128 + signal.SIGTERM
    except BrokenPipeError:
        result = 1  # the reader closed the pipe
    except UnicodeError as error:  # such as in an argument
        result = f"This is not UTF-8: {error}"
    except OSError as error:  # such as a closed terminal or a full disk
        parts = error.filename, error.strerror or str(error)
        result = ": ".join(str(part) for part in parts if part)
    exit_process(result)


def make_event_loop() -> asyncio.AbstractEventLoop:
    """Returns uvloop's event loop, which takes less CPU, or asyncio's on Windows."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def allow_open_files(wanted: int) -> None:
    """Lets the process open `wanted` files at once, or as many as the system allows."""
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        if soft < allowed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def exit_process(result: int | str) -> NoReturn:
    """Ends the process with an exit code, or with a sentence on stderr and exit code 1.

    Unlike sys.exit(), it skips the interpreter's teardown, in which the SDK's threads can crash:
    https://github.com/temporalio/sdk-python/issues/300
    """
    with suppress(OSError):  # the reader may have closed the pipe
        if isinstance(result, str):
            print(printable(result), file=sys.stderr)
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None if the caller closed it
            stream.flush()
    os._exit(1 if isinstance(result, str) else result)


def cancel_on_signals() -> None:
    """Makes SIGTERM, SIGHUP and the errors of a closed terminal cancel the task, as Ctrl-C does."""
    task = asyncio.current_task()
    assert task

    def cancel() -> None:
        if not task.cancelling():  # a second signal must not interrupt the closing message
            task.cancel()

    def on_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), OSError):
            cancel()
        elif not task.cancelling():
            loop.default_exception_handler(context)

    def on_thread_error(failed: threading.ExceptHookArgs) -> None:
        if not isinstance(failed.exc_value, OSError):
            threading.__excepthook__(failed)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(cancel)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(on_error)
    threading.excepthook = on_thread_error  # prompt-toolkit prints in a thread
    _call_on_signals(cancel, "SIGTERM", "SIGHUP")


def make_stop_event(*, with_stdin: bool) -> asyncio.Event:
    """Returns an event that Ctrl-C, SIGTERM and SIGHUP set. A second Ctrl-C ends the process.

    With `with_stdin`, the end of standard input sets it, too, so that no process outlives its
    parent.
    """
    event = asyncio.Event()

    def stop() -> None:
        event.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    # A terminal that closes may send SIGHUP twice, so a second SIGHUP must not end the process.
    _call_on_signals(stop, "SIGINT", "SIGTERM", "SIGHUP")
    if with_stdin:
        read_stdin().add_done_callback(lambda _: event.set())
    return event


def read_stdin() -> asyncio.Future[bytes]:
    """Returns a future for the next bytes on standard input, or b"" at its end."""
    loop = asyncio.get_running_loop()
    chunk: asyncio.Future[bytes] = loop.create_future()

    def deliver(data: bytes) -> None:
        if not chunk.done():
            chunk.set_result(data)

    def read() -> None:
        # Not sys.stdin: at its exit, the interpreter would wait for the lock of that.
        data = os.read(0, 4096)
        with suppress(RuntimeError):  # the event loop has ended meanwhile
            loop.call_soon_threadsafe(deliver, data)

    # Not asyncio.to_thread: the process could not exit before its thread ends.
    threading.Thread(target=read, daemon=True).start()
    return chunk


def _call_on_signals(callback: Callable[[], None], *names: str) -> None:
    """Calls `callback` in the event loop when a signal arrives.

    Windows does not have loop.add_signal_handler.
    """
    loop = asyncio.get_running_loop()

    def on_signal(*_: object) -> None:
        if not loop.is_closed():  # as it is while the process exits
            loop.call_soon_threadsafe(callback)

    for name in names:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        is_nohup = name == "SIGHUP" and number and signal.getsignal(number) == signal.SIG_IGN
        if number and not is_nohup:
            signal.signal(number, on_signal)


def _load_settings() -> None:
    """Reads the nearest .env. Raises RefusedError if it is not UTF-8, or the folder is gone."""
    try:
        file = find_dotenv(usecwd=True)
    except FileNotFoundError:
        raise RefusedError("The working directory is gone. Change to another one.") from None
    try:
        load_dotenv(file, encoding="utf-8-sig")  # editors on Windows begin UTF-8 with a mark
    except ValueError:  # invalid UTF-8, or the zero bytes of UTF-16
        raise RefusedError(
            f"{file} is not UTF-8. Save it as UTF-8 and run the command again."
        ) from None

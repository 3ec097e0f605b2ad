"""Explains why no answer arrived: because of a wrong setting, or because of an outage."""

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.request import getproxies

from beyond.llm.quotes import hide_keys, quote_provider
from beyond.llm.settings import find_address_variable
from beyond.process import RESTART


def walk_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields the error and its causes, the innermost last."""
    seen: list[BaseException] = []  # LiteLLM's causes can form a circle
    while error and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def explain_wrong_setting(causes: list[BaseException]) -> str:
    """Returns what is wrong with an address, a proxy, a certificate or a package, or ""."""
    cause, names, variable = causes[-1], _name_all(causes), find_address_variable()
    host = _find_host(causes)
    if isinstance(cause, ModuleNotFoundError):
        return (
            f"LiteLLM needs a Python package for this model that is not installed ({cause.name}); "
            f"install it and {RESTART}"
        )
    if names & {"InvalidURL", "NonHttpUrlClientError"} or "Port out of range" in str(cause):
        address = hide_keys(os.environ.get(variable, "")) or "of the model"
        return (
            f"the address {address} cannot be used; "
            f"write it as http://host:port/v1 or https://host/v1 in {variable} "
            f"and {RESTART}"
        )
    if _is_of_network(causes) and any(url.startswith("socks") for url in getproxies().values()):
        return (
            "the environment names a SOCKS proxy, which LiteLLM cannot use; "
            f"name an HTTP proxy or none, and {RESTART}"
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        file = os.environ.get("SSL_CERT_FILE", "")
        missing = f"; there is no file {file}" if file and not Path(file).exists() else ""
        return (
            f"the certificate of {host} is not trusted ({cause.verify_message}){missing}; "
            f"set SSL_CERT_FILE to its authority's certificate and {RESTART}"
        )
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        return f"{host} does not use TLS; write http:// in {variable} and {RESTART}"
    if isinstance(cause, FileNotFoundError) and cause.filename:
        return f"there is no file {cause.filename}; set another one and {RESTART}"
    return ""


def explain_outage(causes: list[BaseException]) -> str:
    """Returns why the server cannot be reached at the moment, or ""."""
    cause, names, host = causes[-1], _name_all(causes), _find_host(causes)
    if "ProxyError" in names:
        host = f"the proxy {host}"
    if not _is_of_network(causes):
        return ""
    if isinstance(cause, TimeoutError):
        return f"{host} did not answer in time"
    if isinstance(cause, socket.gaierror):
        return f"{host} cannot be found (DNS); check the name"
    if isinstance(cause, ConnectionRefusedError):
        return f"{host} refuses the connection"
    if isinstance(cause, ConnectionError) or "ServerDisconnectedError" in names:
        hint = f"; if this goes on, write https:// in {find_address_variable()}"
        return f"{host} closed the connection without an answer{hint if _is_plain(causes) else ''}"
    if isinstance(cause, OSError) and cause.strerror:
        return f"{host} cannot be reached ({cause.strerror})"
    return quote_provider(str(cause))


def _name_all(causes: list[BaseException]) -> set[str]:
    return {type(cause).__name__ for cause in causes}


def _is_of_network(causes: list[BaseException]) -> bool:
    """Goes by the innermost cause, because LiteLLM calls missing settings a connection error."""
    module = type(causes[-1]).__module__.partition(".")[0]
    is_of_client = module in ("aiohttp", "httpcore", "httpx")
    return isinstance(causes[-1], OSError) or (
        is_of_client and type(causes[-1]).__name__ != "HTTPStatusError"
    )


def _find_host(causes: list[BaseException]) -> str:
    """Returns the host and port that were called: the proxy's, if there is one."""
    for cause in reversed(causes):
        host, port = getattr(cause, "host", None), getattr(cause, "port", None)
        if isinstance(host, str) and port:  # an error of aiohttp's
            return f"{host}:{port}"
    return str(getattr(_find_url(causes), "netloc", b"").decode() or "the server")


def _is_plain(causes: list[BaseException]) -> bool:
    return getattr(_find_url(causes), "scheme", "") == "http"


def _find_url(causes: list[BaseException]) -> object:
    """Returns the URL that was called, or None. LiteLLM's own errors contain invented requests."""
    for cause in reversed(causes):
        if not type(cause).__module__.startswith("litellm"):
            try:
                return cause.request.url  # type: ignore[attr-defined]
            except (AttributeError, RuntimeError):  # an error without a request
                continue
    return None

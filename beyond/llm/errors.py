"""What went wrong in a call to a model, as an ApplicationError with a sentence for a person.

The Workflow goes by the error's type. "BadRequestError", "ContentPolicyViolationError",
"ContextWindowExceededError" and "UnprocessableEntityError" say that the prompt itself was refused.
"""

import ast
import json
import os
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.request import getproxies

from temporalio.exceptions import ApplicationError

from beyond.llm.settings import find_address_variable, get_key, get_model

# Besides every 5xx. RFC 9110: timeout, conflict, too early, too many requests.
TRANSIENT_STATUSES = {408, 409, 425, 429}
# No provider's Retry-After may park a report for longer than this.
RETRY_AFTER_CAP = timedelta(minutes=10)
ERROR_LIMIT = 400  # characters of a provider's message that the Event History keeps

TOP_UP = "top up the account, or set another key in LLM_API_KEY and start again"
CHECK_KEY = "check LLM_API_KEY and start again"
CHECK_MODEL = "check LLM_MODEL and start again"
NO_ANSWER = (
    "what came is no answer of a model; "
    "check that neither a proxy nor a sign-in page stands between"
)

# What says that an account can pay for no more, of OpenAI, Moonshot, LiteLLM's proxy, Zhipu, xAI,
# Anthropic, Alibaba and others. A limit for a while is worded alike, but says when it ends.
QUOTA_CODES = re.compile(
    r"insufficient_(?:\w+_)?(?:quota|balance|credits?|funds)|exceeded_current_quota|"
    r"(?:budget|credits?)_exceeded|ExceededBudget|hard_limit|billing_not_active|arrear|overdue|"
    r'"1113"|\b1113\b',
    re.IGNORECASE,
)
QUOTA_WORDS = re.compile(
    r"\b(?:quota|balance|budget|credits?|billing|spending|spend|funds|payment|prepaid|recharge|"
    r"top.?up|hard limit)\b|[余余]额|欠费|充值|额度",
    re.IGNORECASE,
)
FOR_A_WHILE = re.compile(
    r"rate.?limit|try again|retry|per.?(?:minute|second|hour|day)|\b[rt]p[md]\b", re.IGNORECASE
)
KEY_WORDS = re.compile(
    r"\bapi.?keys?\b|\bcredentials?\b|\bauthenticat|\bunauthori[sz]ed|invalid.{0,9}token",
    re.IGNORECASE,
)
MODEL_WORDS = re.compile(
    r"model_not_found|invalid_model|\bno model\b|"
    r"\bmodels?\b[^.]{0,80}\b(?:not|no|unknown|invalid|deprecated|retired|unavailable)\b[^.]{0,20}"
    r"\b(?:found|exist|support|available|loaded|known|valid|longer|access)|"
    r"\b(?:unknown|invalid|unsupported|no such) model\b|\bdoes not exist\b",
    re.IGNORECASE,
)
POLICY_WORDS = re.compile(
    r"content.?polic|content.?filter|moderation|flagged|inappropriate|safety", re.IGNORECASE
)
TLS_WORDS = re.compile(r"HTTP request (?:was sent )?to (?:an )?HTTPS", re.IGNORECASE)

# How LiteLLM words an answer of status 200 that it cannot read. It gives it the status 500.
UNREADABLE = re.compile(
    r"Empty or invalid response|Invalid response object|json response"
    r"|provider returned (?:a response with no )?'choices'"
)
# "litellm.BadRequestError: ContentPolicyViolationError: OpenAIException - " and the like
CLASS_NAMES = re.compile(
    r"^(?:(?:litellm\.)?(?:\w+(?:Error|Exception)|Timeout)(?::| -)\s+|Error code: \d+ - )+"
)
OBJECTS = re.compile(r"\s*\S*<[\w.]+ object at 0x\w+>")
WEB_PAGE = re.compile(r"<(?:!doctype|html|head|body)\b", re.IGNORECASE)


def make_application_error(
    error: Exception, retry_unusable: bool, answer: str = ""
) -> ApplicationError:
    """Says what went wrong in the innermost words there are, and sorts it by who can mend it.

    `answer` is the body of an answer of status 200. What is returned is retryable if asking again
    can help. An answer that is no completion is retryable if `retry_unusable`.
    """
    causes = list(_walk_causes(error))
    if network := _explain_network(causes):
        sentence, kind, transient = network
        return _make(sentence, kind, transient)
    answered = _find_answer(causes)
    status = _read_status(error)
    if told := _find_message(_parse(answer)):
        if status == 422:  # which LiteLLM makes of an error without a status
            return _make(_shorten(_hide_keys(told)), "APIError", transient=False)
        answered = answer
    elif 200 <= status < 300 or (status == 500 and UNREADABLE.search(str(error))):
        return _make(NO_ANSWER, "UnusableAnswer", transient=retry_unusable)
    elif not answered and not _is_of_provider(causes):
        words = _quote_provider(str(causes[-1]) or str(error))
        return _make(f"{words}; set that and start again", "SettingsError", transient=False)
    words = _quote_provider(answered or str(error))
    kind, cure, transient = _sort(error, status, f"{words} {_find_codes(_parse(answered))}")
    sentence = f"{words}; {cure}" if cure else words
    return _make(sentence, kind, transient, _read_retry_after(error) if transient else None)


def make_upstream_error(message: str) -> ApplicationError:
    """The provider's own error in the middle of an answer, which asking again can mend."""
    words = _quote_provider(message) or "the provider broke off in the middle"
    return _make(words, "UpstreamError", transient=True)


def _make(
    sentence: str, kind: str, transient: bool, next_delay: timedelta | None = None
) -> ApplicationError:
    return ApplicationError(
        f"{get_model()}: {sentence}",
        type=kind,
        non_retryable=not transient,
        next_retry_delay=next_delay,
    )


# Who can mend it.


def _sort(error: Exception, status: int, told: str) -> tuple[str, str, bool]:
    """Returns the error's type, the cure, and whether time is one.

    By the HTTP status, as LiteLLM's classes do not tell 403 and 413 apart, and by words, as
    providers answer 400 or 429 to many things.
    """
    kind = type(error).__name__
    is_quota = QUOTA_CODES.search(told) or (
        QUOTA_WORDS.search(told) and not FOR_A_WHILE.search(told)
    )
    if status == 402 or (400 <= status < 500 and is_quota):
        return "QuotaError", TOP_UP, False
    if status in TRANSIENT_STATUSES or status >= 500:
        return kind, "", True
    if status == 413:
        return "ContextWindowExceededError", "", False
    if status in (400, 403) and POLICY_WORDS.search(told):
        return "ContentPolicyViolationError", "", False
    if status == 401 or (status == 400 and KEY_WORDS.search(told)):
        return "AuthenticationError", CHECK_KEY, False
    if status == 403:
        return kind, "check what this key may use", False
    if status == 404 or (status == 400 and MODEL_WORDS.search(told)):
        return "NotFoundError", CHECK_MODEL, False
    if status == 400 and TLS_WORDS.search(told):
        return "SettingsError", f"write https:// in {find_address_variable()}", False
    return kind, "", False


def _explain_network(causes: list[BaseException]) -> tuple[str, str, bool] | None:
    """Returns a sentence, the error's type, and whether time can mend it; None: no such cause."""
    cause = causes[-1]
    host, is_plain = _find_host(causes)
    variable = find_address_variable()
    names = {type(each).__name__ for each in causes}
    if isinstance(cause, ModuleNotFoundError):
        return (
            f"LiteLLM needs the Python package of {cause.name} for this model; "
            "install it and start again",
            "SettingsError",
            False,
        )
    is_network = isinstance(cause, OSError) or "APIConnectionError" in names
    proxy = next((url for url in getproxies().values() if url.startswith("socks")), "")
    if proxy and is_network:
        return (
            "the proxy in the environment is a SOCKS proxy, which LiteLLM cannot use; "
            "name an HTTP proxy, or unset it, and start again",
            "SettingsError",
            False,
        )
    if names & {"InvalidURL", "NonHttpUrlClientError", "UnsupportedProtocol"} or (
        isinstance(cause, ValueError) and "Port out of range" in str(cause)
    ):
        return (
            f"the address {_hide_keys(os.environ.get(variable, '')) or 'of the model'} cannot be "
            f"used; write it as http://host:port/v1 or https://… in {variable}, and start again",
            "SettingsError",
            False,
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        file = os.environ.get("SSL_CERT_FILE", "")
        missing = f"; there is no file {file}" if file and not Path(file).exists() else ""
        return (
            f"the certificate of {host} is not trusted ({cause.verify_message}){missing}; "
            "name the file of its authority in SSL_CERT_FILE and start again",
            "SettingsError",
            False,
        )
    if isinstance(cause, ssl.SSLError) and cause.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return (
            f"{host} does not answer https; write http:// in {variable} and start again",
            "SettingsError",
            False,
        )
    if isinstance(cause, FileNotFoundError) and cause.filename:
        return (f"there is no file {cause.filename}; start again with it", "SettingsError", False)
    if not is_network or isinstance(cause, TimeoutError):
        return None
    through = "the proxy " if "ProxyError" in names else ""
    if isinstance(cause, socket.gaierror):
        sentence = f"no host with the name {through}{host} is found"
    elif isinstance(cause, ConnectionRefusedError):
        sentence = f"{through}{host} refuses the connection"
    elif isinstance(cause, ConnectionError) or "ServerDisconnectedError" in names:
        sentence = f"{through}{host} closed the connection without an answer"
        if is_plain:
            sentence += "; if it expects https://, write that in " + variable
    elif isinstance(cause, OSError) and cause.strerror:
        sentence = f"{through}{host} cannot be reached ({cause.strerror})"
    else:
        sentence = _quote_provider(str(cause))
    return sentence, "ConnectionError", True


def _walk_causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what has led to it, the innermost last."""
    seen: list[BaseException] = []  # an error may have led to itself
    while error and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _find_host(causes: list[BaseException]) -> tuple[str, bool]:
    """Returns the host and port that were called, or a proxy's, and whether without TLS."""
    for cause in reversed(causes):
        if isinstance(getattr(cause, "host", None), str):  # of aiohttp
            break
    host = getattr(cause, "host", None)
    port = getattr(cause, "port", None)
    for cause in reversed(causes):
        url = getattr(getattr(cause, "__dict__", {}).get("request"), "url", None)
        if url is not None:
            named = f"{url.host}:{url.port}" if url.port else str(url.host)
            return (f"{host}:{port}" if host else named), url.scheme == "http"
    return (f"{host}:{port}" if host else "the server"), False


# What was said.


def _read_status(error: Exception) -> int:
    try:
        return int(getattr(error, "status_code", 0) or 0)
    except (TypeError, ValueError):
        return 0


def _find_answer(causes: list[BaseException]) -> str:
    """Returns the body of the provider's answer. LiteLLM's own errors have empty ones."""
    for cause in causes:
        try:
            if text := cause.response.text:  # type: ignore[attr-defined]
                return str(text)
        except (AttributeError, RuntimeError):  # there is none, or nobody has read it
            continue
    return ""


def _is_of_provider(causes: list[BaseException]) -> bool:
    """Whether a provider has answered. Otherwise LiteLLM or a client of its raised the error."""
    return len(causes) == 1 or any(
        type(cause).__name__ in ("HTTPStatusError", "TimeoutError", "APITimeoutError", "Timeout")
        for cause in causes
    )


def _quote_provider(text: str) -> str:
    """Returns the provider's own words on one line, without class names, markup and keys."""
    text = _hide_keys(text).partition("Traceback")[0]
    if WEB_PAGE.search(text):
        title = re.search(r"<title[^>]*>([^<]+)", text, re.IGNORECASE)
        return _shorten(f"a web page came in place of an answer{': ' + title[1] if title else ''}")
    return _shorten(OBJECTS.sub("", _find_message(_parse(text)) or CLASS_NAMES.sub("", text)))


def _shorten(text: str) -> str:
    return " ".join(text.split())[:ERROR_LIMIT].rstrip(". ")


def _parse(text: str) -> Any:
    """Returns what a text holds as JSON or as a Python literal; gateways quote both. Else None."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    end = max(text.rfind("}"), text.rfind("]")) + 1
    if start < 0:
        return None
    for read in (lambda quoted: json.loads(quoted, strict=False), ast.literal_eval):
        try:
            return read(text[start:end])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def _find_message(value: Any) -> str:
    """Returns the innermost message of an error, in any of the shapes that providers use."""
    match value:
        case str(text):
            return _find_message(_parse(text)) or CLASS_NAMES.sub("", text).strip()
        case [first, *_]:
            return _find_message(first)
        case {"metadata": {"raw": str(raw)}} if raw.strip():  # OpenRouter, of an upstream
            return _find_message(raw)
        case dict():
            for name in ("error", "errors", "detail", "message", "msg", "error_msg", "title"):
                if message := _find_message(value.get(name)):
                    return message
    return ""


def _find_codes(value: Any) -> str:
    """Returns the types and codes in an error, which some providers word better."""
    match value:
        case [first, *_]:
            return _find_codes(first)
        case dict():
            names = ("type", "code", "status", "reason")
            own = [str(value[name]) for name in names if value.get(name)]
            return " ".join([*own, _find_codes(value.get("error"))])
    return ""


def _read_retry_after(error: Exception) -> timedelta | None:
    value = (getattr(error, "litellm_response_headers", None) or {}).get("retry-after", "")
    if value.isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    # 0 or a date in the past would hammer the provider: the retry policy's backoff is better.
    return timedelta(seconds=min(seconds, RETRY_AFTER_CAP.total_seconds())) if seconds > 0 else None


def _hide_keys(text: str) -> str:
    """Providers quote the key, whole or masked, in their errors."""
    secrets = {
        form
        for name, value in os.environ.items()
        if name.endswith(("KEY", "TOKEN", "SECRET"))
        for form in (value, get_key(name), json.dumps(value)[1:-1])
        if len(form) >= 4
    }
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, "[key]")
    return re.sub(r"\bsk-[\w*.-]+\w", "[key]", text)

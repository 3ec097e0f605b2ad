"""What went wrong in a call to a model, as an ApplicationError with a sentence for a person.

The Workflow reads the error's type: "BadRequestError", "ContentPolicyViolationError",
"ContextWindowExceededError" and "UnprocessableEntityError" mean that the prompt was refused.
"""

import json
import os
import re
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from temporalio.exceptions import ApplicationError

from beyond.llm.network import explain_outage, explain_wrong_setting, walk_causes
from beyond.llm.quotes import (
    find_codes,
    find_message,
    hide_keys,
    parse_quoted,
    quote_provider,
    shorten,
)
from beyond.llm.settings import find_address_variable, get_model
from beyond.process import RESTART
from models import DRAFT_LIMIT

# Retried, as every 5xx is: request timeout, conflict, too early, too many requests (RFC 9110, 8470
# and 6585).
TRANSIENT_STATUSES = {408, 409, 425, 429}
# With these, a provider can mean that it does not stream. A 429 that mentions streams is temporary.
NO_STREAM_STATUSES = {400, 404, 422, 501}
# The longest delay that a provider's Retry-After can cause, so that no report stops for a day.
RETRY_AFTER_CAP = timedelta(minutes=10)

TOP_UP = f"top up the account, or set another key in LLM_API_KEY and {RESTART}"
CHECK_KEY = f"check LLM_API_KEY and {RESTART}"
CHECK_MODEL = f"check LLM_MODEL and {RESTART}"
ENDPOINT = "/chat/completions"  # LiteLLM appends it to the address
NO_ANSWER = (
    "the response is not a model's answer; check whether a proxy or a sign-in page is in the way"
)

# Signs of a used-up account, from OpenAI, Moonshot, LiteLLM's proxy, Zhipu, xAI, Anthropic, Alibaba
# and others. A rate limit uses the same words, but says when it ends.
QUOTA_CODES = re.compile(
    r"insufficient_(?:[a-z]+_){0,3}(?:quota|balance|credits?|funds)|exceeded_current_quota|"
    r"(?:budget|credits?)_exceeded|ExceededBudget|hard_limit|billing_not_active|arrear|overdue|"
    r"\b1113\b",
    re.IGNORECASE,
)
QUOTA_WORDS = re.compile(
    r"\b(?:quota|balance|budget|credits?|billing|spending|spend|funds|payment|prepaid|recharge|"
    r"top.?up|hard limit)\b|余额|欠费|充值|额度",
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
# As in OpenAI's "your organization must be verified to stream this model".
STREAM_WORDS = re.compile(r"\bstream", re.IGNORECASE)
TLS_WORDS = re.compile(r"HTTP request (?:was sent )?to (?:an )?HTTPS", re.IGNORECASE)

# LiteLLM's words for an answer of status 200 that it cannot read. Its error has the status 500.
UNREADABLE = re.compile(
    r"Empty or invalid response|Invalid response object|json response"
    r"|provider returned (?:a response with no )?'choices'"
)

# What LiteLLM's clients raise for such an answer: invalid JSON, JSON nested too deep, invalid
# UTF-8, bad gzip.
UNDECODABLE = (json.JSONDecodeError, RecursionError, UnicodeDecodeError, zlib.error)


def make_application_error(
    error: Exception, is_last_attempt: bool, body: str = ""
) -> ApplicationError:
    """Explains why a call failed, in the words of its innermost cause.

    `body` is the response's body if its status was 200. The returned error is retryable if asking
    again can help. If the response is not a completion, it is retryable except on the last attempt.
    """
    causes = list(walk_causes(error))
    if wrong := explain_wrong_setting(causes):
        return _make(wrong, "SettingsError", transient=False)
    if outage := explain_outage(causes):
        return _make(outage, "ConnectionError", transient=True)
    answered = _find_answer(causes)
    status = _read_status(error, causes)
    if message := find_message(parse_quoted(body)):
        if status == 422:  # LiteLLM's status for an error that had none
            return _make(shorten(hide_keys(message)), "APIError", transient=False)
        answered = body
    elif _is_unreadable(error, status, causes, body):
        return _make(NO_ANSWER, "UnusableAnswer", transient=not is_last_attempt)
    elif not answered and not _is_of_provider(causes):
        words = quote_provider(str(causes[-1]) or str(error))
        wrong = f"{words}; correct the settings and {RESTART}"
        return _make(wrong, "SettingsError", transient=False)
    return _make_sorted(error, status, answered or str(error))


def make_stream_error(error: Exception | None, sent: Any) -> ApplicationError:
    """Explains why a stream ended in the middle. `sent` is the provider's error in it, or None."""
    cause = [None, *walk_causes(error)][-1]
    sent = sent or getattr(cause, "body", None)
    if isinstance(sent, dict) and isinstance(code := sent.get("code"), int) and 400 <= code < 500:
        return _make_sorted(error or Exception(), code, json.dumps({"error": sent}))
    is_of_provider = type(cause).__module__.startswith(("openai", "litellm.llms"))
    return make_upstream_error(sent or (str(cause) if is_of_provider else ""))


def make_upstream_error(sent: Any) -> ApplicationError:
    """Explains a provider's error in the middle of an answer. It is retryable.

    `sent` is that error as a text or a JSON value, or None if the provider sent none.
    """
    words = quote_provider(sent if isinstance(sent, str) else json.dumps(sent)) if sent else ""
    words = words or "the provider stopped in the middle of its answer"
    return _make(words, "UpstreamError", transient=True)


def make_silence_error(seconds: float) -> ApplicationError:
    """Explains that nothing arrived for `seconds` in the middle of an answer. It is retryable."""
    words = f"the model stopped in the middle of its answer: nothing arrived for {seconds:.0f} s"
    return _make(words, "UpstreamError", transient=True)


def make_late_error(seconds: float, is_last_attempt: bool) -> ApplicationError:
    """Explains that the call took `seconds`. It is retryable except on the last attempt."""
    limit = f"{seconds / 60:.0f} minutes" if seconds >= 60 else f"{seconds:.1f} s"
    words = f"the model did not finish within {limit}, the limit of this app"
    return _make(words, "TimeoutError", transient=not is_last_attempt)


def make_size_error(size: int) -> ApplicationError:
    """Explains that an answer of `size` bytes is too large for a report. It is not retryable."""
    return ApplicationError(
        f"the answer has {size / 1e6:.1f} MB, but a report holds at most "
        f"{DRAFT_LIMIT / 1e6:.0f} MB; ask for a shorter one",
        type="AnswerTooLarge",
        non_retryable=True,
    )


def make_empty_error(reason: str, message: dict[str, Any]) -> ApplicationError:
    """Explains an answer without a text. It is not retryable. `reason` is its finish reason."""
    kind, why = "EmptyAnswer", "answered without any text"
    if refusal := message.get("refusal"):
        kind, why = "ContentPolicyViolationError", f"refused: {quote_provider(str(refusal))}"
    elif reason == "content_filter":
        kind, why = "ContentPolicyViolationError", "was stopped by the provider's content filter"
    elif message.get("reasoning_content") and reason == "length":
        why += ": its reasoning reached the token limit"
    elif message.get("reasoning_content"):
        why += ", only with its reasoning"
    return ApplicationError(f"{get_model()} {why}", type=kind, non_retryable=True)


def refuses_to_stream(error: Exception) -> bool:
    """Whether the error says that the provider or a gateway sends no streams."""
    causes = list(walk_causes(error))
    words = f"{error} {_find_answer(causes)}"
    return _read_status(error, causes) in NO_STREAM_STATUSES and bool(STREAM_WORDS.search(words))


def _make_sorted(error: Exception, status: int, answer: str) -> ApplicationError:
    words = quote_provider(answer)
    kind, cure, transient = _sort(error, status, f"{words} {find_codes(parse_quoted(answer))}")
    sentence = f"{words}; {cure}" if cure else words
    return _make(sentence, kind, transient, _read_retry_after(error) if transient else None)


def _make(
    sentence: str, kind: str, transient: bool, next_delay: timedelta | None = None
) -> ApplicationError:
    return ApplicationError(
        f"{get_model()}: {sentence}",
        type=kind,
        non_retryable=not transient,
        next_retry_delay=next_delay,
    )


# Who can fix it.


def _sort(error: Exception, status: int, words: str) -> tuple[str, str, bool]:
    """Returns the error's type, the cure for a person to try, and whether a retry can help.

    Looks at the HTTP status, because LiteLLM's classes do not tell 403 and 413 apart, and at the
    words, because providers send 400 or 429 for many things.
    """
    kind = type(error).__name__
    is_quota = QUOTA_CODES.search(words) or (
        QUOTA_WORDS.search(words) and not FOR_A_WHILE.search(words)
    )
    if status == 402 or (400 <= status < 500 and is_quota):
        return "QuotaError", TOP_UP, False
    if status in TRANSIENT_STATUSES or status >= 500:
        return kind, "", True
    if status == 413:
        return "ContextWindowExceededError", "", False
    if status in (400, 403) and POLICY_WORDS.search(words):
        return "ContentPolicyViolationError", "", False
    if status == 401 or (status == 400 and KEY_WORDS.search(words)):
        return "AuthenticationError", CHECK_KEY, False
    if status == 403:
        return kind, "check the permissions of this key", False
    address = find_address_variable()
    if status in (404, 405) and os.environ.get(address, "").rstrip("/").endswith(ENDPOINT):
        return "SettingsError", f"take {ENDPOINT} off the end of {address} and {RESTART}", False
    if status == 404 or (status == 400 and MODEL_WORDS.search(words)):
        return "NotFoundError", CHECK_MODEL, False
    if status == 400 and TLS_WORDS.search(words):
        return "SettingsError", f"write https:// in {address} and {RESTART}", False
    return kind, "", False


def _read_status(error: Exception, causes: list[BaseException]) -> int:
    """Returns the HTTP status, or 0. LiteLLM's own may differ: it guesses from the words."""
    for cause in causes:
        if type(cause).__name__ == "HTTPStatusError":
            return int(cause.response.status_code)  # type: ignore[attr-defined]
    try:
        return int(getattr(error, "status_code", 0) or 0)
    except (TypeError, ValueError):
        return 0


def _find_answer(causes: list[BaseException]) -> str:
    """Returns the body of the provider's answer, or "". LiteLLM's own errors have none."""
    for cause in causes:
        try:
            if text := cause.response.text:  # type: ignore[attr-defined]
                return str(text)
        except (AttributeError, RuntimeError):  # no response, or one whose body was not read
            continue
    return ""


def _is_unreadable(error: Exception, status: int, causes: list[BaseException], body: str) -> bool:
    """Whether LiteLLM could not read an answer of status 200."""
    if 200 <= status < 300 or (status == 500 and UNREADABLE.search(str(error))):
        return True
    if any(isinstance(cause, UNDECODABLE) for cause in causes):
        return not _find_answer(causes)
    return bool(body) and type(causes[-1]).__module__.startswith(("builtins", "pydantic"))


def _is_of_provider(causes: list[BaseException]) -> bool:
    """Whether a provider has answered. If not, LiteLLM or its HTTP client raised the error."""
    return len(causes) == 1 or any(
        type(cause).__name__ in ("HTTPStatusError", "TimeoutError", "APITimeoutError", "Timeout")
        for cause in causes
    )


def _read_retry_after(error: Exception) -> timedelta | None:
    value = (getattr(error, "litellm_response_headers", None) or {}).get("retry-after", "")
    if value.isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    # With 0 or a date in the past, we would hammer the provider; the backoff is better.
    return timedelta(seconds=min(seconds, RETRY_AFTER_CAP.total_seconds())) if seconds > 0 else None

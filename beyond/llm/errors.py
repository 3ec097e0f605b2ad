"""What went wrong in a call to a model, as an ApplicationError with a sentence for a person."""

import json
import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from temporalio.exceptions import ApplicationError

from beyond.llm.settings import get_key, get_model

# Besides every 5xx. RFC 9110: timeout, conflict, too early, too many requests.
TRANSIENT_STATUSES = {408, 409, 425, 429}
# No provider's Retry-After may park a report for longer than this.
RETRY_AFTER_CAP = timedelta(minutes=10)
ERROR_LIMIT = 400  # characters of a provider's message that the Event History keeps

CURES = {
    401: "check LLM_API_KEY and restart the Worker",
    403: "check what this key may use",
    404: "check LLM_MODEL and restart the Worker",
}
# How LiteLLM words an answer of status 200 that it cannot read. It gives it the status 500.
UNREADABLE = re.compile(
    r"Empty or invalid response|Invalid response object|json response"
    r"|provider returned (?:a response with no )?'choices'"
)
# "litellm.BadRequestError: ContentPolicyViolationError: OpenAIException - " and the like
CLASS_NAMES = re.compile(r"^(?:(?:litellm\.)?(?:\w+(?:Error|Exception)|Timeout)(?::| -)\s+)+")
WEB_PAGE = re.compile(r"<(?:!doctype|html|head|body)\b", re.IGNORECASE)


def make_application_error(error: Exception, retry_unusable: bool) -> ApplicationError:
    """Sorts an error by its HTTP status: LiteLLM's classes do not tell 403 and 413 apart.

    What is returned is retryable if asking again can help. An answer that is no completion is
    retryable if `retry_unusable`.
    """
    status = getattr(error, "status_code", None) or 0
    if 200 <= status < 300 or (status == 500 and UNREADABLE.search(str(error))):
        return ApplicationError(
            f"{get_model()}: what came is no answer of a model; "
            "check that neither a proxy nor a sign-in page stands between",
            type="UnusableAnswer",
            non_retryable=not retry_unusable,
        )
    cure = CURES.get(status, "")
    transient = status in TRANSIENT_STATUSES or status >= 500
    if "insufficient_quota" in f"{error} {getattr(error, 'body', '')}":
        cure, transient = "top up the account, or set another key and restart the Worker", False
    return ApplicationError(
        "; ".join(filter(None, (f"{get_model()}: {_quote_provider(error)}", cure))),
        type=type(error).__name__,
        non_retryable=not transient,
        next_retry_delay=_read_retry_after(error) if transient else None,
    )


def _quote_provider(error: Exception) -> str:
    """Returns the provider's own words on one line, without class names, markup and keys."""
    # The error itself may leave them out, or fold white space, in which a key would not be found.
    answer = ""
    with suppress(AttributeError, RuntimeError):  # there is none, or nobody has read it
        answer = error.response.text  # type: ignore[attr-defined]
    text = _hide_keys(answer or str(error)).partition("Traceback")[0]
    text = CLASS_NAMES.sub("", text)
    if WEB_PAGE.search(text):
        title = re.search(r"<title[^>]*>([^<]+)", text, re.IGNORECASE)
        text = f"a web page came in place of an answer{': ' + title[1] if title else ''}"
    elif told := re.search(r'"message":\s*("(?:[^"\\]|\\.)*")', text):  # in the provider's JSON
        text = str(json.loads(told[1], strict=False))
    return " ".join(text.split())[:ERROR_LIMIT].rstrip(". ")


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

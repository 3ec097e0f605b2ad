"""One call to a language model, through LiteLLM.

LiteLLM takes seconds to import. This module imports it where it is first used, so that the
Workflow and the starter, which need no model, never wait for it.
"""

import asyncio
import functools
import gc
import importlib.util
import json
import os
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any

from temporalio.exceptions import ApplicationError

from models import LLMCallInput

DEFAULT_MODEL = "openai/gpt-4o"
DEMO_MODEL = "offline/demo"
SLOW_DEMO_MODEL = "offline/slow-demo"
DEMO_MODELS = (DEMO_MODEL, SLOW_DEMO_MODEL)
SLOW_DEMO_DELAY = 15  # seconds: time enough to kill a Worker in the middle of a call

# Besides every 5xx. RFC 9110: timeout, conflict, too early, too many requests.
TRANSIENT_STATUSES = {408, 409, 425, 429}
# No provider's Retry-After may park a report for longer than this.
RETRY_AFTER_CAP = timedelta(minutes=10)
MOST_REDIRECTS = 2  # a provider that redirects to itself would get 21 requests a call
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

# Providers that need a key, named in a variable after them, and that take no other credentials.
PROVIDERS_WITH_KEY = {"openai", "anthropic", "deepseek", "groq", "mistral", "openrouter", "xai"}
PLACEHOLDER = re.compile(r"you|<|\.|x+$|sk-\.|change|replace|placeholder", re.IGNORECASE)


async def complete(
    input: LLMCallInput, time_limit: timedelta, *, retry_unusable: bool = True
) -> dict[str, Any]:
    """Asks the model that `LLM_MODEL` names, once, and returns its answer in the OpenAI shape.

    Raises ApplicationError with a sentence for a person: retryable if asking again can help. An
    answer that is no completion is retryable if `retry_unusable`.
    """
    litellm = await loaded()
    if not litellm:
        return await _demo_answer(input)
    try:
        answer = await litellm.acompletion(
            model=_model(),
            api_key=_key("LLM_API_KEY") or None,
            messages=_messages(input),
            timeout=time_limit.total_seconds(),
            # Temporal retries. With retries here, too, one failed attempt costs three requests.
            num_retries=0,
            max_retries=0,
        )
    except Exception as error:
        # "from None": the chain would carry headers and request bodies into the Event History.
        raise _for_temporal(error, retry_unusable) from None
    # Pydantic warns about fields that providers add; the answer is kept as it came.
    result: dict[str, Any] = answer.model_dump(exclude_none=True, warnings=False)
    if not any(_is_text(choice["message"].get("content")) for choice in result["choices"][:1]):
        raise ApplicationError(
            f"{_model()} answered without any text", type="EmptyAnswer", non_retryable=True
        )
    return result


async def loaded() -> ModuleType | None:
    """Returns LiteLLM as `load_litellm` does. Its import keeps nobody else waiting."""
    if _import_litellm.cache_info().currsize:
        return load_litellm()
    return await asyncio.to_thread(load_litellm)


def load_litellm() -> ModuleType | None:
    """Returns LiteLLM, ready for the model that `LLM_MODEL` names. The demo models need none.

    The first call takes seconds: make it in a thread. Raises ApplicationError with the cure when
    the model or its key is not usable; it is retryable, because another Worker's may be.
    """
    if _model() in DEMO_MODELS:
        return None
    litellm = _import_litellm()
    if problem := _settings_problem(litellm):
        raise ApplicationError(problem, type="Settings")
    return litellm


def obvious_settings_problem() -> str:
    """One sentence with the cure for what is known of the key before LiteLLM is there, or ""."""
    provider = _model().partition("/")[0]
    problem = "" if _model() in DEMO_MODELS else _key_problem(provider)
    if problem is None and provider in PROVIDERS_WITH_KEY:
        return _missing([_variable_of(provider)])
    return problem or ""


def provider_keys() -> set[str]:
    """The variables that hold a key for a model."""
    names = {name for name in os.environ if name.endswith("_API_KEY") and _key(name)}
    return names - {"TEMPORAL_API_KEY"}


@functools.cache
def _import_litellm() -> ModuleType:
    # Without it, LiteLLM fetches its price list from the internet at import.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    gc.disable()  # it takes up to a third of the import, which leaves hardly any garbage
    try:
        _import_openai_chat()
        import litellm
        from litellm.llms.openai.common_utils import BaseOpenAILLM
    finally:
        gc.freeze()  # nor does a later collection look through it
        gc.enable()

    litellm.suppress_debug_info = True  # its errors print advertisements otherwise
    # Nobody here asks what a call costs, and to work it out takes a fifth of a call's CPU.
    litellm.response_cost_calculator = lambda **_: None  # type: ignore[assignment]
    if session := BaseOpenAILLM.get_async_http_client():
        session.max_redirects = MOST_REDIRECTS
        litellm.aclient_session = session
    return litellm


def _import_openai_chat() -> None:
    """Imports what the first call would import otherwise, in the event loop.

    `openai.resources` as it stands imports all that OpenAI offers: 0.2 seconds and 15 MiB, of which
    chats need a tenth. As a bare package, it imports each part when that is asked for.
    """
    if spec := importlib.util.find_spec("openai.resources"):
        sys.modules.setdefault("openai.resources", importlib.util.module_from_spec(spec))
    importlib.import_module("openai.resources.chat")


def _model() -> str:
    return os.environ.get("LLM_MODEL", "").strip() or DEFAULT_MODEL


def _key(variable: str) -> str:
    """The key without what is copied along with it: white space and quotation marks."""
    return os.environ.get(variable, "").strip(" \t\r\n\"'")


def _key_problem(provider: str) -> str | None:
    """What is wrong with the key, "" if it looks right, None if there is none."""
    for variable in ("LLM_API_KEY", _variable_of(provider)):
        key = _key(variable)
        if PLACEHOLDER.match(key):
            return f"{variable} holds a placeholder, not a key for {_model()}. {_cure()}"
        if not (key.isascii() and key.isprintable()):
            return (
                f"{variable} holds characters that no key has, such as typographic quotation "
                f"marks: copy the key again. {_cure()}"
            )
        if key:
            return ""
    return None


def _variable_of(provider: str) -> str:
    return f"{provider.upper()}_API_KEY"


def _missing(variables: list[str]) -> str:
    names = " or ".join(variables)
    return f"LLM_API_KEY (or {names}) is not set, and {_model()} needs it. {_cure()}"


def _cure() -> str:
    return f"Set it in .env or in the environment, or set LLM_MODEL={DEMO_MODEL} for a demo."


def _settings_problem(litellm: ModuleType) -> str:
    """One sentence with the cure when the configured model cannot be called, or ""."""
    model = _model()
    try:
        provider = litellm.get_llm_provider(model)[1]
    except litellm.BadRequestError:
        return (
            f"LLM_MODEL={model} names no provider that LiteLLM knows. "
            f"Set it to provider/model, such as {DEFAULT_MODEL}."
        )
    if (problem := _key_problem(provider)) is not None:
        return problem
    missing = litellm.validate_environment(model)["missing_keys"]
    # Only keys: what else LiteLLM lists (addresses, cloud credentials) has defaults elsewhere.
    keys = [name for name in missing if name.endswith("_API_KEY")]
    if not keys and _variable_of(provider) in os.environ:  # empty, which LiteLLM takes for a key
        keys = [_variable_of(provider)]
    return _missing(keys) if keys else ""


def _messages(input: LLMCallInput) -> list[dict[str, str]]:
    """The conversation so far: with a draft, the model revises what the person read."""
    messages = [{"role": "user", "content": input.prompt}]
    if input.draft:
        messages[:0] = [
            {"role": "user", "content": input.draft_prompt},
            {"role": "assistant", "content": input.draft},
        ]
    # Half a surrogate pair is legal in JSON and can come from a terminal, but no client sends it.
    return [{**m, "content": m["content"].encode(errors="replace").decode()} for m in messages]


def _is_text(content: object) -> bool:
    """Whether there is something to read: neither white space nor zero-width characters are."""
    return isinstance(content, str) and any(c.isprintable() and not c.isspace() for c in content)


def _for_temporal(error: Exception, retry_unusable: bool) -> ApplicationError:
    """Sorts an error by its HTTP status: LiteLLM's classes do not tell 403 and 413 apart."""
    status = getattr(error, "status_code", None) or 0
    if 200 <= status < 300 or (status == 500 and UNREADABLE.search(str(error))):
        return ApplicationError(
            f"{_model()}: what came is no answer of a model; "
            "check that neither a proxy nor a sign-in page stands between",
            type="UnusableAnswer",
            non_retryable=not retry_unusable,
        )
    cure = CURES.get(status, "")
    transient = status in TRANSIENT_STATUSES or status >= 500
    if "insufficient_quota" in f"{error} {getattr(error, 'body', '')}":
        cure, transient = "top up the account, or set another key and restart the Worker", False
    return ApplicationError(
        "; ".join(filter(None, (f"{_model()}: {_sentence(error)}", cure))),
        type=type(error).__name__,
        non_retryable=not transient,
        next_retry_delay=_retry_after(error) if transient else None,
    )


def _sentence(error: Exception) -> str:
    """The provider's own words on one line, without LiteLLM's class names, markup and keys."""
    # The error itself may leave them out, or fold white space, in which a key would not be found.
    answer = ""
    with suppress(AttributeError, RuntimeError):  # there is none, or nobody has read it
        answer = error.response.text  # type: ignore[attr-defined]
    text = _without_keys(answer or str(error)).partition("Traceback")[0]
    text = CLASS_NAMES.sub("", text)
    if WEB_PAGE.search(text):
        title = re.search(r"<title[^>]*>([^<]+)", text, re.IGNORECASE)
        text = f"a web page came in place of an answer{': ' + title[1] if title else ''}"
    elif told := re.search(r'"message":\s*("(?:[^"\\]|\\.)*")', text):  # in the provider's JSON
        text = str(json.loads(told[1], strict=False))
    return " ".join(text.split())[:ERROR_LIMIT].rstrip(". ")


def _retry_after(error: Exception) -> timedelta | None:
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


def _without_keys(text: str) -> str:
    """Providers quote the key, whole or masked, in their errors."""
    secrets = {
        form
        for name, value in os.environ.items()
        if name.endswith(("KEY", "TOKEN", "SECRET"))
        for form in (value, _key(name), json.dumps(value)[1:-1])
        if len(form) >= 4
    }
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, "[key]")
    return re.sub(r"\bsk-[\w*.-]+\w", "[key]", text)


async def _demo_answer(input: LLMCallInput) -> dict[str, Any]:
    if _model() == SLOW_DEMO_MODEL:
        await asyncio.sleep(SLOW_DEMO_DELAY)
    message = {"role": "assistant", "content": _demo_text(_messages(input)[-1]["content"])}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"object": "chat.completion", "model": DEMO_MODEL, "choices": [choice]}


def _demo_text(prompt: str) -> str:
    """Canned Markdown that repeats the topic and the instructions, so that edits can be seen."""
    topic, *instructions = prompt.split("\n\nAdditional instructions: ")
    asked = "\n".join(f"{number}. {text}" for number, text in enumerate(instructions, start=1))
    return f"""\
> **Offline demo.** No model is configured, so this is canned text, not research. Set
> `LLM_MODEL` and `LLM_API_KEY` in `.env` for a real report.

# {topic}

This draft stands in for the answer of a language model. Everything around it is real: the
Workflow, the Activities, your decisions in the Event History and the PDF at the end.

## Your instructions

{asked or "None yet. Type *edit* and give one: it will be listed here."}

## What happens next

| You type | The Workflow |
| --- | --- |
| `query` | answers with this text and adds no event to its history |
| `edit` | calls the model again, with your instruction added to the prompt |
| `keep` | leaves the loop and creates the PDF from the draft that you read |
"""

"""Finds a provider's own words in an error, whatever shape the provider or gateway gives it."""

import ast
import json
import os
import re
from typing import Any

from beyond.llm.settings import read_setting
from beyond.printable import printable

ERROR_LIMIT = 400  # characters of a provider's message that the Event History keeps
# "litellm.BadRequestError: ContentPolicyViolationError: OpenAIException - " and the like
CLASS_NAMES = re.compile(
    r"^(?:(?:litellm\.)?(?:\w+(?:Error|Exception)|Timeout)(?::| -)\s+|Error code: \d+ - )+"
)
OBJECT = re.compile(r"<[\w.]+ object at 0x\w+>")
WEB_PAGE = re.compile(r"<(?:!doctype|html|head|body)\b", re.IGNORECASE)


def quote_provider(text: str) -> str:
    """Returns the provider's own words on one line, without class names, markup and keys.

    At most `ERROR_LIMIT` characters.
    """
    text = hide_keys(text).partition("Traceback")[0]
    if WEB_PAGE.search(text):
        title = re.search(r"<title[^<>]*>([^<]+)", text, re.IGNORECASE)
        return shorten(f"the response is a web page{': ' + title[1] if title else ''}")
    return shorten(
        _leave_out_objects(find_message(parse_quoted(text)) or CLASS_NAMES.sub("", text))
    )


def _leave_out_objects(text: str) -> str:
    """Returns the text on one line, without Python's objects and the words glued to them."""
    *before, rest = OBJECT.split(" ".join(text.split()))
    return "".join(part.rpartition(" ")[0] for part in before) + rest


def shorten(text: str) -> str:
    """Returns the text on one line of at most `ERROR_LIMIT` characters.

    Control characters, which could redraw a terminal, are left out.
    """
    return printable(" ".join(text.split()))[:ERROR_LIMIT].rstrip(". ")


def find_message(value: Any) -> str:
    """Returns the innermost message in an error's JSON value, or ""."""
    match value:
        case str(text):
            return find_message(parse_quoted(text)) or CLASS_NAMES.sub("", text).strip()
        case [first, *_]:
            return find_message(first)
        case {"metadata": {"raw": str(raw)}} if raw.strip():  # OpenRouter quotes its upstream
            return find_message(raw)
        case dict():
            for name in ("error", "errors", "detail", "message", "msg", "error_msg", "title"):
                if message := find_message(value.get(name)):
                    return message
    return ""


def find_codes(value: Any) -> str:
    """Returns the types and codes in an error's JSON value. Some say more than the message."""
    match value:
        case [first, *_]:
            return find_codes(first)
        case dict():
            names = ("type", "code", "status", "reason")
            own = [str(value[name]) for name in names if value.get(name)]
            return " ".join([*own, find_codes(value.get("error"))])
    return ""


def parse_quoted(text: str) -> Any:
    """Returns the JSON value or Python literal in a text, or None. Gateways quote both."""
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


def hide_keys(text: str) -> str:
    """Returns the text with "[key]" in place of each key, token and password of the environment.

    Providers quote the key, in full or masked, and HTTP clients quote addresses with passwords.
    """
    secrets = {
        form
        for name, value in os.environ.items()
        if name.endswith(("KEY", "TOKEN", "SECRET"))
        for form in (value, read_setting(name), json.dumps(value)[1:-1])
        if len(form) >= 4
    }
    for name, value in os.environ.items():
        if name.endswith(("_BASE_URL", "_API_BASE", "_PROXY", "_proxy")) and "@" in value:
            user = value.rpartition("@")[0].rpartition("//")[2]
            secrets |= {user, user.partition(":")[2] or user}
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, "[key]")
    return re.sub(r"\bsk-[\w*.-]+\w", "[key]", text)

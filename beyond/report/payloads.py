"""What reaches the Workflow from outside. People type it into the Web UI, so it may be anything.

Where the SDK fails to decode a payload, it fails the Workflow Task, again and again. So it passes
payloads on as they came, and the functions here take them, or raise ValueError.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.converter import DataConverter, DefaultPayloadConverter, value_to_type

from models import ContinuedReport, GenerateReportInput, UserDecision, UserDecisionSignal

DRAFT_LIMIT = 2**53  # JSON's whole numbers are exact up to here

ONE_ARGUMENT = inspect.Signature(
    [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in ("self", "payload")]
)

Method = TypeVar("Method", bound=Callable[..., Any])


class Undecoded(DefaultPayloadConverter):
    """Leaves several payloads as they came where one is expected, so that none can be broken."""

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type[Any]] | None = None
    ) -> list[Any]:
        if len(payloads) > 1 and not type_hints:
            return [RawValue(payload) for payload in payloads]
        return super().from_payloads(payloads, type_hints)


DATA_CONVERTER = DataConverter(payload_converter_class=Undecoded)


def undecoded(method: Method) -> Method:
    """Makes the SDK call a method that has `*payload` with a RawValue.

    `*payload` is for callers who send two arguments, or none. The SDK reads its type hint only if
    the signature shows a single argument.
    """
    method.__annotations__["payload"] = RawValue
    method.__signature__ = ONE_ARGUMENT  # type: ignore[attr-defined]
    return method


def input_in(payload: tuple[object, ...]) -> ContinuedReport | GenerateReportInput:
    value = _decoded(payload)
    continued = isinstance(value, dict) and "carried" in value
    kind: type[Any] = ContinuedReport if continued else GenerateReportInput
    try:
        input: ContinuedReport | GenerateReportInput = value_to_type(kind, value)
        return input
    except TypeError as error:
        raise ValueError from error


def decision_in(payload: tuple[object, ...]) -> UserDecisionSignal:
    """By hand, because value_to_type would need more than two seconds for 10,000 of them."""
    value = _decoded(payload)
    try:
        known = {name: value[name] for name in UserDecisionSignal.__annotations__ if name in value}
        decision = UserDecisionSignal(**known)
    except TypeError as error:
        raise ValueError from error
    decision.decision = UserDecision(decision.decision)
    texts = decision.additional_prompt, decision.digest
    number = decision.draft
    if not all(isinstance(text, str) for text in texts) or type(number) is not int:
        raise ValueError
    if not 0 <= number < DRAFT_LIMIT:
        raise ValueError
    return decision


def draft_in(answer: object) -> tuple[str, str]:
    """Returns the text that the model wrote, and why it stopped."""
    match _decoded((answer,)):
        case {"choices": [{"message": {"content": str(text)}, **choice}, *_]} if text.strip():
            return text, str(choice.get("finish_reason"))
    raise ValueError("the answer holds no text")


def filename_in(answer: object) -> str:
    match _decoded((answer,)):
        case str(filename) if filename:
            return filename
    raise ValueError("create_pdf returned no file name")


def _decoded(payload: tuple[object, ...]) -> Any:
    if len(payload) != 1:
        raise ValueError("not one payload")
    [value] = payload
    if not isinstance(value, RawValue):
        return value
    try:
        return workflow.payload_converter().from_payload(value.payload)
    except (KeyError, RuntimeError) as error:  # an unknown encoding, or broken
        raise ValueError from error

"""Decodes what people and other programs send to the Worker."""

from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, DefaultPayloadConverter


class ForgivingPayloadConverter(DefaultPayloadConverter):
    """Returns None for what it cannot decode.

    People type payloads into the Web UI by hand. For a wrong one, the SDK would fail the Workflow
    Task, again and again. With None, the Workflow can reject it.
    """

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type[Any]] | None = None
    ) -> list[Any]:
        if len(payloads) > 1:  # every handler takes one argument
            return [None]
        try:
            values = super().from_payloads(payloads, type_hints)
        except (KeyError, RuntimeError, TypeError, ValueError):
            return [None]
        # The SDK decodes raw bytes whatever the type hint. Nothing here takes bytes.
        return [None if isinstance(value, bytes) else value for value in values]


DATA_CONVERTER = DataConverter(payload_converter_class=ForgivingPayloadConverter)

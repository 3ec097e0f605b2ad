"""How the Worker decodes what people and other programs send."""

from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, DefaultPayloadConverter


class ForgivingPayloadConverter(DefaultPayloadConverter):
    """Decodes as None what it cannot decode.

    People type payloads into the Web UI by hand. The SDK would fail the Workflow Task for a wrong
    one, again and again; None is for the Workflow to judge.
    """

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type[Any]] | None = None
    ) -> list[Any]:
        if len(payloads) > 1:  # whatever they are for, it takes one argument
            return [None]
        try:
            values = super().from_payloads(payloads, type_hints)
        except (KeyError, RuntimeError, TypeError, ValueError):
            return [None]
        # Raw bytes are decoded whatever the type, and nothing here takes any.
        return [None if isinstance(value, bytes) else value for value in values]


DATA_CONVERTER = DataConverter(payload_converter_class=ForgivingPayloadConverter)

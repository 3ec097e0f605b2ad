"""Decodes what people and other programs send to the Worker."""

from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, DefaultPayloadConverter, PayloadCodec

READABLE = DefaultPayloadConverter().converters.keys()  # the encodings that need no codec


class ForgivingPayloadConverter(DefaultPayloadConverter):
    """Returns None for a payload that it cannot decode, if it knows the encoding.

    People type payloads into the Web UI. The SDK would fail the Workflow Task again and again for a
    wrong one, but the Workflow can reject None.
    """

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type[Any]] | None = None
    ) -> list[Any]:
        if len(payloads) > 1:  # every handler takes one argument
            return [None]
        try:
            values = super().from_payloads(payloads, type_hints)
        except (RuntimeError, TypeError, ValueError):
            return [None]
        # The SDK decodes raw bytes whatever the type hint. Nothing here takes bytes.
        return [None if isinstance(value, bytes) else value for value in values]


class ReadableCodec(PayloadCodec):
    """Refuses a payload that only another Worker can read, such as an encrypted one.

    The Workflow Task fails until a Worker that has the codec picks it up. Without this class, the
    SDK would drop a Signal that it cannot decode.
    """

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Returns the payloads unchanged."""
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Returns the payloads. Raises ValueError if one has an encoding that needs a codec."""
        for payload in payloads:
            encoding = payload.metadata.get("encoding", b"")
            if encoding not in READABLE:
                name = encoding.decode(errors="replace")
                raise ValueError(
                    f'This Worker has no codec for the encoding "{name}". Give it the codec that '
                    "the other Workers and starters have."
                )
        return list(payloads)


DATA_CONVERTER = DataConverter(
    payload_converter_class=ForgivingPayloadConverter, payload_codec=ReadableCodec()
)

"""How the Worker decodes what people and other programs send."""

from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, DefaultPayloadConverter, PayloadCodec

READABLE = DefaultPayloadConverter().converters.keys()  # encodings


class ForgivingPayloadConverter(DefaultPayloadConverter):
    """Decodes as None what is wrong in a readable encoding.

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
        except (RuntimeError, TypeError, ValueError):
            return [None]
        # Raw bytes are decoded whatever the type, and nothing here takes any.
        return [None if isinstance(value, bytes) else value for value in values]


class ReadableCodec(PayloadCodec):
    """Refuses a payload that only another Worker can read, such as an encrypted one.

    Its Workflow Task fails until a Worker takes it that can. Without a codec, the SDK would drop a
    Signal that it cannot decode.
    """

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises ValueError."""
        for payload in payloads:
            encoding = payload.metadata.get("encoding", b"")
            if encoding not in READABLE:
                name = encoding.decode(errors="replace")
                raise ValueError(f'This Worker has no codec for the encoding "{name}".')
        return list(payloads)


DATA_CONVERTER = DataConverter(
    payload_converter_class=ForgivingPayloadConverter, payload_codec=ReadableCodec()
)

"""Pictures that a draft carries within itself."""

import base64
import io
from typing import Any
from urllib.parse import unquote_to_bytes

from PIL import Image
from reportlab.lib.utils import ImageReader  # type: ignore[import-untyped]

PIXELS_LIMIT = 20_000_000
POINTS = 0.75  # a pixel, at 96 to an inch


class Picture:
    """A picture whose lower left corner stands on the base line; all lengths are in points."""

    descent = 0.0
    kind = "Figure"

    def __init__(self, image: Image.Image, width: float, height: float, source: str) -> None:
        self.image, self.width, self.ascent, self.source = image, width, height, source

    def shrink_to(self, width: float, height: float) -> "Picture":
        """The picture, smaller if it does not fit into a width and a height in points."""
        factor = min(1.0, width / self.width, height / self.ascent)
        return Picture(self.image, self.width * factor, self.ascent * factor, self.source)

    def draw(self, canvas: Any, x: float, y: float) -> None:
        """Paint the picture."""
        canvas.drawImage(ImageReader(self.image), x, y, self.width, self.ascent, mask="auto")


def read_picture(address: str, source: str) -> Picture | None:
    """The picture of a data URI, for which `source` says what it shows; None if there is none."""
    kind, _, data = address.partition(",")
    if not kind.startswith("data:image/"):
        return None
    try:
        content = unquote_to_bytes(data)
        content = base64.b64decode(content) if kind.endswith(";base64") else content
        image = Image.open(io.BytesIO(content))
        if image.width * image.height > PIXELS_LIMIT:
            return None
        return Picture(image.convert("RGBA"), image.width * POINTS, image.height * POINTS, source)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None

"""The size of a report's paper, which `PAPER` sets."""

import os

SIZES = {"letter": (612.0, 792.0), "a4": (595.28, 841.89)}  # width and height in points


def find_paper() -> str:
    """Returns the name in `SIZES` that `PAPER` gives; by default "letter", as in the tutorial.

    Raises ValueError for any other name.
    """
    name = os.environ.get("PAPER", "").strip(" \"'") or "letter"
    if name.lower() not in SIZES:
        raise ValueError(f"PAPER={name} is not a size of paper: write letter or a4")
    return name.lower()

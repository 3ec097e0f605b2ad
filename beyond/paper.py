"""The paper of the reports, as `PAPER` names it."""

import os

SIZES = {"letter": (612.0, 792.0), "a4": (595.28, 841.89)}  # points


def find_paper() -> str:
    """The name in `SIZES` that `PAPER` gives, or the tutorial's. Raises ValueError for others."""
    name = os.environ.get("PAPER", "").strip(" \"'") or "letter"
    if name.lower() not in SIZES:
        raise ValueError(f"PAPER={name} is not a size of paper: write letter or a4")
    return name.lower()

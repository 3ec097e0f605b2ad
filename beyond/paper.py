"""The sizes of paper that a report can have."""

SIZES = {"letter": (612.0, 792.0), "a4": (595.28, 841.89)}  # points


def check_paper(name: str) -> str:
    """The name of a size in `SIZES`, in lower case. Raises ValueError for others."""
    if name.lower() not in SIZES:
        raise ValueError(f"PAPER={name} is not a size of paper: write letter or a4")
    return name.lower()

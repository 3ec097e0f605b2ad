"""Where the project is, and an environment that holds nothing of its developer's."""

import os
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def forget_own_settings() -> None:
    """Takes the developer's own settings out of the environment.

    PYTHONDONTWRITEBYTECODE is one of them: each process would compile its modules again.
    """
    for name in list(os.environ):
        if name.startswith(("TEMPORAL_", "LLM_", "REPORTS_", "PAPER")) or name.endswith("_API_KEY"):
            del os.environ[name]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

"""Where the project is, and an environment without its developer's settings."""

import os
import subprocess
import sys
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


def run_python(code: str, **settings: str) -> str:
    """Runs code that imports the project. Returns its output, or raises CalledProcessError."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=PROJECT, env=os.environ | settings, capture_output=True, text=True, check=True
    )
    return done.stdout

"""pytest-xdist ends a run in which two processes collect different tests."""

import os
import subprocess
import sys

import pytest
from machine import PROJECT


def test_a_later_collection_finds_the_same_tests(request: pytest.FixtureRequest) -> None:
    """A name that holds the current second, say, would not be found again."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "--collect-only", "-q"]
    environment = os.environ | {"PYTEST_ADDOPTS": ""}  # which may ask for other lines
    later = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert {item.nodeid for item in request.session.items} <= set(later.stdout.splitlines())

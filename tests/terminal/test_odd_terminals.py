"""Unusual terminals and users: in containers, on serial lines, in Emacs."""

import shutil
import subprocess
import sys

import pexpect
import pytest
from starters import STARTER
from support import PATIENCE

pytestmark = pytest.mark.usefixtures("worker")

WITHOUT_A_HOME = "unshare -U --map-user=12345 --map-group=12345 env -u HOME -u XDG_DATA_HOME"


def can_be_without_a_home() -> bool:
    command = WITHOUT_A_HOME.split()
    return bool(shutil.which(command[0])) and not subprocess.call([*command, "true"])


def begin(command: str) -> "pexpect.spawn[str]":
    """Starts the starter by a shell's command, and asks for a report."""
    child = pexpect.spawn("sh", ["-c", f"{command} {sys.executable} {STARTER}"], timeout=PATIENCE)
    child.expect("Enter your research topic or question:")
    child.send("bees\r")
    child.expect("Your decision")
    return child


def test_a_window_of_size_0_counts_as_80_by_24() -> None:
    child = begin("stty cols 0 rows 0;")
    child.send("query\r")
    child.expect("Research Result:")
    child.expect("Your decision")
    child.send("keep\r")
    child.expect("Result: Successfully")
    child.expect(pexpect.EOF)


@pytest.mark.skipif(not can_be_without_a_home(), reason="the system has no user namespaces")
def test_a_user_without_a_home_gets_a_prompt_without_a_history() -> None:
    child = begin(WITHOUT_A_HOME)
    child.send("\x03")
    child.expect("Come back to it with")
    child.expect(pexpect.EOF)

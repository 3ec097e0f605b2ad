"""The README says what the code does: its commands, files, settings, numbers and messages."""

import ast
import functools
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from machine import PROJECT

import activities
import worker
from beyond import heartbeats
from beyond.llm.settings import DEFAULT_MODEL
from beyond.llm.streams import SILENCE_LIMIT
from beyond.server import connection

README = (PROJECT / "README.md").read_text()
MODULES = sorted([*PROJECT.glob("*.py"), *PROJECT.glob("beyond/**/*.py")])
COMMANDS = re.findall(r"uv run ([\w./]+\.py)((?: --?[\w-]+)*)", README)


def table(title: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its header."""
    found = re.search(rf"^#+ {title}\n.*?^(\|.*?)\n\n", README, re.M | re.S)
    assert found
    rows = found[1].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def fixed_parts() -> list[str]:
    """What the code can say, cut at the values that it fills in, longest first."""
    texts = {
        node.value.strip()
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    lines = {line.strip() for text in texts for line in text.splitlines()}
    return sorted((text for text in texts | lines if len(text) >= 5), key=len, reverse=True)


@pytest.mark.parametrize(("script", "options"), sorted(set(COMMANDS)))
def test_a_command_exists_and_takes_its_options(script: str, options: str) -> None:
    assert (PROJECT / script).is_file()
    for option in options.split():
        assert option in help_of(script)


@functools.cache
def help_of(script: str) -> str:
    command = [sys.executable, str(PROJECT / script), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_file_table_lists_the_five_files_and_each_room() -> None:
    listed = [quoted(file)[0] for file, _ in table("How it works")]
    beyond = PROJECT / "beyond"
    rooms = [f"beyond/{init.parent.name}/" for init in beyond.glob("*/__init__.py")]
    modules = [f"beyond/{module.name}" for module in beyond.glob("[a-z]*.py")]
    assert sorted(listed) == sorted(
        [*rooms, *modules, *(module.name for module in PROJECT.glob("*.py"))]
    )


def test_the_settings_are_those_of_the_code_and_of_env_example() -> None:
    listed = {quoted(name)[0]: default for name, _, default in table("Settings")}
    ours = {name for name in listed if not name.startswith("TEMPORAL_")}
    read = set(
        re.findall(
            r'(?:environ\.get|_key)\("(LLM_\w+|REPORTS_\w+|PAPER)"',
            "".join(m.read_text() for m in MODULES),
        )
    )
    assert ours == read
    example = re.findall(r"^(?:# )?([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.M)
    assert ours <= set(example) <= set(listed)
    assert DEFAULT_MODEL in listed["LLM_MODEL"]
    assert connection.DEFAULT_ADDRESS in listed["TEMPORAL_ADDRESS"]


@pytest.mark.parametrize("symptom", [row[0] for row in table("Troubleshooting")])
def test_a_quoted_message_is_the_codes(symptom: str) -> None:
    [message] = quoted(symptom)
    left = message
    for part in fixed_parts():
        left = left.replace(part, "")
    # What is left are values, such as an address.
    assert len(left) < len(message) / 2, left


def test_the_dialogue_is_the_codes() -> None:
    transcript = "".join(re.findall(r"```text\n(.*?)```", README, re.S))
    parts = fixed_parts()
    for line in transcript.splitlines():
        assert line == "=" * 50 or any(part in line for part in parts), line


def test_the_numbers_are_the_codes() -> None:
    assert timedelta(hours=1) == activities.LLM_TIME_LIMIT
    assert timedelta(minutes=10) == worker.SHUTDOWN_GRACE
    assert f"silent for {SILENCE_LIMIT} s" in README
    assert timedelta(seconds=5) == heartbeats.HEARTBEAT_INTERVAL
    assert timedelta(seconds=20) == heartbeats.HEARTBEAT_TIMEOUT
    assert "an hour, with heartbeats every 5 s" in README
    assert f"terminationGracePeriodSeconds: {10 * 60}" in README
    assert "20 seconds of waiting and one retry" in README
    assert f"{worker.ACTIVITY_SLOTS:,} Activity slots" in README


def test_every_picture_and_link_is_there() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", README):
        assert (PROJECT / target).is_file()
    for anchor in re.findall(r"\]\(#([\w-]+)\)", README):
        headings = re.findall(r"^#+ (.+)$", README, re.M)
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}

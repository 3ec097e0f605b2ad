"""README and docs say what the code does: its commands, files, words, settings and messages."""

import ast
import functools
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from machine import PROJECT

import worker
from beyond import heartbeats
from beyond.llm.settings import DEFAULT_MODEL
from beyond.server import connection
from beyond.terminal.words import HELP
from models import UserDecision

PAGES = {
    page.name: page.read_text()
    for page in (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *PROJECT.glob("docs/*.md"))
}
README, USING, TUTORIAL = PAGES["README.md"], PAGES["USING.md"], PAGES["TUTORIAL.md"]
MODULES = sorted([*PROJECT.glob("*.py"), *PROJECT.glob("beyond/**/*.py")])
COMMANDS = re.findall(r"uv run ([\w./]+\.py)((?: --?[\w-]+)*)", "".join(PAGES.values()))


def table(page: str, title: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its header."""
    found = re.search(rf"^#+ {title}\n.*?^(\|.*?)\n\n", page, re.M | re.S)
    assert found
    rows = found[1].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def fixed_parts() -> list[str]:
    """The strings of the code, cut at the values that they contain, longest first."""
    texts = {
        node.value.strip()
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    lines = {line.strip() for text in texts for line in text.splitlines()}
    return sorted((text for text in texts | lines if len(text) >= 5), key=len, reverse=True)


@pytest.mark.parametrize(("script", "options"), sorted(set(COMMANDS)))
def test_each_command_exists_and_takes_its_options(script: str, options: str) -> None:
    if script == "own_program.py":  # readers create it from the page
        return
    assert (PROJECT / script).is_file()
    for option in options.split():
        assert option in help_of(script)


@functools.cache
def help_of(script: str) -> str:
    command = [sys.executable, str(PROJECT / script), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 170


def test_readme_lists_the_five_files_and_each_room() -> None:
    listed = [name for files, _ in table(README, "How it works") for name in quoted(files)]
    rooms = [f"beyond/{init.parent.name}/" for init in PROJECT.glob("beyond/*/__init__.py")]
    assert sorted(listed) == sorted([*rooms, *(module.name for module in PROJECT.glob("*.py"))])


def test_the_tour_names_each_room_and_each_module_beside_them() -> None:
    tour = PAGES["CONTRIBUTING.md"]
    for place in PROJECT.glob("beyond/[a-z]*"):
        assert f"`beyond/{place.name}{'/' * place.is_dir()}`" in tour, place


def test_using_md_lists_each_word_of_the_dialogue() -> None:
    listed = [quoted(words)[0] for words, _ in table(USING, "The dialogue")]
    words = re.findall(r"^([a-z]+)  ", HELP, re.M)
    assert sorted({word.split()[0] for word in listed} | {"help"}) == sorted({*words, "help"})


def test_the_tutorial_page_names_each_decision() -> None:
    for decision in set(UserDecision) - {UserDecision.WAIT}:
        assert decision in TUTORIAL


def test_settings_match_the_code_and_env_example() -> None:
    listed = {quoted(name)[0]: default for name, _, default in table(USING, "Settings")}
    ours = {name for name in listed if not name.startswith("TEMPORAL_")}
    code = "".join(module.read_text() for module in MODULES)
    names = set(re.findall(r'"(LLM_\w+|REPORTS_\w+|PAPER)"', code))
    assert ours == names
    example = re.findall(r"^(?:# )?([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.M)
    assert ours <= set(example) <= set(listed)
    assert DEFAULT_MODEL in listed["LLM_MODEL"]
    assert connection.DEFAULT_ADDRESS in listed["TEMPORAL_ADDRESS"]


@pytest.mark.parametrize("symptom", [row[0] for row in table(USING, "Messages")])
def test_each_quoted_message_is_in_the_code(symptom: str) -> None:
    [message] = quoted(symptom)
    left = message
    for part in fixed_parts():
        left = left.replace(part, "")
    # The rest are values, such as an address.
    assert len(left) < len(message) / 2, left


def test_each_line_of_readmes_dialogue_is_in_the_code() -> None:
    transcript = "".join(re.findall(r"```text\n(.*?)```", README, re.S))
    parts = fixed_parts()
    for line in transcript.splitlines():
        assert any(part in line for part in parts), line


def test_numbers_in_the_docs_match_the_code() -> None:
    production = PAGES["PRODUCTION.md"]
    assert timedelta(seconds=5) == heartbeats.HEARTBEAT_INTERVAL
    assert timedelta(seconds=20) == heartbeats.HEARTBEAT_TIMEOUT
    assert "an hour, with heartbeats every 5 s" in TUTORIAL
    assert "retried after 20 seconds" in production
    assert timedelta(seconds=600) == worker.SHUTDOWN_GRACE
    assert f"terminationGracePeriodSeconds: {600}" in production
    assert f"{worker.ACTIVITY_SLOTS:,} Activity slots" in production


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_picture_and_link_exists(name: str) -> None:
    page = PAGES[name]
    folder = PROJECT if (PROJECT / name).is_file() else PROJECT / "docs"
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", page):
        assert Path(folder, target).is_file(), target
    headings = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", page, re.M)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", page)) <= headings


@pytest.mark.parametrize("name", sorted(set(PAGES) - {"README.md"}))
def test_each_page_begins_with_whom_it_is_for(name: str) -> None:
    first = PAGES[name].split("\n\n")[1]
    assert first.startswith("For "), first

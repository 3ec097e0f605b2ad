"""What every test needs. The folders that need a server load `server_fixtures`, too."""

import signal
from pathlib import Path

import pytest
from machine import forget_own_settings

from beyond.process import exit_process

EXIT_STATUS = pytest.StashKey[int]()
WITH_A_SERVER = {"by_hand", "llm", "server", "terminal", "workflow"}


def pytest_sessionstart() -> None:
    forget_own_settings()
    # nohup ignores SIGHUP, and a script's background job ignores the others. The Workers and
    # starters of the tests would ignore them, too.
    for name in ("SIGHUP", "SIGINT", "SIGQUIT"):
        number = getattr(signal, name, None)  # Windows has only SIGINT
        if number and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> None:
    """Tests of pages run without the Temporal CLI, and without the second its SDK takes to load."""
    if file_path.parent.name in WITH_A_SERVER:
        parent.config.pluginmanager.import_plugin("server_fixtures")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hides the developer's temporal.toml from the tests, which write nothing into the project."""
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "no-temporal.toml"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PAGER", "cat")  # which needs no keys
    monkeypatch.chdir(tmp_path)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[EXIT_STATUS] = exitstatus


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Exits as the app does, because the SDK's threads can crash the interpreter's teardown."""
    if EXIT_STATUS in config.stash:
        exit_process(int(config.stash[EXIT_STATUS]))

"""A draft taller than the window opens in the pager."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from loopback_llm import LoopbackLLM, Reply
from starters import OpenStarter, Starter, write_script

pytestmark = pytest.mark.usefixtures("worker")

TALL = Reply(text="\n\n".join(f"paragraph {number}" for number in range(30)))


@pytest.fixture
def query_tall_draft(llm: LoopbackLLM, open_starter: OpenStarter) -> Callable[[], Starter]:
    """A function that returns a starter after `query` for a draft taller than its window."""

    def query() -> Starter:
        llm.default = TALL
        starter = open_starter("bees", columns=80)
        starter.sees("paragraph 29")
        starter.decide("query")
        return starter

    return query


async def test_a_draft_taller_than_the_window_opens_in_the_pager_which_gets_ctrl_c(
    llm: LoopbackLLM,
    open_starter: OpenStarter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = "cat > paged.txt\necho THE PAGER\nread key < /dev/tty\necho READ ${#key}"
    monkeypatch.setenv("PAGER", str(write_script(tmp_path / "pager", script)))
    llm.replies += [Reply(text="short"), TALL]
    starter = open_starter("bees", columns=80)
    starter.decide("query")
    starter.sees("Research Result:")
    starter.edit("longer")
    starter.sees("paragraph 29")
    assert "THE PAGER" not in starter.text
    for word, first in (("query", "paragraph 0"), ("changes", "short")):
        starter.decide(word)
        starter.sees("THE PAGER")
        paged = (tmp_path / "paged.txt").read_text()
        assert first in paged
        assert "paragraph 29" in paged
        starter.presses("\x03\r")
        starter.sees("READ 1")
    starter.keep()
    starter.sees_result()
    assert starter.ends() == 0


@pytest.mark.skipif(not shutil.which("less"), reason="less is not installed")
async def test_less_says_how_to_go_back(
    query_tall_draft: Callable[[], Starter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAGER")
    starter = query_tall_draft()
    starter.sees("Space shows more, q goes back")
    starter.presses("G")
    starter.line_is("q goes back to the question")
    starter.presses("q")
    starter.asked_to_decide()


async def test_the_question_is_asked_again_after_a_pager_fails(
    query_tall_draft: Callable[[], Starter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER", "no-such-pager")
    starter = query_tall_draft()
    starter.asked_to_decide()
    assert "no-such-pager: not found" in starter.errors


async def test_the_starter_ends_with_its_terminal_under_the_pager(
    query_tall_draft: Callable[[], Starter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER", "sh -c 'cat > /dev/null; echo PAGED; exec sleep 60'")
    starter = query_tall_draft()
    starter.sees("PAGED")
    began = time.monotonic()
    starter.process.kill(signal.SIGTERM)
    starter.ends()
    assert time.monotonic() - began < 15

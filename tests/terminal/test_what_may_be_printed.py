"""A person sees all of the draft, within the window, and no escape sequences of the model."""

import re

import pytest
from loopback_llm import LoopbackLLM, Reply
from starters import CONTROLS, OpenStarter, piped

pytestmark = pytest.mark.usefixtures("worker")

# Sequences that set the title or the clipboard, clear the screen, ring, or reorder a line.
ESCAPES = (
    "\x1b]0;title\x07 \x1b]52;c;aGk=\x1b\\ \x1b[2J\x1b[31m \x9b31m \x9d0;x\x9c \x08\r\u202e\u2066"
)


async def test_escape_sequences_in_a_draft_reach_no_terminal(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.default = Reply(text=f"# Safe\n\n{ESCAPES}\n\n[a]({ESCAPES})\n\n    {ESCAPES}\n\nend")
    starter = open_starter("bees")
    starter.decide("query")
    starter.sees("Research Result:")
    llm.default = Reply(status=400, text=f"{ESCAPES}no")
    starter.write_afresh()
    starter.sees("Draft 2 failed: openai/gpt-4o: ")
    llm.default = Reply(status=500, text=f"{ESCAPES}no", headers={"retry-after": "60"})
    starter.write_afresh()
    starter.sees("attempt 2, ")
    starter.presses("\x03")
    assert starter.ends() == 130  # and nothing strange was in the output
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069]", starter.raw)
    assert not re.search(r"\x1b\[(2J|31m)", starter.raw)


async def test_a_terminal_shows_all_words_of_the_pdf_and_the_address_of_each_link(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.default = Reply(
        text="a<T>c H<sub>2</sub>O\n\n| x |\n| - |\n| <i>2nd</i> |\n\n<div>block</div>\n\n~~old~~"
        "\n\n- See [**your bank**](https://elsewhere.example/)."
    )
    starter = open_starter("bees")
    starter.asked_to_decide()
    for text in ("a<T>c", "H₂O", "2nd", "block", "old", "your bank (https://elsewhere.example/)."):
        assert text in starter.text
    assert "|" not in starter.text.partition("====")[0].replace("│", "")
    assert not starter.links


async def test_escape_sequences_in_a_draft_reach_no_pipe(llm: LoopbackLLM) -> None:
    llm.default = Reply(text=f"# Safe\n\n{ESCAPES}\n\nend")
    done = piped("bees\nquery\nkeep\n")
    assert done.returncode == 0
    assert not CONTROLS.search(done.stdout)


async def test_with_no_color_nothing_is_coloured(
    llm: LoopbackLLM, open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.default = Reply(text="`code` and\n\n```python\nimport this\n```\n\n- [link](https://x.y)")
    colour = re.compile(r"\x1b\[[\d;]*\b(3[0-8]|4[0-8]|9[0-7])[\d;]*m")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = open_starter("bees")
    coloured.keep()
    coloured.sees_result()
    assert colour.search(coloured.raw)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = open_starter("bees")
    plain.keep()
    plain.sees("Result: ")
    assert not colour.search(plain.raw)


async def test_a_narrow_window_wraps_and_loses_no_word(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    words = [f"word{number}" for number in range(40)]
    llm.replies.append(Reply(status=503, text="very busy", headers={"retry-after": "5"}))
    llm.replies.append(Reply(text=f"# A title\n\n{' '.join(words)}"))
    starter = open_starter("bees", columns=40)
    starter.sees(re.compile(r"Researching….*\n.*\n.*s\)", re.DOTALL))
    starter.decide("edit")
    starter.sees("Enter additional instructions (optional)")  # the colon is on the next row
    starter.types("a long instruction " * 5)
    starter.asked_to_decide()
    assert starter.text.count("Enter additional instructions") == 1
    assert "attempt" not in starter.text  # all rows of the live line have gone
    assert re.findall(r"word\d+", starter.text) == words, str(starter)
    starter.types("keep")
    starter.sees("Result: ")
    assert starter.ends() == 0

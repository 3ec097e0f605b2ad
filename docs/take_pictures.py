"""Takes the README's pictures from a real report: uv run docs/take_pictures.py

Needs tmux (the terminal), chromium (the Web UI) and pdftoppm (the PDF) on PATH.
"""

import asyncio
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).parent.parent
PICTURES = PROJECT / "docs" / "pictures"
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from loopback_llm import LoopbackLLM, Reply  # noqa: E402 - they are found only now

from beyond.server.dev_server import UI_PORT_OFFSET, start_server  # noqa: E402

COLUMNS, ROWS = 96, 88
PATIENCE = 60  # seconds
PORT = 17233  # the Web UI is 1,000 above

DRAFT = """\
# Tardigrades

Tardigrades, or *water bears*, are eight-legged animals of about half a millimetre. They live in
moss, on glaciers and in the deep sea, and survive what kills almost everything else.
"""
LONGER_DRAFT = """\
# Tardigrades

Tardigrades, or *water bears*, are eight-legged animals of about half a millimetre. They live in
moss, on glaciers and in the deep sea, and survive what kills almost everything else.

## How they survive

1. They lose 97 % of their water and curl up into a **tun**.
2. In that state their metabolism falls to 0.01 % of the normal rate.
3. The protein `Dsup` shields their DNA from radiation.

| Hazard | What a tun withstands | For how long |
| --- | --- | --- |
| Cold | -272 °C | minutes |
| Heat | 150 °C | minutes |
| Vacuum and sunlight | low Earth orbit | 10 days |
| Drought | 3 % water | decades |

> In 2007, tardigrades became the first animals to survive open space.

Read more in the [ESA's account](https://www.esa.int/) of the TARDIS experiment.
"""


class Terminal:
    """A real terminal, run by tmux."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self._tmux = ["tmux", "-L", f"pictures-{uuid4()}"]
        settings = [f"{name}={value}" for name, value in environment.items()]
        line = shlex.join(["env", *settings, *command]) + "; sleep 600"
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        self._run("new-session", "-d", *size, "-c", str(folder), line)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], check=True, stdout=subprocess.PIPE, encoding="utf-8"
        )
        return done.stdout

    def type(self, line: str) -> None:
        self._run("send-keys", "-l", line)
        time.sleep(1)  # a person types before pressing Enter
        self._run("send-keys", "Enter")

    def wait_for(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE
        while self._run("capture-pane", "-p").count(text) < times:
            assert time.monotonic() < deadline, self._run("capture-pane", "-p")
            time.sleep(0.2)

    def screen(self) -> str:
        return self._run("capture-pane", "-p", "-e").rstrip()

    def close(self) -> None:
        self._run("kill-server")


async def main() -> None:
    with LoopbackLLM() as llm, tempfile.TemporaryDirectory() as temporary:
        llm.replies += [Reply(DRAFT, delay=3), Reply(LONGER_DRAFT, delay=3)]
        folder = Path(temporary)
        environment = os.environ | {
            "TEMPORAL_ADDRESS": f"localhost:{PORT}",
            "OPENAI_BASE_URL": llm.base_url,
            "LLM_MODEL": "openai/gpt-4o",
            "LLM_API_KEY": "not-needed-here",
        }
        async with await start_server(PORT, log=folder / "server.log"):
            worker = await asyncio.create_subprocess_exec(
                sys.executable, str(PROJECT / "worker.py"), cwd=folder, env=environment
            )
            try:
                await asyncio.to_thread(take_pictures, environment, folder)
            finally:
                worker.terminate()
                await worker.wait()


def take_pictures(environment: dict[str, str], folder: Path) -> None:
    terminal = Terminal([sys.executable, str(PROJECT / "starter.py")], environment, folder)
    terminal.wait_for("topic or question")
    terminal.type("What makes tardigrades so tough?")
    terminal.wait_for("Your decision")
    terminal.type("edit")
    terminal.wait_for("additional instructions")
    terminal.type("explain how they survive, with a table")
    terminal.wait_for("Your decision", times=2)
    terminal.type("keep")
    terminal.wait_for("File:")
    screen = terminal.screen().replace(str(folder.resolve()), "reports")
    terminal.close()

    console = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"))  # noqa: SIM115
    console.print(Text.from_ansi(screen))
    console.save_svg(str(PICTURES / "terminal.svg"), title="uv run starter.py")

    workflow_id = next(
        word for word in screen.replace("\n", "").split() if word.startswith("generate-")
    )
    page = f"http://localhost:{PORT + UI_PORT_OFFSET}/namespaces/default/workflows/"
    screenshot(f"{page}{workflow_id.rstrip(',')}", PICTURES / "web-ui.png")
    first_page = ["-f", "1", "-singlefile", "-png", "-r", "80"]
    subprocess.run(
        ["pdftoppm", *first_page, "research_pdf.pdf", PICTURES / "pdf"], cwd=folder, check=True
    )


def screenshot(address: str, file: Path) -> None:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    options += ["--no-first-run", "--disable-background-networking", "--disable-sync"]
    options += ["--window-size=1300,890"]  # ends above the events, which name the machine
    # The page asks its server again and again; with virtual time, that ends.
    options += ["--virtual-time-budget=15000", f"--screenshot={file}"]
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            ["chromium", *options, f"--user-data-dir={profile}", address],
            check=True,
            capture_output=True,
            timeout=PATIENCE,
        )


if __name__ == "__main__":
    asyncio.run(main())

"""Takes the README's pictures: uv run --with playwright docs/take_pictures.py

Needs tmux (the terminal), chromium (the Web UI) and pdftoppm (the PDF) on PATH.
"""

import asyncio
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from playwright.sync_api import sync_playwright  # type: ignore[import-not-found]
from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).parent.parent
PICTURES = PROJECT / "docs" / "pictures"
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from loopback_llm import LoopbackLLM, Reply  # noqa: E402 - they are found only now

from beyond.server.dev_server import UI_PORT_OFFSET, start_server  # noqa: E402

COLUMNS, ROWS = 96, 88
PATIENCE = 60  # seconds
IDS = r"Workflow ID: (\S+), RunID ([0-9a-f-]{36})"
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
        llm.replies += [Reply(DRAFT, pace=3), Reply(LONGER_DRAFT)]
        folder = Path(temporary)
        environment = os.environ | {
            "TEMPORAL_ADDRESS": f"localhost:{PORT}",
            "OPENAI_BASE_URL": llm.base_url,
            "LLM_MODEL": "openai/gpt-4o",
            "LLM_API_KEY": "not-needed-here",
        }
        async with await start_server(folder / "server.log", PORT):
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
    terminal.wait_for("moss, on")
    ids = re.search(IDS, terminal.screen().replace("\n", ""))
    assert ids
    workflow_id, run_id = ids.groups()
    page = f"http://localhost:{PORT + UI_PORT_OFFSET}/namespaces/default/workflows/{workflow_id}"
    screenshot(f"{page}/{run_id}/pending-activities", "Heartbeat Details", "live-draft.png", 680)
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

    screenshot(page, "Event History", "web-ui.png", 890)
    first_page = ["-f", "1", "-singlefile", "-png", "-r", "80"]
    subprocess.run(
        ["pdftoppm", *first_page, "research_pdf.pdf", PICTURES / "pdf"], cwd=folder, check=True
    )


def screenshot(address: str, awaited: str, name: str, height: int) -> None:
    """Takes a picture of a page of the Web UI as soon as it shows the awaited text."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": 1300, "height": height})
        page.goto(address)
        page.get_by_text(awaited, exact=True).first.wait_for()
        time.sleep(2)  # while the rest of the page comes
        machine_names = page.get_by_text(f"@{socket.gethostname()}")
        machine_names.evaluate_all("all => all.forEach(name => name.textContent = 'worker')")
        page.screenshot(path=PICTURES / name)
        browser.close()


if __name__ == "__main__":
    asyncio.run(main())

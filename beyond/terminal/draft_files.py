"""Drafts as files: those that a person saves, and those that a person corrects in an editor."""

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from beyond.data_dir import find_data_dir
from beyond.report import find_fault
from beyond.terminal.screen import Screen
from models import WORKFLOW_ID_PREFIX, Phase, ReportStatus

NOT_TAKEN = "The report did not take your text."
OLDER_WORKER = f"{NOT_TAKEN} Its Worker may run an older version."  # which gives no reason


def save_draft(screen: Screen, workflow_id: str, number: int, draft: str) -> None:
    """Writes the draft into the working directory, never over another file, and says where."""
    if not number:
        screen.say("There is no draft to save yet.")
        return
    try:
        file = Path.cwd() / _name(workflow_id, number)
        _write(file, draft)
        screen.say(f"Saved as {file}")
    except FileExistsError:
        screen.say(f"The file {file} exists already. Nothing was saved.")
    except OSError as error:
        screen.say(f"The draft cannot be saved: {error.strerror}.")


class Corrections:
    """The files in which a person corrects the drafts of a report.

    A file is deleted only when the report has its text as a draft, so typed text is never lost.
    """

    def __init__(self, screen: Screen, workflow_id: str) -> None:
        self._screen = screen
        self._workflow_id = workflow_id
        self.sent = 0  # number of the draft whose correction was sent but has had no effect yet

    async def edit(self, number: int, draft: str) -> str:
        """Opens the draft in the editor and returns the text to send.

        If there is nothing to send, says why and returns "".
        """
        try:
            file = find_data_dir() / _name(self._workflow_id, number)
            if file.exists():
                self._screen.say(f"Continuing with your text in {file}")
            else:
                _write(file, draft)
            problem = await self._screen.edit(file)
            text = _read(file)
        except OSError as error:
            problem, text = f"The draft cannot be corrected: {error.strerror}.", ""
        except UnicodeError:
            problem, text = "The file is not UTF-8.", ""
        if text == _normalize(draft):
            problem = problem or "The draft is unchanged."
        elif fault := find_fault(text):
            problem = problem or f"{fault[0].upper()}{fault[1:]}."
        if not problem:
            return text
        self._screen.say(f"{problem} Nothing was sent.")
        self.clean_up(draft)
        return ""

    def follow(self, status: ReportStatus) -> None:
        """Says so if the report did not take a correction that was sent, and cleans up after it."""
        is_current = status.draft == self.sent
        if not self.sent or (is_current and status.phase == Phase.RESEARCHING):
            return  # nothing was sent, or the correction waits behind an EDIT
        if is_current and status.phase == Phase.WAITING:
            self._screen.say(NOT_TAKEN if status.error else OLDER_WORKER)
        self.clean_up(status.text)

    def clean_up(self, draft: str) -> None:
        """Deletes the files that are empty or hold `draft`, and says where the others are."""
        self.sent = 0
        with suppress(OSError):  # the folder may be gone
            for file in sorted(find_data_dir().glob(_name(self._workflow_id, "*"))):
                if _holds(file, draft):
                    file.unlink()
                else:
                    number = file.stem.rpartition("-")[2]
                    self._screen.say(f"Your correction of draft {number} is in {file}")


def _name(workflow_id: str, number: int | str) -> str:
    """Returns a short name, because vim waits for a key if one is wider than the window."""
    report = workflow_id.removeprefix(WORKFLOW_ID_PREFIX)[:8]
    if not re.fullmatch("[0-9a-f]{8}", report):  # another program named the report
        report = hashlib.sha256(workflow_id.encode()).hexdigest()[:8]
    return f"{report}-draft-{number}.md"


def _write(file: Path, draft: str) -> None:
    """Writes a new file, all of it or none. Raises OSError."""
    stream = file.open("x", encoding="utf-8")
    try:
        with stream:
            stream.write(f"{_normalize(draft)}\n")
    except OSError:
        file.unlink()
        raise


def _read(file: Path) -> str:
    return _normalize(file.read_text(encoding="utf-8-sig"))


def _holds(file: Path, draft: str) -> bool:
    try:
        return _read(file).strip() in ("", _normalize(draft).strip())
    except UnicodeError:
        return False


def _normalize(text: str) -> str:
    """Returns the text as any editor would save it: valid UTF-8, with \\n between lines."""
    text = text.encode(errors="replace").decode()
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")

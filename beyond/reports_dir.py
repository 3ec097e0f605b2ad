"""Finds the folder of the PDFs, and puts files into it."""

import errno
import hashlib
import os
import re
import uuid
from pathlib import Path
from tempfile import TemporaryFile

from beyond.process import RESTART, RefusedError
from models import WORKFLOW_ID_PREFIX

# By error number: the reason and the cure, where the system's message does not say what to do.
DISK_CURES = {
    errno.ENAMETOOLONG: f"the path is too long; set a shorter REPORTS_DIR and {RESTART}",
    errno.ELOOP: f"its symbolic links lead in a circle; set another REPORTS_DIR and {RESTART}",
}
NO_WORKING_DIRECTORY = f"the working directory is gone; change to another one and {RESTART}"
PATH_LIMIT = 200  # characters of a path that a message shows
# A report's own part is its Workflow ID without the prefix. A name, a hyphen and that part fit into
# the 255 bytes of a file's name.
NAME_LIMIT = 150  # bytes
OWN_PART_LIMIT = 100  # characters, of one byte each
SHORT_ID = 8  # characters of the own part, enough to tell reports apart


class ReportsDirError(RefusedError):
    """Says why no PDF can be written into the folder."""


class BadNameError(ValueError):
    """Says in a sentence that a name cannot be a file's."""


def find_reports_dir() -> Path:
    """Returns the folder that `REPORTS_DIR` names, or the working directory.

    Raises ReportsDirError if it begins with a home directory that does not exist.
    """
    # `docker run --env-file` keeps quotation marks.
    setting = os.environ.get("REPORTS_DIR", "").strip("\"'") or "."
    try:
        return Path(setting).expanduser()
    except RuntimeError:
        raise ReportsDirError(
            f"REPORTS_DIR={setting} names a home directory that does not exist; "
            "set the whole path and run the command again"
        ) from None


def require_reports_dir() -> None:
    """Raises ReportsDirError if no PDF can be written into the folder."""
    folder = find_reports_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ReportsDirError(
            f"No PDF can be written to {_name_folder(folder)}: {error.strerror}. "
            "Change to another folder, or name one in REPORTS_DIR."
        ) from None


def place_report(content: bytes, filename: str, workflow_id: str) -> str:
    """Writes a PDF into the folder and returns its name, which is the same for each retry.

    The name is `filename`. If another file has it, the report's own part is added: its first
    `SHORT_ID` characters or, if that name is taken, too, all of it. Raises BadNameError if
    `filename` cannot be the name of a file, and ReportsDirError if the file cannot be written.
    """
    name = Path(filename)
    if "\0" in filename or name.name in ("", "..") or len(os.fsencode(name.name)) > NAME_LIMIT:
        raise BadNameError(f"{filename[:PATH_LIMIT]!r} cannot be the name of a report")
    # Outside a Worker, there is no Workflow ID.
    own = workflow_id.removeprefix(WORKFLOW_ID_PREFIX) or hashlib.sha256(content).hexdigest()
    own = re.sub("[^A-Za-z0-9-]", "_", own)[:OWN_PART_LIMIT]
    names = [name, *(name.with_stem(f"{name.stem}-{part}") for part in (own[:SHORT_ID], own))]
    folder = find_reports_dir()
    try:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        return str(_write(content, folder, names))
    except OSError as error:
        reason = DISK_CURES.get(error.errno or 0) or error.strerror or str(error)
        if error.errno == errno.ENOENT and not folder.is_absolute():
            reason = NO_WORKING_DIRECTORY
        raise ReportsDirError(
            f"the report cannot be written to {_name_folder((folder / name).parent)}: {reason}"
        ) from None


def _write(content: bytes, folder: Path, names: list[Path]) -> Path:
    """Writes a file under the first of the names that no other file has. Raises OSError.

    Nobody ever finds half a file under that name.
    """
    temporary = (folder / names[0]).with_name(f".{uuid.uuid4()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        for name in names:
            try:
                _name_file(temporary, folder / name)
            except FileExistsError:
                if not _holds(folder / name, content):
                    continue
            return name
    finally:
        temporary.unlink(missing_ok=True)
    raise FileExistsError(errno.EEXIST, f"other files have the names {', '.join(map(str, names))}")


def _name_file(temporary: Path, name: Path) -> None:
    """Names a finished file, and overwrites none. Raises FileExistsError and other OSErrors."""
    try:
        os.link(temporary, name)
    except FileExistsError:
        raise
    except OSError:  # the file system may have no hard links: an empty file reserves the name
        name.open("xb").close()
        temporary.replace(name)


def _holds(file: Path, content: bytes) -> bool:
    try:
        return file.read_bytes() == content
    except OSError:  # such as a folder of that name
        return False


def _name_folder(folder: Path) -> str:
    """The folder's path as people write it, short enough for a sentence."""
    try:
        path = str(folder.absolute())
    except OSError:  # the working directory is gone
        path = str(folder)
    return path if len(path) <= PATH_LIMIT else f"{path[:PATH_LIMIT]}…"

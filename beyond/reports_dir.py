"""The folder of the PDFs: where it is, and how a file gets into it."""

import errno
import hashlib
import os
import uuid
from itertools import count
from pathlib import Path

from temporalio.exceptions import ApplicationError

# What the disk answers, where the system's own words do not say what to do.
CURES = {
    errno.ENAMETOOLONG: "the path is too long; set a shorter REPORTS_DIR and restart the Worker",
    errno.ELOOP: "its symbolic links lead in a circle; set another REPORTS_DIR",
    errno.ENOENT: "the working directory is gone; restart the Worker in one that exists",
}
PATH_LIMIT = 200  # characters of a path that a message shows
NAME_LIMIT = 240  # bytes; file systems take 255, and a number may come behind the name


def reports_dir() -> Path:
    """The folder that `REPORTS_DIR` names, or the working directory.

    Raises ApplicationError where it begins with the home directory of nobody.
    """
    setting = os.environ.get("REPORTS_DIR") or "."
    try:
        return Path(setting).expanduser()
    except RuntimeError:
        raise ApplicationError(
            f"REPORTS_DIR={setting} names a home directory that does not exist; "
            "set the whole path and restart the Worker",
            type="Settings",
        ) from None


def place(content: bytes, filename: str, *, reuse: bool, search: bool) -> str:
    """Puts a finished file into the folder, and returns its name: `filename`, or one with a number.

    With `reuse`, a file of the same bytes that is met counts as another attempt's; with `search`,
    the folder is searched for one, which takes time for each file in it. Raises ApplicationError:
    non-retryable for a name that cannot be a file, retryable (with the reason) where the disk
    refuses.
    """
    name = Path(filename)
    target = reports_dir() / name
    try:
        bad = "\0" in filename or not name.name or len(os.fsencode(name.name)) > NAME_LIMIT
        if bad or target.is_dir():
            raise ApplicationError(
                f"{filename[:PATH_LIMIT]!r} cannot be the name of a report",
                type="BadName",
                non_retryable=True,
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        written = _place(content, target, reuse, search)
    except OSError as error:
        reason = CURES.get(error.errno or 0) or error.strerror or str(error)
        raise ApplicationError(
            f"the report cannot be written to {_shown(target.parent)}: {reason}",
            type=type(error).__name__,
        ) from None
    return str(name.with_name(written.name))


def _place(content: bytes, target: Path, reuse: bool, search: bool) -> Path:
    """Puts a finished file at the first free name, so that no reader ever sees half of it.

    Raises OSError.
    """
    digest = hashlib.sha256(content).hexdigest()[:16]
    temporary = target.parent / f".{digest}-{uuid.uuid4()}.tmp"
    # Before the search for earlier files: one that appears after it is met at its name below.
    free = _first_free(target)
    if search and (earlier := _earlier_file(content, target, digest)):
        return earlier
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        for number in count(free):
            candidate = Path(_numbered(target, number))
            try:
                os.link(temporary, candidate)  # unlike a rename, never overwrites
                return candidate
            except FileExistsError:
                if reuse and _holds(candidate, content):
                    return candidate
    finally:
        temporary.unlink(missing_ok=True)
    raise AssertionError("count() does not end")


def _numbered(target: Path, number: int) -> str:
    stem = str(target).removesuffix(target.suffix)
    return f"{stem}-{number}{target.suffix}" if number else str(target)


def _first_free(target: Path) -> int:
    """The number of a free name. As names are taken in their order, few of thousands are tried."""
    taken, free = -1, 0
    while os.path.lexists(_numbered(target, free)):
        taken, free = free, 2 * free + 1
    while free - taken > 1:
        middle = (taken + free) // 2
        if os.path.lexists(_numbered(target, middle)):
            taken = middle
        else:
            free = middle
    return free


def _earlier_file(content: bytes, target: Path, digest: str) -> Path | None:
    """Finds the file that an earlier attempt finished, and removes what a killed one left."""
    left_over, stem, suffix = f".{digest}-", target.stem, target.suffix
    with os.scandir(target.parent) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(left_over):
                Path(entry.path).unlink(missing_ok=True)
            elif name.startswith(stem) and name.endswith(suffix) and _holds(entry, content):
                return Path(entry.path)
    return None


def _holds(file: "Path | os.DirEntry[str]", content: bytes) -> bool:
    try:
        return file.stat().st_size == len(content) and Path(file).read_bytes() == content
    except OSError:
        return False


def _shown(folder: Path) -> str:
    """The folder as a person would name it, at a length that fits into a sentence."""
    try:
        path = str(folder.absolute())
    except OSError:  # the working directory is gone
        path = str(folder)
    return path if len(path) <= PATH_LIMIT else f"{path[:PATH_LIMIT]}…"

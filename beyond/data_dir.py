"""The folder for a user's data: what was typed so far, corrections, and reports of `--local`."""

import errno
from pathlib import Path

APP = "durable-research-reports"  # the folder's name in the user's data directory


def find_data_dir() -> Path:
    """Returns the folder, and creates it if it is missing. It is the same for every starter.

    Raises OSError if it cannot be created.
    """
    from platformdirs import user_data_path

    try:
        folder = user_data_path(APP)
    except RuntimeError:  # as in a container without HOME whose user has no entry in passwd
        raise FileNotFoundError(errno.ENOENT, "this user has no home directory", "~") from None
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # only their owner may read reports and topics
    return folder

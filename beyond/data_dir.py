"""The folder of what we keep for a user: the topics that were typed, the reports of `--local`."""

import errno
from pathlib import Path

APP = "durable-research-reports"  # the name of our folders among the user's


def find_data_dir() -> Path:
    """The same folder wherever a starter runs. Raises OSError if there can be none."""
    from platformdirs import user_data_path

    try:
        folder = user_data_path(APP)
    except RuntimeError:  # as in a container whose user ID has no entry and no HOME
        raise FileNotFoundError(errno.ENOENT, "this user has no home directory", "~") from None
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # reports and topics are their owner's alone
    return folder

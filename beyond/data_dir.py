"""The folder for a user's data: the topics that were typed, the reports of `--local`."""

from pathlib import Path

APP = "durable-research-reports"  # the folder's name in the user's data directory


def find_data_dir() -> Path:
    """Returns the folder, and creates it if it is missing. It is the same for every starter.

    Raises OSError if it cannot be created.
    """
    from platformdirs import user_data_path

    folder = user_data_path(APP)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # only their owner may read reports and topics
    return folder

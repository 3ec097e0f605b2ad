"""The folder of what we keep for a user: the topics that were typed, the reports of `--local`."""

from pathlib import Path

APP = "durable-research-reports"  # the name of our folders among the user's


def find_data_dir() -> Path:
    """The same folder wherever a starter runs. Raises OSError if there can be none."""
    from platformdirs import user_data_path

    folder = user_data_path(APP)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # reports and topics are their owner's alone
    return folder

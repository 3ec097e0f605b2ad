"""Reports that began with earlier code must go on with the present code.

If a history no longer replays, the change would break the reports in progress: patch
the Workflow (`workflow.patched`), and record a history of the new shape beside the old one.
"""

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import RECORDED_LIMIT
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from beyond.payloads import DATA_CONVERTER
from models import WORKFLOW_ID_PREFIX
from workflow import GenerateReportWorkflow

HISTORIES = sorted(Path(__file__).with_name("histories").glob("*.json"))


def test_every_shape_of_a_report_has_a_recorded_history() -> None:
    assert {path.stem for path in HISTORIES} >= {
        "keep",
        "edits",
        "refused_edit",
        "stale_keep",
        "continue_as_new",
        "continued",
        "pdf_retry",
        "undo",
        "replaced_topic",
        "wrong_input",
        "correct",
        "stop",
    }


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_recorded_report_replays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if path.stem == "continue_as_new":
        monkeypatch.setattr("beyond.event_history.CONTINUE_AFTER", RECORDED_LIMIT)
    history = WorkflowHistory.from_json(WORKFLOW_ID_PREFIX + path.stem, path.read_text())
    replayer = Replayer(workflows=[GenerateReportWorkflow], data_converter=DATA_CONVERTER)
    asyncio.run(replayer.replay_workflow(history))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_recorded_history_does_not_name_its_machine(path: Path) -> None:
    fields = list(fields_of(json.loads(path.read_text())))
    assert {value for key, value in fields if key == "identity"} == {"recorder"}
    assert "stackTrace" not in {key for key, _ in fields}
    for key, value in fields:
        text = base64.b64decode(value).decode() if key == "data" else str(value)
        assert not re.search(r"\d@|sk-|/home/|/root/|/tmp/", text)


def fields_of(value: Any) -> Iterator[tuple[str, Any]]:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            yield from fields_of(item)
        else:
            yield str(key), item

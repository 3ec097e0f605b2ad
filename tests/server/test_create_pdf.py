"""The Activity create_pdf on a real disk."""

from dataclasses import replace
from pathlib import Path

import pytest
from loopback_llm import LoopbackLLM
from pypdf import PdfReader
from support import RESULT, attempts_of, edit, keep, start_report, status_when, waiting
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities import create_pdf
from models import PDFGenerationInput, Phase
from workflow import GenerateReportWorkflow

NAME = "research_pdf.pdf"


def in_workflow(workflow_id: str) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=workflow_id)
    return environment


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "reports"
    monkeypatch.setenv("REPORTS_DIR", str(folder))
    return folder


def test_create_pdf_writes_the_text_to_a_file(reports: Path) -> None:
    assert create_pdf(PDFGenerationInput("# Bees")) == NAME
    assert "Bees" in PdfReader(reports / NAME).pages[0].extract_text()


def test_a_retry_returns_the_file_of_the_first_attempt(reports: Path) -> None:
    environment = in_workflow("report-1")
    report = PDFGenerationInput("# Bees", topic="bees")
    assert environment.run(create_pdf, report) == NAME
    assert environment.run(create_pdf, report) == NAME
    assert files_in(reports) == {NAME}


def test_equal_texts_of_two_reports_get_two_files(reports: Path) -> None:
    report = PDFGenerationInput("# Bees")
    names = {in_workflow(f"report-{n}").run(create_pdf, report) for n in range(2)}
    assert names == files_in(reports)
    assert len(names) == 2


async def test_the_status_shows_a_disk_error_and_the_report_finishes_once_it_is_fixed(
    client: Client,
    llm: LoopbackLLM,
    task_queue: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("REPORTS_DIR", str(in_the_way))
    report = await start_report(client, "bees", task_queue)
    await waiting(report, draft=1)
    await keep(report)
    status = await status_when(report, lambda s: bool(s.error))
    assert status.phase == Phase.CREATING_PDF
    assert status.error == (
        f"The PDF was not created: the report cannot be written to {in_the_way}: File exists."
    )
    await edit(report, "shorter")
    too_late = "The EDIT did not count: draft 1 was already approved."
    await status_when(report, lambda s: s.error == f"{status.error} {too_late}")
    in_the_way.unlink()
    assert await report.result() == RESULT
    assert files_in(in_the_way) == {NAME}
    assert (await report.query(GenerateReportWorkflow.get_report_status)).error == too_late
    assert len(llm.calls) == 1
    draft, at_first, _ = await attempts_of(report)
    assert (draft, at_first) == (1, 3)  # so often before it is an error for the person

"""Which name a finished PDF gets, and that it is complete and overwrites no other file."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
from temporalio.exceptions import ApplicationError

from activities import create_pdf
from beyond.llm.settings import get_model
from beyond.paper import find_paper
from beyond.process import RESTART
from beyond.reports_dir import (
    NAME_LIMIT,
    PATH_LIMIT,
    BadNameError,
    ReportsDirError,
    place_report,
)
from models import WORKFLOW_ID_PREFIX, PDFGenerationInput

NAME = "research_pdf.pdf"
OWN = "1a2b3c4d-0000-4000-8000-000000000000"
REPORT = f"{WORKFLOW_ID_PREFIX}{OWN}"


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "reports"
    monkeypatch.setenv("REPORTS_DIR", str(folder))
    return folder


def refuse_link(*_: object) -> NoReturn:
    """What SMB, FAT and the volumes of some containers answer to a hard link."""
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_without_hard_links_a_report_is_placed_and_nothing_is_overwritten(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse_link)
    names = [place_report(text, NAME, REPORT) for text in (b"theirs", b"ours", b"ours")]
    assert names == [NAME, "research_pdf-1a2b3c4d.pdf", "research_pdf-1a2b3c4d.pdf"]
    (reports / f"research_pdf-{OWN}.pdf").symlink_to("nowhere")
    with pytest.raises(ReportsDirError, match="other files have the names"):
        place_report(b"3", NAME, REPORT)
    assert [(reports / name).read_bytes() for name in names[:2]] == [b"theirs", b"ours"]
    assert len(list(reports.iterdir())) == 3


def test_a_taken_name_gets_the_reports_own_part_added(reports: Path) -> None:
    assert place_report(b"theirs", NAME, "") == NAME
    names = [place_report(text, NAME, REPORT) for text in (b"1", b"2")]
    assert names == ["research_pdf-1a2b3c4d.pdf", f"research_pdf-{OWN}.pdf"]
    assert [(reports / name).read_bytes() for name in (NAME, *names)] == [b"theirs", b"1", b"2"]
    with pytest.raises(ReportsDirError, match="other files have the names"):
        place_report(b"3", NAME, REPORT)
    assert len(list(reports.iterdir())) == 3


def test_a_file_with_the_same_bytes_counts_as_the_reports_own() -> None:
    place_report(b"theirs", NAME, "")
    for _ in range(2):
        assert place_report(b"ours", NAME, REPORT) == "research_pdf-1a2b3c4d.pdf"
    assert place_report(b"theirs", NAME, "") == NAME


def test_outside_a_worker_each_text_gets_its_own_name() -> None:
    names = [place_report(text, NAME, "") for text in (b"1", b"2", b"3", b"2")]
    assert len(set(names)) == 3
    assert names[1] == names[3]


@pytest.mark.parametrize("workflow_id", ["a/../b", "é" * 300, "\0", "x" * 1000])
def test_any_workflow_id_makes_a_name_that_a_file_can_have(workflow_id: str, reports: Path) -> None:
    name = f"{'n' * (NAME_LIMIT - 4)}.pdf"
    names = {place_report(text, name, workflow_id) for text in (b"1", b"2")}
    assert len(names) == len(list(reports.iterdir())) == 2


def test_neither_a_folder_nor_a_link_is_overwritten(reports: Path) -> None:
    (reports / NAME).mkdir(parents=True)
    (reports / "research_pdf-1a2b3c4d.pdf").symlink_to("nowhere")
    assert place_report(b"ours", NAME, REPORT) == f"research_pdf-{OWN}.pdf"


def test_a_file_gets_its_name_only_when_it_is_complete_and_on_the_disk(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Path]] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(list(reports.iterdir())))
    place_report(b"ours", NAME, REPORT)
    [[temporary]] = seen
    assert temporary.suffix == ".tmp"
    assert list(reports.iterdir()) == [reports / NAME]


@pytest.mark.parametrize("has_links", [True, False])
def test_200_reports_at_once_are_200_files(
    has_links: bool, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", refuse_link)
    with ThreadPoolExecutor(20) as threads:
        names = threads.map(lambda n: place_report(b"%d" % n, NAME, f"{n:08}"), range(200))
        placed = dict(enumerate(names))
    assert {number: (reports / name).read_bytes() for number, name in placed.items()} == {
        number: b"%d" % number for number in range(200)
    }
    assert len(list(reports.iterdir())) == 200


def test_the_folder_may_be_the_working_directory_or_below_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REPORTS_DIR")
    place_report(b"ours", NAME, REPORT)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REPORTS_DIR", "~/a/b")
    place_report(b"ours", NAME, REPORT)
    assert (tmp_path / NAME).exists()
    assert (tmp_path / "a" / "b" / NAME).exists()


def test_a_filename_with_folders_is_written_into_them(reports: Path, tmp_path: Path) -> None:
    for filename in ("2026/bees.pdf", str(tmp_path / "elsewhere" / "bees.pdf")):
        assert place_report(b"ours", filename, REPORT) == filename
        assert (reports / filename).read_bytes() == b"ours"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a\0b.pdf", "x" * (NAME_LIMIT + 1), "x" * 300 + ".pdf", "蜂" * 100 + ".pdf"],
    ids=lambda name: repr(name[:9]),
)
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(BadNameError, match="cannot be the name of a report") as error:
        place_report(b"ours", name, REPORT)
    assert len(str(error.value)) < 2 * PATH_LIMIT


# Errors of the disk.


def disk_error() -> str:
    with pytest.raises(ReportsDirError) as error:
        place_report(b"ours", NAME, REPORT)
    assert "Errno" not in str(error.value)
    assert len(str(error.value)) < 400
    return str(error.value)


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("file/reports", "{to}: Not a directory"),
        ("/proc/nope", "{to}: No such file or directory"),
        ("x" * 300, f"{{to}}…: the path is too long; set a shorter REPORTS_DIR and {RESTART}"),
        (
            "circle/reports",
            f"{{to}}: its symbolic links lead in a circle; set another REPORTS_DIR and {RESTART}",
        ),
        (
            "~nobody-at-all/reports",
            "REPORTS_DIR=~nobody-at-all/reports names a home directory that does not exist; "
            "set the whole path and run the command again",
        ),
    ],
    ids=lambda value: value[:15],
)
def test_a_folder_that_cannot_be_written_to_is_reported_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, told: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    path = folder if folder[0] == "~" else str(tmp_path / folder)
    monkeypatch.setenv("REPORTS_DIR", path)
    shown = path[:PATH_LIMIT] if "…" in told else path
    assert disk_error() == told.format(to=f"the report cannot be written to {shown}")


def test_a_working_directory_that_is_gone_asks_for_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.delenv("REPORTS_DIR")
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        assert disk_error() == (
            "the report cannot be written to .: "
            f"the working directory is gone; change to another one and {RESTART}"
        )
    finally:
        os.chdir(tmp_path)


@pytest.mark.parametrize("mark", ['"', "'"])
def test_the_quotation_marks_of_a_docker_env_file_are_taken_off(
    mark: str, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTS_DIR", f"{mark}{reports}{mark}")
    monkeypatch.setenv("PAPER", f"{mark}a4{mark}")
    monkeypatch.setenv("LLM_MODEL", f"{mark}offline/demo{mark}")
    place_report(b"ours", NAME, REPORT)
    assert (reports / NAME).exists()
    assert find_paper() == "a4"
    assert get_model() == "offline/demo"


def test_create_pdf_is_retried_unless_no_file_can_have_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ApplicationError, match="cannot be the name of a report") as error:
        create_pdf(PDFGenerationInput("bees", filename=".."))
    assert error.value.non_retryable
    (tmp_path / "file").touch()
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path / "file" / "reports"))
    with pytest.raises(ApplicationError, match="cannot be written to") as error:
        create_pdf(PDFGenerationInput("bees"))
    assert not error.value.non_retryable

"""What may import what, and what no process has to load."""

import ast
import subprocess
import sys

import pytest
from machine import PROJECT

FIVE = {"models", "workflow", "activities", "worker", "starter"}


def test_nothing_beyond_the_tutorial_imports_one_of_its_files_but_models() -> None:
    for module in PROJECT.glob("beyond/**/*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not (FIVE - {"models"}) & {name.partition(".")[0] for name in names}, module


def test_a_report_knows_no_temporal() -> None:
    for module in PROJECT.glob("beyond/report/*.py"):
        assert "import temporalio" not in module.read_text(), module
        assert "from temporalio" not in module.read_text(), module


def test_collecting_the_tests_of_pages_loads_nothing_of_temporals() -> None:
    """They run on a machine without the Temporal CLI."""
    options = ["-s", "-n", "0", "--collect-only", "tests/pdf"]
    command = [sys.executable, "-X", "importtime", "-m", "pytest", *options]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "beyond.pdf" in done.stderr
    assert "temporalio" not in done.stderr


def test_beyond_itself_is_empty() -> None:
    assert not (PROJECT / "beyond" / "__init__.py").read_text()


@pytest.mark.parametrize("module", ["workflow", "starter", "worker"])
def test_importing_a_module_loads_neither_litellm_nor_reportlab(module: str) -> None:
    code = f"import {module}, sys; print(sorted({{'litellm', 'reportlab'}} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

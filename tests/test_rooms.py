"""Which modules may import which, and what no process may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from machine import PROJECT, run_python

FIVE = {"models", "workflow", "activities", "worker", "starter"}


# To use only the typesetter, copy these two folders and two modules.
TYPESETTER = ("beyond.markdown", "beyond.pdf", "beyond.printable", "beyond.paper")


def find_imports(module: Path) -> set[str]:
    """The names of the modules that a module imports, with what it takes from each.

    Fails on a relative import, whose name does not say in which room it is.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, module
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def is_in_typesetter(name: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in TYPESETTER)


def test_beyond_imports_only_models_of_the_five_files() -> None:
    for module in PROJECT.glob("beyond/**/*.py"):
        roots = {name.partition(".")[0] for name in find_imports(module)}
        assert not (FIVE - {"models"}) & roots, module


def test_the_typesetter_imports_only_itself() -> None:
    modules = [PROJECT / "beyond" / "printable.py", PROJECT / "beyond" / "paper.py"]
    modules += [*PROJECT.glob("beyond/markdown/*.py"), *PROJECT.glob("beyond/pdf/*.py")]
    assert len(modules) > 12
    for module in modules:
        ours = {name for name in find_imports(module) if name.split(".")[0] in {"beyond", *FIVE}}
        assert [name for name in ours if not is_in_typesetter(name)] == [], module


def test_a_module_named_like_a_room_is_not_in_it() -> None:
    assert is_in_typesetter("beyond.pdf") and is_in_typesetter("beyond.pdf.compose.make_runs")
    assert not is_in_typesetter("beyond.pdf_process.main")


def test_relative_imports_are_refused(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("from . import compose")
    with pytest.raises(AssertionError):
        find_imports(module)


def test_report_modules_do_not_import_temporalio() -> None:
    for module in PROJECT.glob("beyond/report/*.py"):
        assert "import temporalio" not in module.read_text(), module
        assert "from temporalio" not in module.read_text(), module


def test_collecting_the_pdf_tests_does_not_import_temporalio() -> None:
    """These tests also run on a machine without the Temporal CLI."""
    options = ["-s", "-n", "0", "--collect-only", "tests/pdf"]
    command = [sys.executable, "-X", "importtime", "-m", "pytest", *options]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "beyond.pdf" in done.stderr
    assert "temporalio" not in done.stderr


def test_the_init_of_beyond_is_empty() -> None:
    assert not (PROJECT / "beyond" / "__init__.py").read_text()


@pytest.mark.parametrize("module", ["workflow", "starter", "worker"])
def test_importing_a_module_loads_neither_litellm_nor_reportlab(module: str) -> None:
    code = f"import {module}, sys; print(sorted({{'litellm', 'reportlab'}} & set(sys.modules)))"
    assert run_python(code) == "[]\n"

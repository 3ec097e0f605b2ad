"""Regexes and the code that uses them take linear time for any text of a model or provider.

For four times the text, four times the time is allowed, but not sixteen times. Only CPU time
counts, and a slow result is measured again, because the machine may be busy.
"""

import ast
import importlib
import math
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from beyond.llm.quotes import quote_provider
from beyond.llm.thoughts import END_LENGTH, split_thoughts
from beyond.markdown import get_words, read
from beyond.markdown.parser import PARAGRAPH_LIMIT
from beyond.pdf import render
from beyond.pdf.formulas import set_formula
from beyond.pdf.pieces import PORTION
from beyond.terminal.markdown import set_markdown

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [*sorted(ROOT.glob("*.py")), *sorted(ROOT.glob("beyond/**/*.py"))]
GROWTH = 10  # times as long for four times the text: between linear and quadratic
PARTS = 6  # tests that share the regexes and the kinds of text, as each test has a time limit
CAP = 5.0  # seconds of CPU, after which a call is stopped
# The most characters that a pattern gets, if the code cuts its text first.
CUT = {
    "beyond.llm.thoughts.END_TOKENS.0": END_LENGTH,
    **{f"beyond.pdf.pieces.{name}.0": PORTION for name in ("PIECE", "HYPHENS")},
    "beyond.pdf.parts.RUNS.0": PORTION,
}


class TooSlow(BaseException):
    """Stops a call, even within a regex. It is not an Exception, so the code does not catch it."""


@contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def measure(call: Callable[[str], object], text: str) -> float:
    """The seconds of CPU that a call takes; infinity beyond the cap."""
    started = time.thread_time()
    try:
        with stopped_after(CAP):
            call(text)
    except TooSlow:
        return math.inf
    return time.thread_time() - started


def grows(call: Callable[[str], object], make: Callable[[int], str], size: int) -> bool:
    """Whether the time grows faster than the text in each of three measurements."""
    for _ in range(3):
        some, more = measure(call, make(size)), measure(call, make(4 * size))
        if more < GROWTH * some and more < CAP:
            return False
    return True


# The regexes.


def is_of_re(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
    )


def find_patterns() -> dict[str, tuple[re.Pattern[str], set[str]]]:
    """Every regex of the code by its name, with the names of the methods that use it."""
    patterns: dict[str, tuple[re.Pattern[str], set[str]]] = {}
    names: dict[re.Pattern[str], str] = {}  # because several modules may import one
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used: dict[str, set[str]] = {}
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id=variable), attr=method):
                    used.setdefault(variable, set()).add(method)
        for variable, value in vars(importlib.import_module(module)).items():
            for number, pattern in enumerate(walk(value)):
                name = names.setdefault(pattern, f"{module}.{variable}.{number}")
                patterns.setdefault(name, (pattern, set()))[1].update(used.get(variable, ()))
        for node in filter(is_of_re, ast.walk(tree)):
            assert isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if not isinstance(node.args[0], ast.Constant) or node.func.attr == "compile":
                continue
            attributes = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
            flags = sum(getattr(re, flag) for flag in attributes if flag.isupper())
            pattern = re.compile(str(node.args[0].value), flags)
            patterns[f"{module}:{node.lineno}"] = pattern, {node.func.attr}
    return patterns


def walk(value: Any) -> Iterator[re.Pattern[str]]:
    """The regexes in a value of a module."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list | set | frozenset):
        for part in value:
            yield from walk(part)
    elif isinstance(value, dict):
        yield from walk([*value, *value.values()])


def make_call(pattern: re.Pattern[str], methods: set[str]) -> Callable[[str], object]:
    """A call that uses a regex as the code does: on a whole text, or only at its beginning."""
    if methods and methods <= {"match", "fullmatch"}:
        return lambda text: (pattern.match(text), pattern.fullmatch(text))
    return lambda text: sum(1 for _ in pattern.finditer(text))


def make_feeds(source: str) -> Iterator[tuple[str, str, str]]:
    """Texts that a regex may find hard: how each begins, what it repeats, how it ends."""
    plain = re.sub(
        r"\(\?[:=!>]|\(\?<[=!]|\(\?P<\w+>|\\[bswdSWDAZ]|\{\d*,?\d*\}|[?+*]\??", " ", source
    )
    runs = re.findall(r"(?:\\.|[^\s\\()\[\]|{}.^$]){2,}", plain)
    runs = sorted({re.sub(r"\\(.)", r"\1", run) for run in runs}, key=len, reverse=True)[:4]
    signs = sorted({c for c in source if not c.isalnum() and c.isprintable()} - set(" ?:"))[:12]
    atoms = ["a", "1", " ", "\n", *signs, *runs]
    starts = ["", "$", *runs]
    for start, atom, end in product(starts, atoms, ["\0", "`"]):
        yield start, atom, end
        yield start, f" {atom}a\n", end
        yield start, f"{atom}a ", end
    for start, first, second in product(starts[:3], atoms[:12], atoms):
        yield start, first + second, "\0"


def find_slow_feeds(name: str, pattern: re.Pattern[str], methods: set[str]) -> Iterator[str]:
    call = make_call(pattern, methods)
    for start, atom, end in make_feeds(pattern.pattern):

        def make(size: int, start: str = start, atom: str = atom, end: str = end) -> str:
            return (start + atom * (size // len(atom)))[: CUT.get(name, size)] + end

        quick = measure(call, make(1_000)) < 0.001  # seconds: its square takes some 5 ms
        if not quick and grows(call, make, 6_000):
            yield f"{name}: {start!r} + {atom!r} * n + {end!r}"
            return


@pytest.mark.parametrize("part", range(PARTS))
def test_regexes_run_in_linear_time(part: int) -> None:
    patterns = find_patterns()
    assert len(patterns) > 100
    slow = [
        feed
        for name, (pattern, methods) in [*patterns.items()][part::PARTS]
        for feed in find_slow_feeds(name, pattern, methods)
    ]
    assert slow == []


# The code that uses them. Each kind of text has a beginning, a part that it repeats, and an end.

KINDS = {
    "front matter": ("---\n", "    - a\n", "x"),
    "front matter with tags": ("---\n", "tag: x\n", "a key: x\n---\n"),
    "words": ("", "word and ", ""),
    "one word": ("", "x", ""),
    "spaces": ("x", " ", "x"),
    "lines": ("", "Key: a value\n", ""),
    "paragraphs": ("", "A word.\n\n", ""),
    "headings": ("", "# A\n\n", ""),
    "hashes": ("# ", "# ", "x"),
    "list": ("", "- a\n", ""),
    "nested lists": ("", "- ", "a"),
    "nested quotes": ("", "> ", "a"),
    "definitions": ("", "a\n: b\n\n", ""),
    "fences": ("", "```\n", ""),
    "fences of Markdown": ("", "```md\n", ""),
    "fence with spaces": ("```", " a", " `"),
    "ticks": ("", "`a ``b ", ""),
    "tables": ("", "|a|\n|-|\n|b|\n\n", ""),
    "rows": ("| a | b |\n|---|---|\n", "| c | d |\n", ""),
    "cells": ("", "| a ", "|\n"),
    "delimiters": ("a|b\n|", "-|", " x"),
    "delimiters with spaces": ("a|b\n", " ", "x-"),
    "formulas": ("", "$x_1$ ", ""),
    "displayed formulas": ("", "$$x^2$$\n\n", ""),
    "prices": ("", "$5 and ", ""),
    "dollars": ("", "$a ", ""),
    "dollar in a row": ("| $", "(a)", " |"),
    "round formula": ("", "\\(", ""),
    "environments": ("", "\\begin{align}", ""),
    "price": ("$", "1", "=$"),
    "nested formula": ("$", "x^{", "}$"),
    "italics": ("", "*a ", ""),
    "bold": ("", "a **b** ", ""),
    "orphaned bold": ("", "a ** ", ""),
    "struck": ("", "~~a ", ""),
    "links": ("", "[a](b) ", ""),
    "brackets": ("", "[a](", ""),
    "references": ("", "[a]: b\n", ""),
    "addresses": ("", "https://a.b/c ", ""),
    "tags": ("", "<b>a</b> ", ""),
    "comments": ("<div>\n", "<!--", ""),
    "declarations": ("<div>\n", "<!", ""),
    "blocks of HTML": ("", "<div>a</div>\n\n", ""),
    "table of HTML": ("<table>", "<tr><td>a</td></tr>", "</table>"),
    "wide cells": ("<table><tr>", "<td colspan=99>a", ""),
    "row of HTML": ("<table>", "<tr", ""),
    "code of HTML": ("<div>\n", "<pre", ""),
    "citations": ("", "[1] ", "\n\n1. [a](b)"),
    "entries": ("", "[1] a\n", ""),
    "marks of citations": ("", "\ue200cite", ""),
    "footnotes": ("", "[^1] ", "\n\n[^1]: a"),
    "emoji": ("", "😀 *a* ", ""),
    "spaces and an emoji": ("x", " ", "😀x"),
    "pictures": ("", "(data:image/a,<svg", ""),
    "badge": ("![a](", "//", ")"),
    "thoughts": ("", "<think>\n", ""),
    "ends of thoughts": ("", "a.</think> ", ""),
    "end tokens": ("", "</s> ", "x"),
    "open parentheses": ("x ", "(", "x"),
    "Chinese": ("", "蜂", ""),
    "Arabic": ("", "نحل ", ""),
    "objects": ("", "<a.B object at 0x1", ""),
    "error in errors": ("", "litellm.APIError: ", "x"),
    "title": ("<html>", "<title", ""),
    "JSON": ("", '{"error":', ""),
    "quota": ("", "insufficient_", ""),
}
WHOLES = {
    read: 2_000,
    set_markdown: 1_000,
    render: 700,
    split_thoughts: 4_000,
    quote_provider: 4_000,
}


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("call", WHOLES, ids=lambda call: str(call.__name__))
def test_texts_are_processed_in_linear_time(call: Callable[[str], object], part: int) -> None:
    call("What is loaded once: *a*, $x^2$, 蜂, 😀.")
    slow = []
    for kind, (start, middle, end) in [*KINDS.items()][part::PARTS]:

        def make(size: int, s: str = start, m: str = middle, e: str = end) -> str:
            return s + m * (size // len(m)) + e

        if measure(call, make(WHOLES[call])) > 0.02 and grows(call, make, WHOLES[call]):
            slow.append(kind)
    assert slow == []


# Text that would take too long to parse or typeset is shown as source.


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("x^{", "}"), (r"\frac{1}{", "}"), (r"\left(", r"\right)"), ("{", "}")],
)
def test_formulas_nested_too_deeply_stay_latex(opening: str, closing: str) -> None:
    assert set_formula(f"${opening * 3}x{closing * 3}$", 10, displayed=False)
    deep = f"${opening * 30}x{closing * 30}$"
    assert measure(lambda tex: set_formula(tex, 10, displayed=False), deep) < 0.1
    assert set_formula(deep, 10, displayed=False) is None


@pytest.mark.parametrize("mark", ["# ", "", "|a|\n|-|\n|"])
def test_a_block_beyond_the_limit_keeps_its_words(mark: str) -> None:
    words = "word " * (PARAGRAPH_LIMIT // 5 + 10)
    tokens = read(f"{mark}{words}").tokens
    shown = " ".join(get_words(t) if t.type == "inline" else t.content for t in tokens)
    assert shown.count("word") == words.count("word")


def test_a_nearly_empty_table_becomes_code() -> None:
    wide = "| a " * 200 + "|\n" + "|-" * 200 + "|\n" + "| b |\n" * 200
    assert [token.type for token in read(wide).tokens] == ["fence"]
    cells = "<tr>" + "<td>a</td>" * 200 + "</tr>" + "<tr><td>b</td></tr>" * 200
    assert not any(token.type == "td_open" for token in read(f"<table>{cells}</table>").tokens)


def test_a_source_with_a_huge_number_is_kept_as_text() -> None:
    entry = f"[{'1' * 5_000}] A book"
    assert entry in " ".join(map(get_words, read(entry).tokens))

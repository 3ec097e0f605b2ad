"""Reads the pages of a PDF for its tests."""

import io
import re
from pathlib import Path
from typing import Any

from pypdf import PdfReader

from beyond import pdf


def load(case: str) -> str:
    """The text of a draft in `pdf_cases`."""
    path = Path(__file__).parent / "pdf" / "pdf_cases" / f"{case}.md"
    return path.read_text(encoding="utf-8")


def read(markdown: str, **names: Any) -> PdfReader:
    """A draft as a rendered report. `names` are the other arguments of `pdf.render`."""
    return PdfReader(io.BytesIO(pdf.render(markdown, **names)))


def texts(markdown: str) -> list[str]:
    """The text of each page without its page number."""
    pages = (page.extract_text() for page in read(markdown).pages)
    return [re.sub(r"\d+ /\s*\d+$", "", page).strip() for page in pages]


def text_of(markdown: str) -> str:
    """The words of a report's body, without its kicker and page numbers."""
    return "\n".join(texts(markdown)).removeprefix("Research Report").strip()


def notes_of(page: Any) -> list[Any]:
    """The annotations of a page."""
    return [note.get_object() for note in page.get("/Annots", [])]


def pieces(page: Any) -> list[tuple[str, float, float, float]]:
    """The stretches of text on a page: text, x, y and size, in points."""
    found: list[tuple[str, float, float, float]] = []

    def visit(text: str, cm: list[float], tm: list[float], font: Any, size: float) -> None:
        if text.strip():
            found.append((text.strip(), cm[4] + tm[4], cm[5] + tm[5], size))

    page.extract_text(visitor_text=visit)
    return found


def place(markdown: str, text: str) -> tuple[float, float, float]:
    """The place of a text on the first page, and its size, in points."""
    return next(piece[1:] for piece in pieces(read(markdown).pages[0]) if piece[0] == text)


def find(element: Any, kind: str) -> list[Any]:
    """The elements of a kind in an element and below it."""
    inside = [kid.get_object() for kid in element.get("/K", ())]
    found = [one for kid in inside if "/S" in kid for one in find(kid, kind)]
    return [element, *found] if element.get("/S") == f"/{kind}" else found

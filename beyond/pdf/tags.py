"""Tags a PDF for those who do not see its pages, as PDF/UA-1 requires.

ReportLab has no tags. The module relies on its internals: a canvas has its document in `_doc`, and
adds links with `_addAnnotation` and `_bookmarkReference`; whatever is in an object's `__Defaults__`
is written with it; a document has its pages in `Pages.pages` and `thisPageName`; a text object has
its operators in `_code`. tests/pdf/test_pdf_tags.py tests these.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, NamedTuple

from reportlab.pdfbase import pdfdoc


class Content(NamedTuple):
    """What is painted on a page."""

    page: str  # its name in ReportLab's document
    number: int  # among the page's content

    def format(self, document: Any) -> str:
        """Return it in PDF's syntax."""
        return f"<</Type/MCR/Pg {_refer_by_name(document, self.page)}/MCID {self.number}>>"


class Annotation(NamedTuple):
    """An area of a page that is a link. Both fields are names in ReportLab's document."""

    page: str
    name: str

    def format(self, document: Any) -> str:
        """Return it in PDF's syntax."""
        page, link = (_refer_by_name(document, name) for name in self)
        return f"<</Type/OBJR/Pg {page}/Obj {link}>>"


class Element(pdfdoc.PDFObject):  # type: ignore[misc]
    """An element of the document's structure.

    `kind` is a standard type of ISO 32000-1, 14.8.4. `entries` are further entries of its
    dictionary, as PDF writes them. `name` is unique in the document.
    """

    def __init__(
        self, kind: str, parent: "Element | None" = None, entries: str = "", name: str = ""
    ) -> None:
        self.kind, self.parent, self.entries, self.name = kind, parent, entries, name
        self.kids: list[Element | Content | Annotation] = []
        self.alt = ""  # what is read aloud in place of what is painted

    def add(self, kind: str, entries: str = "", name: str = "") -> "Element":
        """Append a new child, and return it."""
        child = Element(kind, self, entries, name)
        self.kids.append(child)
        return child

    def format(self, document: Any) -> bytes:
        """Return the element in PDF's syntax. ReportLab calls this."""
        kids = [
            _refer(document, kid) if isinstance(kid, Element) else kid.format(document)
            for kid in self.kids
        ]
        parent = self.parent or document.Catalog.StructTreeRoot
        name = f"/ID({self.name})" if self.name else ""
        head = f"<</Type/StructElem/S/{self.kind}/P {_refer(document, parent)}{self.entries}{name}"
        alt = b"/Alt " + pdfdoc.PDFString(self.alt).format(document) if self.alt else b""
        return head.encode() + alt + f"/K[{' '.join(kids)}]>>".encode()

    def find_named(self) -> Iterator[tuple[str, "Element"]]:
        """The elements in it that have names, each with its name in PDF's syntax."""
        for kid in self.kids:
            if isinstance(kid, Element):
                yield from kid.find_named()
        if self.name:
            yield f"({self.name})", self


def _refer(document: Any, item: Any) -> str:
    reference: bytes = document.Reference(item).format(document)
    return reference.decode()


def _refer_by_name(document: Any, name: str) -> str:
    reference: bytes = pdfdoc.PDFObjectReference(name).format(document)
    return reference.decode()


class _Tree(pdfdoc.PDFObject):  # type: ignore[misc]
    """Finds elements by the number of their page or link, or by name."""

    def __init__(self, kind: str, find: Callable[[], Iterable[tuple[Any, Any]]]) -> None:
        self.kind, self.find = kind, find

    def format(self, document: Any) -> bytes:
        entries = []
        for key, found in self.find():
            if isinstance(found, Element):
                entries.append(f"{key} {_refer(document, found)}")
            else:
                entries.append(f"{key} [{' '.join(_refer(document, one) for one in found)}]")
        return f"<</{self.kind}[{' '.join(entries)}]>>".encode()


class Tags:
    """Ties what a canvas paints to the elements of a structure."""

    def __init__(self, canvas: Any, root: Element) -> None:
        self.canvas = canvas
        self.anchors: dict[str, int] = {}  # the page of each place that has a name
        self.wanted: set[str] = set()  # the names to which links lead
        self.entries: list[Any] = []  # of the table of contents
        self.parents: list[list[Element] | Element] = []  # of each page, and of each link
        self.page: list[Element] | None = None  # of the page, by the numbers of their content
        self.key = 0  # the page's index in `parents`
        canvas.setPageCallBack(self._end_page)
        tree = {
            **{"Type": "/StructTreeRoot", "K": root},
            "ParentTree": _Tree("Nums", lambda: enumerate(self.parents)),
            "IDTree": _Tree("Names", lambda: sorted(root.find_named(), key=itemgetter(0))),
        }
        tree = {key: canvas._doc.Reference(item) for key, item in tree.items()}
        canvas.setCatalogEntry("StructTreeRoot", tree)
        canvas.setCatalogEntry("MarkInfo", {"Marked": "true"})

    @contextmanager
    def mark(self, element: Element | None, language: str = "") -> Iterator[None]:
        """Tag what the block paints as content of an element, or as decoration if that is None.

        `language` is the content's language tag, if it is not the document's.
        """
        if element is None:
            self.canvas.addLiteral("/Artifact BMC")
        else:
            if self.page is None:
                self.page = []
                self.parents.append(self.page)
                self.key = len(self.parents) - 1
            element.kids.append(Content(self.canvas._doc.thisPageName(), len(self.page)))
            lang = f"/Lang({language})" if language else ""
            self.canvas.addLiteral(f"/{element.kind}<</MCID {len(self.page)}{lang}>>BDC")
            self.page.append(element)
        yield
        self.canvas.addLiteral("EMC")

    def add_link(self, element: Element, area: tuple[float, ...], target: str, text: str) -> None:
        """Make an area of the page a link.

        `area` is the left, bottom, right and top of a rectangle in points, in the canvas's present
        coordinates. `target` is an address, or "#" and the name of a place. `text` is read aloud.
        """
        x0, y0, x1, y1 = area
        corners = [*self.canvas.absolutePosition(x0, y0), *self.canvas.absolutePosition(x1, y1)]
        about = {
            **{"Type": "/Annot", "Subtype": "/Link", "F": 4, "Border": "[0 0 0]"},
            **{"Rect": pdfdoc.PDFArray(corners), "StructParent": len(self.parents)},
            "Contents": pdfdoc.PDFString(text.strip() or target),
        }
        if target.startswith("#"):
            self.wanted.add(target[1:])
            about["Dest"] = self.canvas._bookmarkReference(target[1:])
        else:
            about["A"] = pdfdoc.PDFDictionary({"S": "/URI", "URI": pdfdoc.PDFString(target)})
        name = f"link {len(self.parents)}"
        self.canvas._addAnnotation(pdfdoc.PDFDictionary(about), name)
        document = self.canvas._doc
        element.kids.append(Annotation(document.thisPageName(), document.annotationName(name)))
        self.parents.append(element)

    def _end_page(self, _: int) -> None:
        page = self.canvas._doc.Pages.pages[-1]
        if self.page is not None:
            page.__Defaults__ = {**page.__Defaults__, "StructParents": self.key, "Tabs": "/S"}
        self.page = None


def paint_as(text: Any, shown: str, actual: str) -> None:
    """Paint glyphs in a text object, and give the text that is found and copied in their place."""
    text._code.append(f"/Span<</ActualText<feff{actual.encode('utf-16-be').hex()}>>>BDC")
    text.textOut(shown)
    text._code.append("EMC")

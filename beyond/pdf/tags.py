"""What a PDF says to those who do not see its pages: PDF/UA-1.

ReportLab has no tags. What this module relies on inside it: a canvas has its document in `_doc`,
adds links with `_addAnnotation` and `_bookmarkReference`, and whatever is in an object's
`__Defaults__` is written with it; a document has its pages in `Pages.pages` and `thisPageName`; a
text object has its operators in `_code`. tests/pdf/test_pdf_tags.py holds these.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

from reportlab.pdfbase import pdfdoc


class Element(pdfdoc.PDFObject):  # type: ignore[misc]
    """A part of the structure. `kind` is a standard type of ISO 32000-1, 14.8.4."""

    def __init__(
        self, kind: str, parent: "Element | None" = None, entries: str = "", name: str = ""
    ) -> None:
        self.kind, self.parent, self.entries, self.name = kind, parent, entries, name
        self.kids: list[Element | str] = []
        self.alt = ""  # what is read in place of what is painted

    def add(self, kind: str, entries: str = "", name: str = "") -> "Element":
        """A new last child. No other element has its name."""
        child = Element(kind, self, entries, name)
        self.kids.append(child)
        return child

    def format(self, document: Any) -> bytes:
        """Write the element, as ReportLab asks for it; pages are named as it names them."""
        kids = [
            _refer(document, kid) if isinstance(kid, Element) else _resolve(document, kid)
            for kid in self.kids
        ]
        parent = self.parent or document.Catalog.StructTreeRoot
        name = f"/ID({self.name})" if self.name else ""
        head = f"<</Type/StructElem/S/{self.kind}/P {_refer(document, parent)}{self.entries}{name}"
        alt = b"/Alt " + pdfdoc.PDFString(self.alt).format(document) if self.alt else b""
        return head.encode() + alt + f"/K[{' '.join(kids)}]>>".encode()

    def find_named(self) -> Iterator[tuple[str, "Element"]]:
        """The elements in it that have names, with these."""
        for kid in self.kids:
            if isinstance(kid, Element):
                yield from kid.find_named()
        if self.name:
            yield f"({self.name})", self


def _refer(document: Any, item: Any) -> str:
    reference: bytes = document.Reference(item).format(document)
    return reference.decode()


def _resolve(document: Any, kid: str) -> str:
    page, rest = kid.split("|", 1)
    number = pdfdoc.PDFObjectReference(page).format(document).decode()
    if rest.isdecimal():
        return f"<</Type/MCR/Pg {number}/MCID {rest}>>"
    link = pdfdoc.PDFObjectReference(rest).format(document).decode()
    return f"<</Type/OBJR/Pg {number}/Obj {link}>>"


class _Tree(pdfdoc.PDFObject):  # type: ignore[misc]
    """Elements by the numbers of the pages and links that they belong to, or by their names."""

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
        self.parents: list[list[Element] | Element] = []
        self.page: list[Element] | None = None  # those on the page, by the numbers of their content
        self.key = 0  # of the page in `parents`
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
        """What is painted meanwhile belongs to an element, or is decoration."""
        if element is None:
            self.canvas.addLiteral("/Artifact BMC")
        else:
            if self.page is None:
                self.page = []
                self.parents.append(self.page)
                self.key = len(self.parents) - 1
            element.kids.append(f"{self.canvas._doc.thisPageName()}|{len(self.page)}")
            lang = f"/Lang({language})" if language else ""
            self.canvas.addLiteral(f"/{element.kind}<</MCID {len(self.page)}{lang}>>BDC")
            self.page.append(element)
        yield
        self.canvas.addLiteral("EMC")

    def add_link(self, element: Element, area: tuple[float, ...], target: str, text: str) -> None:
        """Make an area a link, to an address or to "#" and the name of a place."""
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
        element.kids.append(f"{document.thisPageName()}|{document.annotationName(name)}")
        self.parents.append(element)

    def _end_page(self, _: int) -> None:
        page = self.canvas._doc.Pages.pages[-1]
        if self.page is not None:
            page.__Defaults__ = {**page.__Defaults__, "StructParents": self.key, "Tabs": "/S"}
        self.page = None


def paint_as(text: Any, shown: str, actual: str) -> None:
    """Paint glyphs in a text object, and say which text is found and copied in their place."""
    text._code.append(f"/Span<</ActualText<feff{actual.encode('utf-16-be').hex()}>>>BDC")
    text.textOut(shown)
    text._code.append("EMC")

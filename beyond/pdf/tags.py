"""What a PDF says to those who do not see its pages, and to archives: PDF/UA-1 and PDF/A-2a.

ReportLab has no tags. What this module relies on inside it: a canvas has its document in `_doc`,
adds links with `_addAnnotation` and `_bookmarkReference`, and whatever is in an object's
`__Defaults__` is written with it; a document has its pages in `Pages.pages` and `thisPageName`, and
its streams end as its `encrypt` writes them; a text object has its operators in `_code`.
tests/test_pdf_tags.py holds these.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache
from operator import itemgetter
from typing import Any
from xml.sax.saxutils import escape

from PIL import ImageCms
from reportlab.pdfbase import pdfdoc  # type: ignore[import-untyped]

from beyond.pdf.fonts import EAST_ASIAN

# Of languages that share their script, the one that most people write in it.
SHARED = {"uk": "ru", "fa": "ar", "ur": "ar", "mr": "hi"}
ICC_DATE = slice(24, 36)  # where a profile says when it was made, ICC.1:2022, 7.2
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
 xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/">
<pdfaid:part>2</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance>
<pdfuaid:part>1</pdfuaid:part>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{subject}</rdf:li></rdf:Alt></dc:description>
<pdf:Keywords>{keywords}</pdf:Keywords><xmp:CreatorTool>{creator}</xmp:CreatorTool>{day}
</rdf:Description>
<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"
 xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#"
 xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
<pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">
<pdfaSchema:schema>PDF/UA</pdfaSchema:schema>
<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>
<pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix>
<pdfaSchema:property><rdf:Seq><rdf:li rdf:parseType="Resource">
<pdfaProperty:name>part</pdfaProperty:name><pdfaProperty:valueType>Integer</pdfaProperty:valueType>
<pdfaProperty:category>internal</pdfaProperty:category>
<pdfaProperty:description>Part of PDF/UA</pdfaProperty:description>
</rdf:li></rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


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


class _Stream(pdfdoc.PDFObject):  # type: ignore[misc]
    """A stream's bytes, after which a line ends, as PDF/A asks for."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __len__(self) -> int:
        return len(self.content)

    def format(self, document: Any) -> bytes:
        return self.content + b"\n"


class _Plain(pdfdoc.NoEncryption):  # type: ignore[misc]
    def encode(self, content: bytes | str) -> _Stream:
        return _Stream(pdfdoc.pdfdocEnc(content))


class Tags:
    """Ties what a canvas paints to the elements of a structure."""

    def __init__(self, canvas: Any, root: Element, language: str) -> None:
        self.canvas, self.language = canvas, language.split("-")[0]
        self.anchors: dict[str, int] = {}  # the page of each place that has a name
        self.wanted: set[str] = set()  # the names to which links lead
        self.entries: list[Any] = []  # of the table of contents
        self.parents: list[list[Element] | Element] = []
        self.page: list[Element] | None = None  # those on the page, by the numbers of their content
        canvas._doc.encrypt = _Plain()
        canvas.setPageCallBack(self._end_page)
        tree = {
            **{"Type": "/StructTreeRoot", "K": root},
            "ParentTree": _Tree("Nums", lambda: enumerate(self.parents)),
            "IDTree": _Tree("Names", lambda: sorted(root.find_named(), key=itemgetter(0))),
        }
        tree = {key: canvas._doc.Reference(item) for key, item in tree.items()}
        canvas.setCatalogEntry("StructTreeRoot", tree)
        canvas.setCatalogEntry("MarkInfo", {"Marked": "true"})

    def choose_language(self, language: str) -> str:
        """The language of a stretch, or nothing if it is in that of the document."""
        both = {language, self.language}
        same = len(both) == 1 or both <= EAST_ASIAN or language == SHARED.get(self.language)
        return "" if same else language

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


def describe(canvas: Any, approved: date | None, about: dict[str, Any]) -> None:
    """Add the metadata and the colour space that archives ask for."""
    day = f"<xmp:CreateDate>{approved}T00:00:00Z</xmp:CreateDate>" if approved else ""
    names = {key: escape(str(about[key])) for key in ("title", "subject", "keywords", "creator")}
    content = XMP.format(**names, day=day).encode()
    canvas.setCatalogEntry("Metadata", pdfdoc.XMP(creator=lambda _: content))
    profile = pdfdoc.PDFStream(pdfdoc.PDFDictionary({"N": 3}), make_profile())
    intent = {
        **{"Type": "/OutputIntent", "S": "/GTS_PDFA1", "DestOutputProfile": profile},
        **{"OutputConditionIdentifier": "(sRGB)", "Info": "(sRGB)"},
    }
    intents = pdfdoc.PDFArray([pdfdoc.PDFDictionary(intent)])
    catalog = canvas._doc.Catalog
    more = {"OutputIntents": intents, "Version": "/1.7"}
    catalog.__Defaults__ = {**catalog.__Defaults__, **more}


@cache
def make_profile() -> bytes:
    """The colour space of screens as an ICC profile, without the day on which it was made."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    made[ICC_DATE] = bytes(12)
    return bytes(made)

"""Adds what PDF/A-2a requires for archiving: metadata and a colour profile.

The module relies on two internals of ReportLab: it writes whatever is in the catalog's
`__Defaults__`, and ends a document's streams as the document's `encrypt` writes them.
tests/pdf/test_pdf_tags.py tests both.
"""

import struct
from datetime import date
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfdoc

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
# sRGB as defined by IEC 61966-2-1. Colours are XYZ under the illuminant D50, as in ICC profiles.
WHITE = (0.9642, 1.0, 0.8249)
PRIMARIES = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
}
D65_TO_D50 = (1.0479, 0.0229, -0.0502, 0.0296, 0.9905, -0.0171, -0.0092, 0.0151, 0.7517)
CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # gamma, a, b, c and d of ICC's type 3


class _Stream(pdfdoc.PDFObject):  # type: ignore[misc]
    """A stream's bytes with a line break after them, as PDF/A requires."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __len__(self) -> int:
        return len(self.content)

    def format(self, document: Any) -> bytes:
        return self.content + b"\n"


class _Plain(pdfdoc.NoEncryption):  # type: ignore[misc]
    def encode(self, content: bytes | str) -> _Stream:
        return _Stream(pdfdoc.pdfdocEnc(content))


def add_metadata(canvas: Any, approved: date | None, about: dict[str, Any]) -> None:
    """Add XMP metadata and a colour profile to the canvas's document.

    `about` has its "title", "subject", "keywords" and "creator".
    """
    canvas._doc.encrypt = _Plain()
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
    """sRGB, the colour space of screens, as an ICC profile (ICC.1:2004-10)."""
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fix(CURVE)
    tags = {
        **{b"desc": _name("sRGB"), b"cprt": _name("Public domain"), b"wtpt": _locate(WHITE)},
        b"chad": b"sf32" + bytes(4) + _fix(D65_TO_D50),
        **{tag: _locate(place) for tag, place in PRIMARIES.items()},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    start = 128 + 4 + 12 * len(tags)
    table, content = b"", b""
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, start + len(content), len(data))
        content += data + bytes(-len(data) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s28x", start + len(content), 0x04200000, b"mntr", b"RGB ",
                       b"XYZ ", b"acsp")  # fmt: skip
    return head + _fix(WHITE) + bytes(48) + struct.pack(">I", len(tags)) + table + content


def _fix(numbers: tuple[float, ...]) -> bytes:
    """Numbers as ICC's s15Fixed16: 16 bits before the point and 16 after it."""
    return b"".join(struct.pack(">i", round(number * 0x10000)) for number in numbers)


def _locate(place: tuple[float, ...]) -> bytes:
    """A colour as ICC's XYZ type."""
    return b"XYZ " + bytes(4) + _fix(place)


def _name(text: str) -> bytes:
    """An English text as ICC's multi-localized Unicode type."""
    data = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", len(data), 28) + data

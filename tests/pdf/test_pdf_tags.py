# ruff: noqa: RUF001
"""What a PDF tells screen readers and archives."""

import re
from typing import Any

from pages import find, read
from pypdf.generic import ArrayObject

from beyond.pdf.archive import make_profile

DRAFT = """# Title

### Deeper

Text with `code`, a [`x`](https://example.org), $x^2$, a note[^1] and Ελληνικά.

1. one
   - two

> A quote

| a | b |
|---|---|
| 1 |   |

```
code
```

[^1]: The note
"""


def read_root(markdown: str, **names: Any) -> Any:
    return read(markdown, **names).trailer["/Root"]


def outline(element: Any) -> list[Any]:
    """The kind of an element, and the outlines of those in it."""
    kids = element.get("/K", ArrayObject())
    inside = [kid.get_object() for kid in kids]
    return [element["/S"][1:], *[outline(kid) for kid in inside if "/S" in kid]]


def test_the_structure_tree_has_the_elements_of_the_draft() -> None:
    document = read_root(DRAFT)["/StructTreeRoot"]["/K"]
    kinds = outline(document)
    assert kinds[0] == "Document"
    assert [
        "L",
        ["LI", ["Lbl"], ["LBody", ["P"], ["L", ["LI", ["Lbl"], ["LBody", ["P"]]]]]],
    ] in kinds
    assert ["BlockQuote", ["P"]] in kinds
    assert ["Table", ["TR", ["TH"], ["TH"]], ["TR", ["TD"], ["TD"]]] in kinds
    assert ["P", ["Code"]] in kinds
    assert ["P", ["Code"], ["Link", ["Code"]], ["Formula"], ["Reference", ["Link"]]] in kinds
    levels = [kind[0] for kind in kinds[1:] if kind[0][0] == "H"]
    assert "H3" not in levels  # no level is left out
    assert all(one["/K"] for one in find(document, "P"))
    assert [one["/Alt"] for one in find(document, "Formula")] == ["$x^2$"]
    assert {one["/A"]["/Scope"] for one in find(document, "TH")} == {"/Column"}


def test_notes_have_ids_and_contents_have_entries() -> None:
    root = read_root("Cited [1], noted[^1].\n\n# End\n\n[1] One\n\n[2] Two\n\n[^1]: A note")
    notes = find(root["/StructTreeRoot"]["/K"], "Note")
    names = root["/StructTreeRoot"]["/IDTree"]["/Names"]
    assert names[::2] == ["note 1", "source 1"]
    assert {note["/ID"] for note in notes} == set(names[::2])
    assert all(
        name == note.get_object()["/ID"] for name, note in zip(names[::2], names[1::2], strict=True)
    )
    long = read_root("# A\n\n" + ("## B $x$\n\n" + "word " * 600 + "\n\n") * 12)
    document = long["/StructTreeRoot"]["/K"]
    entry = outline(find(document, "TOC")[0])[1]
    assert entry[:2] == ["TOCI", ["Reference", ["Link"], ["Formula"], ["Link"]]]
    assert len(find(document, "TOCI")) == 12


def test_each_link_is_tied_to_its_annotation() -> None:
    root = read_root(DRAFT)
    tree = root["/StructTreeRoot"]["/ParentTree"]["/Nums"]
    owners = dict(zip(tree[::2], tree[1::2], strict=True))
    notes = [note.get_object() for page in root["/Pages"]["/Kids"] for note in page["/Annots"]]
    assert len(notes) >= 3
    for note in notes:
        assert note["/Contents"] and note["/F"] == 4
        assert owners[note["/StructParent"]].get_object()["/S"] == "/Link"


def test_a_repeated_header_is_read_aloud_once() -> None:
    draft = "| n |\n|---|\n" + "| row |\n" * 150
    reader = read(draft)
    root: Any = reader.trailer["/Root"]
    assert len(reader.pages) > 2
    assert len(find(root["/StructTreeRoot"]["/K"], "TH")[0]["/K"]) == 1


def test_everything_painted_is_tagged_content_or_an_artifact() -> None:
    page: Any
    for page in read(DRAFT * 20).pages:
        depth = 0
        for _, operator in page.get_contents().operations:
            depth += (operator in (b"BDC", b"BMC")) - (operator == b"EMC")
            assert depth in (0, 1)
            assert depth or operator not in (b"Tj", b"TJ", b"S", b"f", b"f*", b"Do")


def test_pdfs_have_the_metadata_and_colour_profile_of_pdf_a() -> None:
    root = read_root("Text & <more>", topic="A & <b>")
    metadata = root["/Metadata"].get_data().decode()
    assert "<pdfuaid:part>1<" in metadata and "<pdfaid:conformance>A<" in metadata
    assert "A &amp; &lt;b&gt;" in metadata
    assert root["/OutputIntents"][0]["/DestOutputProfile"].get_data() == make_profile()
    assert make_profile()[24:36] == bytes(12)
    assert root["/MarkInfo"]["/Marked"] and root["/Version"] == "/1.7"


def test_spread_out_han_carries_its_text_as_actual_text() -> None:
    page: Any = read("我们使用Python编写程序").pages[0]
    begun = (operands for operands, sign in page.get_contents().operations if sign == b"BDC")
    spans = [about["/ActualText"] for kind, about in begun if kind == "/Span"]
    assert spans == ["我们使用", "编写程序"]


def test_stretches_in_another_script_are_tagged_with_their_language() -> None:
    def marks(markdown: str) -> list[bytes]:
        page: Any = read(markdown).pages[0]
        return re.findall(rb"/Lang\((\w+)\)", page.get_contents().get_data())

    assert marks("The words of the day are Ελληνικά, και “Μια λέξη”.") == [b"el"]
    assert marks("This is **Тихий Дон** and 毛利率 and मानव अधिकार.") == [b"ru", b"zh", b"hi"]
    assert marks("The sign μ is the mean, and the one for Ω is 水.") == []
    assert marks("Where α, β and γ are, π μ σ also stand, or α β γ δ; see γ̂ δ̂.") == []
    assert marks("They say घर में at home.") == [b"hi"]
    assert marks("Ελληνικά και ελληνικά") == marks("日本語の中国語は中文です") == []

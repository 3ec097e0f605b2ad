"""Sources, footnotes and their citations."""

import pytest
from reading import children, lines, marks

from beyond import markdown as drafts


def test_footnotes_become_a_section_linked_both_ways() -> None:
    draft = "RAG[^meta], again[^meta] and[^b].\n\n[^b]: Second.\n[^meta]: *First*.\n[^c]: Unused."
    assert lines(draft) == [
        *("RAG[1], again[1] and[2].", "First.\xa0↩", "Second.\xa0↩", "Unused."),
    ]
    metas = [child.meta for child in children(draft)]
    goals = {meta["goto"] for meta in metas if "goto" in meta}
    assert goals == {"note 1", "note 2", "cited note 1", "cited note 2"}
    assert goals <= {meta["anchor"] for meta in metas if "anchor" in meta}


def test_footnotes_stand_under_the_last_heading_if_the_draft_ends_in_one() -> None:
    assert lines("a[^1]\n\n## Sources\n\n[^1]: b") == ["a[1]", "Sources", "b\xa0↩"]


@pytest.mark.parametrize(
    "sources",
    [
        "[1] One\n[2] Two",
        "[1]: One\n[2]: Two",
        "[1] One\n\n[2] Two",
        "1. One\n2. Two",
        "**Sources**\n[1] One\n[2] Two",
    ],
)
def test_sources_and_citations_link_to_each_other(sources: str) -> None:
    draft = f"A [1], b [1, 2] and `[1]`.\n\n## Sources\n\n{sources}"
    assert lines(draft)[-2:] == ["One\xa0↩", "Two\xa0↩"]
    goals = [child.meta.get("goto") for child in children(draft) if child.meta.get("goto")]
    assert goals == [*("source 1", "source 1", "source 2"), "cited source 1", "cited source 2"]
    anchors = {child.meta["anchor"] for child in children(draft) if "anchor" in child.meta}
    assert set(goals) == anchors
    assert marks(draft) == marks(f"[2]\n\n{sources}") == ["[1]", "[2]"]


def test_sources_keep_their_numbers_if_one_is_missing() -> None:
    draft = "As in [1] and [5].\n\n## Sources\n\n[1] One\n[2] Two\n[5] Five"
    assert marks(draft) == ["[1]", "[2]", "[5]"]


@pytest.mark.parametrize(
    "markdown",
    [
        "As in [1].\n\n[1] says so, and no list follows.",
        "1. one\n2. two\n\nAn array has x[3] and y[7].",
        "See [1](https://x.org) and [2](https://y.org).",
        "- [ ] open\n- [x] done",
    ],
)
def test_numbers_in_brackets_without_a_source_are_text(markdown: str) -> None:
    assert not [child for child in children(markdown) if "goto" in child.meta]
    assert not [token for token in drafts.read(markdown).tokens if "sources" in token.meta]

"""The sources of models that search the web: each provider's shape, streamed and whole."""

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asking import ask, content_of
from loopback_llm import LoopbackLLM, Reply, piece
from pypdf import PdfReader
from support import RESULT, edit, keep, start_report, waiting
from temporalio.client import Client

from beyond.llm.sources import Sources, add_sources
from beyond.pdf import render

CASES = {path.stem: path for path in (Path(__file__).parent / "sources").glob("*.json")}
TEA, STEEP = "https://en.wikipedia.org/wiki/Tea", "https://teausa.org/steep"

# pytest turns these warnings into errors. LiteLLM serializes fields that providers should not send.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer")


async def text_of(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, case: dict[str, Any], streamed: bool
) -> str:
    llm.play(case, monkeypatch)
    text = content_of(await ask(is_last_attempt=not streamed))
    assert [call.streamed for call in llm.calls] == [streamed]
    return text


def entries_of(text: str) -> dict[str, str]:
    return dict(re.findall(r"^(\d+)\. (.*)$", text.partition("## Sources\n")[2], re.MULTILINE))


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", CASES)
async def test_a_draft_ends_with_its_sources(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, name: str, streamed: bool
) -> None:
    case = json.loads(CASES[name].read_text())
    right = case["right"]
    text = await text_of(llm, monkeypatch, case, streamed)
    body, entries = text.partition("## Sources")[0], entries_of(text)
    assert [url for url in right.get("urls", []) if url not in text] == []
    assert [title for title in right.get("titles", []) if title not in text] == []
    assert len(entries) == right.get("entries", len(entries))
    assert len(entries) <= right.get("entries_at_most", len(entries))
    assert [page for page in right.get("absent", []) if page in text] == []
    assert [mark for mark in right.get("marks_kept", []) if mark not in body] == []
    assert text.startswith(right.get("starts_with", ""))
    assert re.search(r"\[\d\]", body) or not right.get("cited")
    if "heading" in right:
        assert f"\n# {right['heading']}\n" in f"\n{text}"
    if "headings" in right:
        assert re.findall("^#+ (.*)$", text, re.MULTILINE) == right["headings"]
    if right.get("unchanged") or right.get("text_urls_already"):
        assert text == case["whole"]["choices"][0]["message"]["content"]
    for number, url in right.get("numbers", {}).items():
        assert url in entries[number]
    for place, number in right.get("mark_after", {}).items():
        assert f"{place}[{number}]" in text


# Titles and addresses by strangers.


def pages(*entries: Any) -> Sources:
    sources = Sources()
    sources.add("search_results", list(entries))
    return sources


def test_titles_and_addresses_from_strangers_stay_plain_text() -> None:
    case = json.loads(CASES["hostile"].read_text())["whole"]
    sources = pages(*case["search_results"])
    sources.add("citations", case["citations"])
    text = add_sources("# Tea\n\nA leaf[5].", sources)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert entries_of(text)["1"] == "Click me"
    annotations: Any = PdfReader(BytesIO(render(text))).pages[0]["/Annots"]
    actions = [annotation.get_object().get("/A", {}) for annotation in annotations]
    links = {action["/URI"] for action in actions if "/URI" in action}
    assert len(links) == 4
    assert all(link.startswith("https://") for link in links)


@pytest.mark.parametrize(
    ("title", "entry"),
    [
        ("a\n\n# b", r"a \# b"),
        ("- a", r"\- a"),
        ("2. a", r"2\. a"),
        ("---", r"\---"),
        ("$x$ [1] <b> *c* &lt;", r"\$x\$ \[1\] \<b\> \*c\* \&lt;"),
        ("x" * 300, "x" * 199 + "…"),
        ("\x1b[31mred\u202e", r"\[31mred"),
        (None, "(no address)"),
    ],
)
def test_a_title_without_an_address_is_one_line_of_text(title: Any, entry: str) -> None:
    text = add_sources("Tea[1].", pages({"title": title, "url": "ftp://a"}))
    assert text == f"Tea[1].\n\n## Sources\n\n1. {entry}\n"


@pytest.mark.parametrize("entry", [None, 5, [], {}, {"url": 5, "title": {}}, {"url": "http://["}])
def test_a_malformed_source_keeps_its_number(entry: Any) -> None:
    text = add_sources("Tea[2].", pages(entry, {"url": TEA}))
    assert TEA in entries_of(text)["2"]


# A list of its own, and the next draft.


@pytest.mark.parametrize(
    ("own", "added"),
    [
        (f"## Sources\n\n1. [Tea]({TEA})\n", f"2. [S](<{STEEP}>)"),
        (f"**References**\n\n[1] Tea, {TEA}\n\n[2] B, https://b.example", f"[3] [S](<{STEEP}>)"),
        (f"Quellen:\n- [Tea](<{TEA}>)", f"- [S](<{STEEP}>)"),
        (f"---\n\n3) <{TEA}>\n4) https://b.example/x.", f"5) [S](<{STEEP}>)"),
    ],
)
def test_the_drafts_own_list_of_sources_is_continued(own: str, added: str) -> None:
    draft = f"# Tea\n\nA leaf.\n\n{own}"
    sources = pages({"url": f"{TEA}?utm_source=openai"}, {"url": STEEP, "title": "S"})
    text = add_sources(draft, sources)
    assert text.startswith(draft.rstrip())
    assert text.removeprefix(draft.rstrip()).strip() == added
    assert add_sources(text, sources) == text


@pytest.mark.parametrize("end", [f"## Steps\n\n1. Boil water.\n2. See [Tea]({TEA}).", "- a leaf"])
def test_a_list_of_anything_but_sources_is_not_continued(end: str) -> None:
    text = add_sources(f"# Tea\n\n{end}", pages({"url": STEEP, "title": "S"}))
    assert text == f"# Tea\n\n{end}\n\n## Sources\n\n1. [S](<{STEEP}>)\n"


def test_a_list_behind_code_that_is_cut_off_is_not_part_of_the_code() -> None:
    text = add_sources("# Tea\n\n```py\nboil()", pages({"url": STEEP, "title": "S"}))
    assert text == f"# Tea\n\n```py\nboil()\n```\n\n## Sources\n\n1. [S](<{STEEP}>)\n"


async def test_three_edits_leave_one_list_of_sources(
    client: Client, llm: LoopbackLLM, task_queue: str
) -> None:
    def reply(text: str, *addresses: str) -> Reply:
        end = piece(finish_reason="stop") | {"citations": list(addresses)}
        return Reply(events=[piece(text), end, "[DONE]"])

    llm.replies.append(reply("# Tea\n\nA leaf[1].", TEA))
    report = await start_report(client, "tea", task_queue)
    text = (await waiting(report, draft=1)).text
    for number, addresses in enumerate([[STEEP], [TEA, "https://b.example/"], [STEEP]], 2):
        llm.replies.append(reply(text, *addresses))
        await edit(report, "longer")
        text = (await waiting(report, draft=number)).text
    assert text.count("## Sources") == 1
    assert [*map(list, entries_of(text).items())] == [
        ["1", f"[{TEA}](<{TEA}>)"],
        ["2", f"[{STEEP}](<{STEEP}>)"],
        ["3", "[https://b.example/](<https://b.example/>)"],
    ]
    assert llm.calls[-1].messages[1]["content"].count("## Sources") == 1
    await keep(report)
    assert await report.result() == RESULT


# Marks.


def annotated(text: str, *places: tuple[int, int]) -> str:
    sources = Sources()
    for start, end in places:
        place = {"start_index": start, "end_index": end, "url": f"{TEA}{end}", "title": "T"}
        sources.add("annotations", [{"type": "url_citation", "url_citation": place}])
    return add_sources(text, sources).partition("\n\n## Sources")[0]


@pytest.mark.parametrize(
    ("text", "end", "marked"),
    [
        ("Tea is a leaf. It is old.", 14, "Tea is a leaf.[1] It is old."),
        ("Tea is a leaf. It is old.", 11, "Tea is a leaf[1]. It is old."),
        ("Tea is a leaf.\n\nIt is old.", 15, "Tea is a leaf.[1]\n\nIt is old."),
        ("```\nTea is\n```\n\nold.", 7, "```\nTea is\n```\n\nold."),
        ("The `a b` leaf.", 7, "The `a b` leaf."),
        ("See [a b](https://c.example) now.", 7, "See [a b](https://c.example)[1] now."),
        ("| a | b |\n| - | - |\n| c | d |", 29, "| a | b |\n| - | - |\n| c | d[1] |"),
        ("Tea.", 0, "Tea."),
        ("Tea.", 99, "Tea."),
    ],
)
def test_a_mark_follows_its_passage(text: str, end: int, marked: str) -> None:
    assert annotated(text, (0, end)) == marked


def test_marks_for_one_passage_are_side_by_side() -> None:
    assert annotated("Tea is a leaf.", (0, 13), (1, 13), (0, 14)) == "Tea is a leaf[1].[2]"


# Encrypted pages.


async def test_encrypted_pages_are_dropped_before_the_answer_is_too_large(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = json.loads(CASES["anthropic_web_search"].read_text())
    [found] = [b for b in case["whole"]["content"] if b["type"] == "web_search_tool_result"]
    found["content"][0]["encrypted_content"] = "x" * 3_000_000
    for streamed in (False, True):
        llm.calls.clear()
        events = [e for e in case["stream"] if "content_block" in e]
        [block] = [e for e in events if e["content_block"]["type"] == found["type"]]
        block["content_block"] = found
        assert "encrypted" not in await text_of(llm, monkeypatch, case, streamed)

"""The sources of a draft, as a numbered list at its end.

Providers that search the web send them beside the text. Strangers' pages supply the titles and
addresses, so neither may act as Markdown, and links may lead only to the web.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from beyond.llm.thoughts import CODE
from beyond.printable import printable

HEADING = "## Sources"
SOURCE_TITLE_LIMIT = 200  # characters
ADDRESS_LIMIT = 2_000  # characters: Google's redirects have hundreds

# The fields with sources. In a stream, each event has the whole of a field in REPEATED, but only
# the new entries of one in GROWING.
REPEATED = (
    *("citations", "search_results"),  # of Perplexity, xAI and Azure
    "web_search",  # of Zhipu
    *("groundingChunks", "groundingSupports"),  # of Gemini
)
GROWING = (
    *("annotations", "annotation"),  # of OpenAI and OpenRouter
    "citation",  # of Anthropic
    "executed_tools",  # of Groq
)
FOREIGN_MARK = re.compile(r"\[(doc\d+|ref_\d+)\]")  # Azure's and Zhipu's

ADDRESS = re.compile(r"https?://[^\s<>\"'\[\]]+", re.IGNORECASE)
MARKDOWN_SIGNS = re.compile(r"[\\`*_\[\]<>#~$^]|&(?=#?\w+;)")
BLOCK_START = re.compile(r"^(?=[-+=])|^(\d+)(?=[.)])")  # what would begin a list or a rule
OPEN_FENCE = re.compile(r"^ {0,3}(`{3,9}|~{3,9})", re.MULTILINE)
LINK_OR_ADDRESS = re.compile(r"\[[^\]\n]{0,300}\]\([^)\n]{0,2000}\)|https?://[^\s<>]{1,2000}")

ITEM = re.compile(
    r"(?P<lead>\s{0,3}(?:(?P<number>\d+)[.)]|\[(?P<mark>\d+)\]:?|[-*+])\s+)(?P<text>.*)"
)
LINK = re.compile(r"[*\"]?(?:\[|<?https?://)")
LIST_WORD = re.compile(
    r"source|reference|citation|bibliograph|quelle|literatur|fuente|referencia|référence|fonti"
    r"|fontes|bronnen|źródła|источник|来源|來源|参考|參考|出典|출처",
    re.IGNORECASE,
)


@dataclass
class Page:
    """A source. `mark` is how the text cites it, or "" if by its number."""

    address: str  # "" if it cannot be a link
    title: str
    mark: str = ""

    @property
    def key(self) -> str:
        """The same for all spellings of its address, or "" without one."""
        return _key(self.address)


class Sources:
    """What a provider says about the pages behind its text."""

    def __init__(self) -> None:
        self._fields: dict[str, list[Any]] = {}

    def add(self, name: str, value: Any) -> None:
        """Keeps a field of an answer or of an event in a stream, if it is about sources."""
        entries = value if isinstance(value, list) else [value]
        if name == "citations" and any(map(_is_quotation, entries)):
            name = "citation"
            entries = [e for one in entries for e in (one if isinstance(one, list) else [one])]
        if name in GROWING:
            self._fields.setdefault(name, []).extend(entries)
        elif name in REPEATED and value and isinstance(value, list):
            self._fields[name] = entries

    def number(self) -> list[Page]:
        """Returns the pages that the provider numbers, in that order.

        Includes unusable ones, because they have a number, too.
        """
        cited, found = self._get("citations"), self._read("search_results")
        named = [*self._read("annotations"), *found]
        titles = {page.key: page.title for page in named if page.title and page.address}
        pages = [_read(entry) for entry in cited or self._get("web_search")] or found
        for number, page in enumerate(pages, 1):
            page.mark = page.mark or f"doc{number}"
            page.title = page.title or titles.get(page.key, "")
            if not (page.title or page.address) and number <= len(found):
                page.title = found[number - 1].title
        return pages

    def collect(self) -> list[Page]:
        """Returns the pages of a provider that does not number them, each once."""
        pages = self._read("groundingChunks")  # LiteLLM repeats them as annotations
        pages = pages or self._read("annotations", "annotation", "citation")
        for tool in self._get("executed_tools"):
            match tool:
                case {"search_results": {"results": [*results]}}:
                    pages += map(_read, results)
        once: dict[str, Page] = {}
        for page in pages:
            once.setdefault(page.key, page)
        return [page for key, page in once.items() if key]

    def find_places(self, text: str) -> Iterator[tuple[int, str]]:
        """Yields the end of each passage in `text` that a page supports, and that page's key."""
        chunks, at = self._read("groundingChunks"), 0
        for support in self._get("groundingSupports"):
            match support:
                case {"segment": {"text": str(quoted)}, "groundingChunkIndices": [*numbers]}:
                    # Gemini's offsets count bytes in a part of the answer, so search for its words.
                    found = text.find(quoted, at)
                    at = max(at, found)
                    for number in numbers if quoted and found >= 0 else ():
                        if isinstance(number, int) and 0 <= number < len(chunks):
                            yield found + len(quoted), chunks[number].key
        for entry in [] if chunks else self._get("annotations") + self._get("annotation"):
            match _unfold(entry):
                case {"start_index": int(start), "end_index": int(end)} if start < end <= len(text):
                    yield end, _read(entry).key

    def _get(self, name: str) -> list[Any]:
        return self._fields.get(name, [])

    def _read(self, *names: str) -> list[Page]:
        return [_read(entry) for name in names for entry in self._get(name)]


def add_sources(text: str, sources: Sources) -> str:
    """Returns the draft with a list of its sources, and marks after the passages they support.

    If the draft names all its sources, returns it unchanged. If it already has a list, adds the
    missing sources to that.
    """
    numbered = sources.number()
    pages = numbered or sources.collect()
    named = {_key(address) for address in ADDRESS.findall(text)}
    if not pages or (any(p.address for p in pages) and all(p.key in named | {""} for p in pages)):
        return text
    text = text.rstrip()
    if own := _find_list(text):
        start, items = own
        text, numbers = _continue_list(text, start, items, pages)
    else:
        if left_open := OPEN_FENCE.search(CODE.sub("", text)):  # the text ends within a code block
            text += f"\n{left_open[1]}"
        numbers = {page.key: number for number, page in enumerate(pages, 1)}
        entries = (f"{number}. {_write(page)}" for number, page in enumerate(pages, 1))
        start, text = len(text), "\n".join([text, "", HEADING, "", *entries, ""])
    if numbered:
        marks = {page.mark: numbers.get(page.key) for page in pages}
        return _replace_marks(text, marks)
    body = text[:start]
    places = [(end, numbers.get(key)) for end, key in sources.find_places(body)]
    return _insert_marks(body, places) + text[start:]


# What providers send.


def _is_quotation(entry: Any) -> bool:
    """Whether an entry of `citations` quotes a page. Anthropic's do, and have no numbers."""
    return isinstance(entry, list) or (isinstance(entry, dict) and "cited_text" in entry)


def _unfold(entry: Any) -> Any:
    """Returns an entry's fields, which some providers put one level deeper."""
    match entry:
        case {"url_citation": dict(inner)} | {"web": dict(inner)}:
            return inner
    return entry


def _read(entry: Any) -> Page:
    entry = _unfold(entry)
    if isinstance(entry, str):
        return Page(_make_address(entry), "")
    if not isinstance(entry, dict):
        return Page("", "")
    address = entry.get("url") or entry.get("uri") or entry.get("link") or ""
    title = entry.get("title") or entry.get("filepath") or ""
    mark = entry.get("refer")
    return Page(_make_address(address), _tidy(title), mark if isinstance(mark, str) else "")


def _make_address(address: Any) -> str:
    """Returns an address that is safe in Markdown, or "" if it does not lead to the web."""
    if not isinstance(address, str) or len(address) > ADDRESS_LIMIT:
        return ""
    address = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", address.strip())
    is_of_web = re.match(r"https?://[^/?#\s]", address, re.IGNORECASE)
    return quote(address, safe="%:/?#@!&*+,=~", errors="replace") if is_of_web else ""


def _tidy(title: Any) -> str:
    text = printable(" ".join(title.split())) if isinstance(title, str) else ""
    return text if len(text) <= SOURCE_TITLE_LIMIT else text[: SOURCE_TITLE_LIMIT - 1] + "…"


def _key(address: str) -> str:
    """Returns the part of an address that all spellings of it share."""
    address = re.sub(r"#:~:.*|(?<=[?&])utm_source=[^&#]*&?", "", _make_address(address))
    address = re.sub(r"^https?://(?:www\.)?", "", address, flags=re.IGNORECASE)
    return address.replace("%29", ")").rstrip("/?&.,:!*)")


# The list.


def _write(page: Page) -> str:
    title = MARKDOWN_SIGNS.sub(r"\\\g<0>", page.title or _tidy(page.address))
    if page.address:
        return f"[{title}](<{page.address}>)"
    return BLOCK_START.sub(r"\1\\", title) or "(no address)"


def _find_list(text: str) -> tuple[int, list[re.Match[str]]] | None:
    """Returns where the list of sources at the end of a text begins, and its items, or None."""
    items: list[re.Match[str]] = []
    end = len(text)
    while end > 0:
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end]
        if item := ITEM.fullmatch(line):
            items.insert(0, item)
            first = start
        elif line.strip() and not line.startswith("  "):
            break
        end = start - 1
    else:
        line = ""
    if not items or not any(ADDRESS.search(item["text"]) for item in items):
        return None
    are_links = all(LINK.match(item["text"]) for item in items)
    is_title = len(line) < 80 and (LIST_WORD.search(line) or (are_links and line[:1] in "#*-_"))
    return (first, items) if is_title else None


def _continue_list(
    text: str, start: int, items: list[re.Match[str]], pages: list[Page]
) -> tuple[str, dict[str, int | None]]:
    """Returns the text with the missing pages added to its list, and each page's number by key."""
    numbers: dict[str, int | None] = {}
    last = 0
    for item in items:
        last = int(item["number"] or item["mark"] or 0) if last == 0 else last + 1
        for address in ADDRESS.findall(item["text"]):
            numbers.setdefault(_key(address), last or None)
    lead = items[-1]["lead"]
    gap = "\n\n" if "\n\n" in text[start:] else "\n"
    for page in pages:
        if page.address and page.key not in numbers:
            last = last + 1 if last else 0
            numbers[page.key] = last or None
            text += gap + re.sub(r"\d+", str(last), lead) + _write(page)
    return text + "\n", numbers


# The marks.


def _replace_marks(text: str, marks: dict[str, int | None]) -> str:
    """Returns the text with a number in place of each mark such as [doc1]."""
    return FOREIGN_MARK.sub(lambda m: f"[{marks[m[1]]}]" if marks.get(m[1]) else m[0], text)


def _insert_marks(text: str, places: Iterable[tuple[int, int | None]]) -> str:
    """Returns the text with a mark such as [1] at each place, but not in code, links or words."""
    code = [match.span() for match in CODE.finditer(text)]
    links = [match.span() for match in LINK_OR_ADDRESS.finditer(text)]
    marks: dict[int, str] = {}
    for end, number in places:
        end = next((stop for start, stop in links if start < end < stop), end)
        while end > 0 and text[end - 1] in " \t\n|":
            end -= 1
        while 0 < end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
            end += 1
        mark = f"[{number}]"
        is_in_code = any(start < end < stop for start, stop in code)
        if number and not is_in_code and mark not in marks.get(end, ""):
            marks[end] = marks.get(end, "") + mark
    for end in sorted(marks, reverse=True):
        if not text.startswith(marks[end], end):
            text = text[:end] + marks[end] + text[end:]
    return text

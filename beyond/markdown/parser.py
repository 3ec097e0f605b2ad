# ruff: noqa: RUF001
"""The parser of drafts: CommonMark, tables, footnotes, and what models write beyond these."""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline, emphasis, newline, strikethrough
from markdown_it.token import Token
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.gfm_autolink import gfm_autolink_plugin

from beyond.markdown.emoji import EMOJI
from beyond.markdown.marks import judge_marks, mend_lone_marks

PARAGRAPH_LIMIT = 20_000  # characters; a longer paragraph is data
NESTING_LIMIT = 40  # levels of blocks; a page has no room for more, and the parser recurses
# Characters of a line together with the next line's first word. Wrapped prose has more, so the
# break after a shorter line is meant to stay.
SHORT_LINE = 60
DATA = re.compile(r"(?<=\]\()data:image/[^()\s]+")  # an address that contains the whole picture
NEXT_WORD = re.compile(r"\S*")
ITEM_START = re.compile(rf"\(?\d{{1,3}}[a-z]?[.)]\s|[•◦▪●‣·–—☐☑→]\s|{EMOJI.pattern}")
# A link's address in parentheses. If they do not close on their line, it ends at a space.
LINK_ADDRESS = re.compile(
    r"\([ ]*<?(?=[a-z]+:\S|www\.|\#|[^\s()]*/)"
    r"(?:(?P<whole>(?:(?!\]\()[^()\n]|\([^()\n]*\))++)\)|(?P<part>[^\s)]+)\)?)",
    re.IGNORECASE,
)
WIDE = "、。，；：！？（）「」『』【】《》〈〉“”"  # no part of an address
SCHEME = re.compile(
    rf"(?:\A|[\s*_~(]|(?P<wide>[{WIDE}\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]))(https?)\Z"
)
REST = re.compile(  # of an address; it may have pairs of parentheses
    rf"://(?:[^\s<>()\[\]{WIDE}]|\([^\s<>(){WIDE}]*\))+(?<![?!.,:;*_~'\"])"
    rf"(?P<wide>(?=[?!.,:;*_~'\"]*[{WIDE}]))?"
)
LINK_TITLE = re.compile(r"\s[\"'“]")  # the beginning of a link's title, which is not printed


def make_parser() -> MarkdownIt:
    """A parser of drafts.

    Each call needs an `env` in which "formulas" are the `Formulas` that hid those of the text.
    """
    parser = MarkdownIt("commonmark", {"maxNesting": NESTING_LIMIT + 10})
    parser.enable(["table", "strikethrough"])
    parser.use(gfm_autolink_plugin).use(footnote_plugin, inline=False, move_to_end=False)
    parser.use(deflist_plugin)
    parser.block.ruler.before("table", "too_deep", _take_too_deep)
    parser.core.ruler.at("inline", _read_inlines)
    parser.inline.ruler.at("newline", _keep_short_line)
    parser.inline.ruler.at("emphasis", judge_marks(emphasis.tokenize))
    parser.inline.ruler.at("strikethrough", judge_marks(strikethrough.tokenize))
    parser.inline.ruler.before("gfm_autolink_protocol", "wide_address", _take_wide_address)
    parser.inline.ruler.after("image", "loose_link", _take_loose_link)
    parser.inline.ruler.after("loose_link", "loose_address", _take_loose_address)
    parser.inline.ruler2.after("balance_pairs", "lone_marks", mend_lone_marks)
    return parser


def _take_too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A block rule: text that is nested too deeply becomes code. The parser would drop it."""
    if state.level < NESTING_LIMIT:
        return False
    token = state.push("code_block", "code", 0)
    token.content = state.getLines(start, end, state.blkIndent, False)
    state.line = end
    return True


def _read_inlines(state: StateCore) -> None:
    """The core rule that parses the text of blocks. A block that is too long stays plain text."""
    for token in state.tokens:
        if token.type == "inline" and len(token.content) > PARAGRAPH_LIMIT:
            token.content = DATA.sub("", token.content)
        if token.type == "inline" and len(token.content) > PARAGRAPH_LIMIT:
            token.children = [Token("text", "", 0, content=token.content)]
        elif token.type == "inline":
            token.children = []
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def _keep_short_line(state: StateInline, silent: bool) -> bool:
    """The rule for line breaks: a break after a short line or before an item is kept."""
    start, end = state.src.rfind("\n", 0, state.pos) + 1, state.pos
    if not newline(state, silent):
        return False
    line, word = state.src[start:end], NEXT_WORD.match(state.src, state.pos)
    short = state.env["formulas"].count_characters(line) + len(word[0] if word else "") < SHORT_LINE
    if not silent and (short or ITEM_START.match(state.src, state.pos)):
        state.tokens[-1].type, state.tokens[-1].tag = "hardbreak", "br"
    return True


def _take_loose_link(state: StateInline, silent: bool) -> bool:
    """An inline rule for links that CommonMark would print as text.

    Their address has spaces or is not closed, or their text contains links.
    """
    picture = state.src.startswith("![", state.pos)
    start = state.pos + picture
    if state.src[start] != "[" or state.src.find("](", start) < 0:
        return False
    end = state.md.helpers.parseLinkLabel(state, start)
    found = LINK_ADDRESS.match(state.src, end + 1, state.posMax) if end > 0 else None
    if not found:
        return False
    address = state.md.normalizeLink(_read_address(found["whole"] or found["part"]))
    if picture and not silent:
        image = state.push("image", "img", 0)
        image.attrs, image.children = {"src": address}, []
        image.content = state.src[start + 1 : end]
        state.md.inline.parse(image.content, state.md, state.env, image.children)
    elif not silent:
        limit = state.posMax
        state.push("link_open", "a", 1).attrs = {"href": address}
        state.pos, state.posMax = start + 1, end
        state.linkLevel += 1
        state.md.inline.tokenize(state)
        state.linkLevel -= 1
        state.posMax = limit
        state.push("link_close", "a", -1)
    state.pos = found.end()
    return True


def _read_address(text: str) -> str:
    """The address in a link's parentheses, without the link's title."""
    text = text.strip()
    title = LINK_TITLE.search(text)
    if title and text.endswith(('"', "'", "”")):
        text = text[: title.start()].rstrip()
    return text.removesuffix(">").replace(" ", "%20")


def _take_loose_address(state: StateInline, silent: bool) -> bool:
    """An inline rule for an address in parentheses after a "]" that no "[" opens."""
    if not state.src.startswith("](http", state.pos):
        return False
    if not silent:
        state.pending += " "
    state.pos += 1
    return True


def _take_wide_address(state: StateInline, silent: bool) -> bool:
    """An inline rule for an address beside Chinese, Japanese or Korean, which has no spaces."""
    rest = REST.match(state.src, state.pos, state.posMax)
    if silent or state.linkLevel or not rest:
        return False
    start = max(0, state.pos - len("(https"))
    scheme = SCHEME.search(state.src[start : state.pos])
    if not scheme or (scheme["wide"] is None and rest["wide"] is None):
        return False
    state.pending = state.pending.removesuffix(scheme[2])
    address = scheme[2] + rest[0]
    state.push("link_open", "a", 1).attrs = {"href": state.md.normalizeLink(address)}
    state.push("text", "", 0).content = address
    state.push("link_close", "a", -1)
    state.pos = rest.end()
    return True

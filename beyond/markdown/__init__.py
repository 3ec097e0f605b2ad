"""A draft as models write it, read once for all who show it: the terminal and the PDF.

Both get the same tokens, so a person approves what will be printed, word for word.
"""

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, pairwise

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline, emphasis, strikethrough
from markdown_it.token import Token
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.gfm_autolink import gfm_autolink_plugin

from beyond.markdown.source import Formulas, mend_lines, replace_front_matter, unwrap
from beyond.markdown.tokens import make_code_token, tidy

log = logging.getLogger(__name__)

NESTING_LIMIT = 40  # levels of blocks: pages have no room for more, and the parser recurses
PARAGRAPH_LIMIT = 40_000  # characters: no paragraph is longer, unless it is data
# What a draft may contain. The parser's time grows with the square: at these limits it takes
# seconds. A page of prose has some 50 lines and 20 marks.
LIMITS = (
    (re.compile(r"^[ \t]*\S", re.MULTILINE), 15_000),  # lines
    (re.compile(r"\|"), 30_000),  # table cells
    (re.compile(r"\["), 10_000),  # links that may begin
    (re.compile(r"[*_`~<&!|\\$]"), 40_000),  # other marks
)


@dataclass(frozen=True)
class Draft:
    """The tokens of a draft, the lines that `Token.map` counts, and the text of its first heading.

    The tokens are markdown-it's, of the kinds that CommonMark, tables and strikethrough have; no
    HTML is left. What a kind cannot say is in `Token.meta`:

    `looks` of a text or of code: names of HTML elements, such as "sub", that it stands in
    `color` of a text: a CSS colour that carries a meaning
    `formula` of a `code_inline`, whose content is LaTeX with its delimiters
    `goto` of a text, `anchor` of a text: names that link an entry and the places that cite it
    `sources` of a list: that it has such entries; `mark` and `note` of its items: their numbers as
    they are cited, and their names
    `span` of a cell: the columns and the rows that it has
    """

    tokens: list[Token]
    lines: list[str]
    title: str


def read(markdown: str) -> Draft:
    """Read a draft. Whatever the text is, no word of it is lost, except HTML tags and decoration.

    Beyond `LIMITS`, and inside blocks beyond `NESTING_LIMIT` and `PARAGRAPH_LIMIT`, the draft is
    code, as it stands.
    """
    source = re.sub(r"\r\n?", "\n", markdown).replace("\0", "").removeprefix("\ufeff")
    if any(sum(1 for _ in pattern.finditer(source)) > limit for pattern, limit in LIMITS):
        return read_as_source(source)
    formulas = Formulas()
    text = mend_lines(formulas.hide(replace_front_matter(unwrap(source))))
    try:
        tokens = tidy(text, _parsers.of_drafts, _parsers.of_html, formulas, PARAGRAPH_LIMIT)
    except Exception:  # of any kind: no word of a draft is lost to a fault in its reading
        log.warning("The draft is shown as it stands", exc_info=True)
        return read_as_source(source)
    titles = (
        get_words(token) for before, token in pairwise(tokens) if before.type == "heading_open"
    )
    lines = [formulas.restore(line) for line in text.split("\n")]
    return Draft(tokens, lines, next(filter(None, titles), ""))


def get_words(token: Token) -> str:
    """The words of an inline token."""
    parts = (" " if c.type.endswith("break") else c.content for c in token.children or [])
    return " ".join("".join(parts).split())


def read_as_source(text: str) -> Draft:
    """A draft as it stands, which nothing can be wrong with."""
    return Draft([make_code_token(text)], text.split("\n"), "")


class _Parsers(threading.local):
    """The parsers of one thread, as MarkdownIt fills caches while it works."""

    def __init__(self) -> None:
        self.of_drafts = _make_parser()
        self.of_html = _make_parser().disable("html_block")  # which has been made Markdown by then


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": NESTING_LIMIT + 10})
    parser.enable(["table", "strikethrough"])
    parser.use(gfm_autolink_plugin).use(footnote_plugin, inline=False, move_to_end=False)
    parser.use(deflist_plugin)
    parser.block.ruler.before("table", "too_deep", _take_too_deep)
    parser.core.ruler.at("inline", _read_inlines)
    parser.inline.ruler.at("emphasis", _judge_marks(emphasis.tokenize))
    parser.inline.ruler.at("strikethrough", _judge_marks(strikethrough.tokenize))
    return parser


def _take_too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A block rule that takes what is nested too deep as it stands; the parser would drop it."""
    if state.level < NESTING_LIMIT:
        return False
    token = state.push("code_block", "code", 0)
    token.content = state.getLines(start, end, state.blkIndent, False)
    state.line = end
    return True


def _read_inlines(state: StateCore) -> None:
    """The core rule that reads the words of blocks; those of a block that is too long are text."""
    for token in state.tokens:
        if token.type == "inline" and len(token.content) > PARAGRAPH_LIMIT:
            token.children = [Token("text", "", 0, content=token.content)]
        elif token.type == "inline":
            token.children = []
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def _judge_marks(tokenize: Callable[[StateInline, bool], bool]) -> Callable[..., bool]:
    """A rule of emphasis that knows which of two marks, such as **, opens and which closes.

    CommonMark tells by the signs beside them, which fails beside Chinese punctuation and for
    "**Costs: ** 120".
    """

    def judge(state: StateInline, silent: bool) -> bool:
        start, known = state.pos, len(state.delimiters)
        if not tokenize(state, silent):
            return False
        made = state.delimiters[known:]
        if state.pos - start == 2 and made and state.src[start] != "_":
            above = islice(reversed(state.delimiters), len(made), None)
            before = next((d for d in above if d.marker == made[0].marker), None)
            pending = before is not None and before.open
            sides = state.src[max(0, start - 1) : start], state.src[state.pos : state.pos + 1]
            spaces = [not part.strip() for part in sides]
            for delimiter in made:
                if spaces == [True, True]:
                    delimiter.open, delimiter.close = False, pending
                elif spaces == [False, False]:
                    delimiter.open, delimiter.close = not pending, pending
        if not any(delimiter.open or delimiter.close for delimiter in made):
            del state.delimiters[known:]  # so that no mark looks at them again
        return True

    return judge


_parsers = _Parsers()

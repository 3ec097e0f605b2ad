"""Reads a draft, as models write it, into tokens that the terminal and the PDF both show.

Because both show the same tokens, a person approves exactly the words that will be printed.
"""

import logging
import re
from dataclasses import dataclass
from itertools import pairwise

from markdown_it.token import Token

from beyond.markdown.formulas import Formulas
from beyond.markdown.html import make_code_token
from beyond.markdown.parser import make_parser
from beyond.markdown.source import mend_lines, replace_front_matter, unwrap
from beyond.markdown.tokens import make_tokens

log = logging.getLogger(__name__)

# The most that a draft may have before it is shown unparsed. The parser's time grows with the
# square of these counts; at the limits, it takes seconds. A page of prose has some 50 lines and 20
# marks.
LIMITS = (
    (re.compile(r"^[ \t]*\S", re.MULTILINE), 15_000),  # lines
    (re.compile(r"\|"), 30_000),  # table cells
    (re.compile(r"\["), 10_000),  # possible links
    (re.compile(r"[*_`~<&!|\\$]"), 40_000),  # other marks
)


@dataclass(frozen=True)
class Draft:
    """A draft that has been read.

    `tokens` are markdown-it's, of the types that CommonMark, tables and strikethrough have. None
    has HTML. `lines` are those that `Token.map` counts. `title` is the text of the first heading,
    or "". What a type cannot express is in `Token.meta`:

    `looks` of a text or code: names of the HTML elements around it, such as "sub"
    `color` of a text: a CSS colour that carries a meaning
    `formula` of a `code_inline`: true if its content is LaTeX with its delimiters
    `anchor` of a text: a name for its place; `goto` of a text: the anchor to which it links
    `sources` of a list: true if its items are sources or footnotes
    `mark` of such an item: its number as the text cites it, such as "[1]"
    `note` of such an item: its name, which is also the anchor at its beginning
    `term` of a paragraph, `definition` of a blockquote: true if they come from a definition list
    """

    tokens: list[Token]
    lines: list[str]
    title: str


def read(markdown: str) -> Draft:
    """Read a draft. Any text can be read.

    It loses only HTML tags, decoration and the data of embedded pictures.

    A draft beyond `LIMITS` becomes one block of code. So does each block that is too long or nested
    too deeply.
    """
    source = re.sub(r"\r\n?", "\n", markdown).replace("\0", "").removeprefix("\ufeff")
    if any(sum(1 for _ in pattern.finditer(source)) > limit for pattern, limit in LIMITS):
        return read_as_source(source)
    formulas = Formulas()
    text = mend_lines(formulas.hide(replace_front_matter(unwrap(source))))
    try:
        tokens = make_tokens(text, formulas, _parser, _html_parser)
    except Exception:  # any kind: a fault in the parser must not lose a word of the draft
        log.warning("The draft cannot be parsed; its source is shown", exc_info=True)
        return read_as_source(source)
    titles = (
        get_words(token) for before, token in pairwise(tokens) if before.type == "heading_open"
    )
    lines = [formulas.restore(line) for line in text.split("\n")]
    return Draft(tokens, lines, next(filter(None, titles), ""))


def get_words(token: Token) -> str:
    """The words of an inline token, with a single space between two."""
    parts = (" " if c.type.endswith("break") else c.content for c in token.children or [])
    return " ".join("".join(parts).split())


def read_as_source(text: str) -> Draft:
    """A draft as one block of code, for text that cannot be parsed."""
    return Draft([make_code_token(text)], text.split("\n"), "")


_parser = make_parser()
_html_parser = make_parser().disable("html_block")  # its input is HTML that is already Markdown

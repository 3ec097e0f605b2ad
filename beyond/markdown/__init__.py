"""A draft as models write it, read once for all who show it: the terminal and the PDF.

Both get the same tokens, so a person approves what will be printed, word for word.
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
    """

    tokens: list[Token]
    lines: list[str]
    title: str


def read(markdown: str) -> Draft:
    """Read a draft. Whatever the text is, no word of it is lost, except HTML tags and decoration.

    A draft beyond `LIMITS` is code, as it stands, and so is a block that is too long or too deep.
    """
    source = re.sub(r"\r\n?", "\n", markdown).replace("\0", "").removeprefix("\ufeff")
    if any(sum(1 for _ in pattern.finditer(source)) > limit for pattern, limit in LIMITS):
        return read_as_source(source)
    formulas = Formulas()
    text = mend_lines(formulas.hide(replace_front_matter(unwrap(source))))
    try:
        tokens = make_tokens(text, formulas, _parser, _html_parser)
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


_parser = make_parser()
_html_parser = make_parser().disable("html_block")  # which has been made Markdown by then

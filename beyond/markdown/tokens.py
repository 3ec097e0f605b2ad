"""Turns a draft into the tokens of `Draft`: replaces HTML, footnotes and definition lists."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from beyond.markdown.formulas import Formulas
from beyond.markdown.html import make_code_token, replace_html
from beyond.markdown.inline import make_bold, tidy_line
from beyond.markdown.parser import PARAGRAPH_LIMIT
from beyond.markdown.sources import Notes, link_sources

DRAWN = re.compile(r"([+|┌│├└╔║╚][^\n]*(\n|\Z)){3,}")  # a table or diagram without a fence


def make_tokens(
    text: str, formulas: Formulas, parser: MarkdownIt, html_parser: MarkdownIt
) -> list[Token]:
    """The tokens of a draft whose formulas are hidden in `formulas`.

    `html_parser` reads the Markdown that replaces blocks of HTML.
    """
    env: dict[str, Any] = {"formulas": formulas}
    read = list(replace_html(parser.parse(text, env), html_parser, env))
    notes = Notes(env)
    out: list[Token] = []
    for token in _replace_definitions(notes.collect(read)):
        if token.type == "inline":
            around = out[-2].type if len(out) > 1 else ""
            token.children = tidy_line(token.children or [], formulas, notes, around)
            if out[-1].meta.get("term"):
                token.children = make_bold(token.children)
        out.append(token)
        if token.type == "paragraph_close" and _is_code(out[-2]):
            opening, inline, _ = out[-3:]
            code = make_code_token(inline.content)
            code.map, code.level = opening.map, opening.level
            out[-3:] = [code]
    for token in out:
        token.content = formulas.restore(token.content)
    link_sources(out)
    return out


def _is_code(inline: Token) -> bool:
    """Whether a paragraph becomes code because it is a drawing of characters, or too long."""
    return len(inline.content) > PARAGRAPH_LIMIT or DRAWN.fullmatch(inline.content) is not None


def _replace_definitions(tokens: Iterable[Token]) -> Iterator[Token]:
    """Replace definition lists: a paragraph for each term, a blockquote for each definition."""
    lists = 0  # how many enclose the token
    for token in tokens:
        if token.type in ("dl_open", "dl_close"):
            lists += token.nesting
            continue
        token.level -= lists
        if token.type in ("dt_open", "dt_close"):
            token.type, token.tag = token.type.replace("dt", "paragraph"), "p"
            token.meta["term"] = True
        elif token.type in ("dd_open", "dd_close"):
            token.type, token.tag = token.type.replace("dd", "blockquote"), "blockquote"
            token.meta["definition"] = True
        yield token

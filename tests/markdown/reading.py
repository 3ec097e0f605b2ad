"""Reads drafts for the tests of Markdown."""

from markdown_it.token import Token

from beyond import markdown


def lines(draft: str) -> list[str]:
    """The text of a draft, line by line."""
    found: list[str] = []
    for token in markdown.read(draft).tokens:
        if token.type in ("fence", "code_block"):
            found += token.content.splitlines()
        elif token.type == "inline":
            text = "".join(
                {"hardbreak": "\n", "softbreak": " "}.get(child.type, child.content)
                for child in token.children or []
            )
            found += text.split("\n")
    return found


def kinds(draft: str) -> list[str]:
    return [token.type for token in markdown.read(draft).tokens]


def children(draft: str) -> list[Token]:
    return [child for token in markdown.read(draft).tokens for child in token.children or []]


def marks(draft: str) -> list[str]:
    return [token.meta["mark"] for token in markdown.read(draft).tokens if "mark" in token.meta]


def formulas(draft: str) -> list[str]:
    return [child.content for child in children(draft) if child.meta.get("formula")]


def spell_out(draft: str) -> list[str]:
    """The text of each block, with <b> and <i> around emphasis and links as (address|text)."""
    signs = {"strong_open": "<b>", "strong_close": "</b>", "em_open": "<i>", "em_close": "</i>"}
    found: list[str] = []
    for token in markdown.read(draft).tokens:
        if token.type == "inline":
            found.append("")
        for child in token.children or []:
            opening = f"({child.attrs['href']}|" if child.type == "link_open" else ""
            link = ")" if child.type == "link_close" else opening
            found[-1] += link or signs.get(child.type, child.content)
    return found

"""Mends the source of a draft before it is parsed."""

import re
import textwrap

# Every pattern must run in linear time, so each of its parts can match in one way only.
FENCE = re.compile(r"^ {0,3}(`{3,}+|~{3,}+)[ \t]*+((?:[^`\n]*[^`\n \t])?)[ \t]*$")
MARKDOWN = ("markdown", "md", "mdx")  # languages of a fence around a draft
CHATTER_LINES = 4  # lines outside a fence around a draft, such as "Here is your report:"
BLOCK = re.compile(r"^(#{1,6} |[-*+] |\d+[.)] |> |\||```)", re.MULTILINE)
FRONT_MATTER = re.compile(r"\A---[ \t]*\n((?:(?:[\w-]+:|- |[ \t]).*\n|\n)++)---[ \t]*\n")
DELIMITER_ROW = re.compile(
    r"[ \t>]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+"
)
CONTENTS_MARK = re.compile(r"\[\[?_?TOC_?\]\]?", re.IGNORECASE)  # for a table of contents
HEADING_NAME = re.compile(r"\{#[\w.:-]++\}\s*+\Z")
CELL_BAR = re.compile(r"(?<!\\)\|")  # between two cells
CODE_SPAN = re.compile("`[^`]+`")
SPARSE = 10  # rows times columns for each cell; beyond this, a table is nearly empty


def unwrap(text: str) -> str:
    """The draft without a fence or an indent that a model has put around all of it."""
    text = _unindent(text)
    lines = text.split("\n")
    filled = [number for number, line in enumerate(lines) if line.strip()]
    first = next((n for n in filled[: CHATTER_LINES + 1] if FENCE.match(lines[n])), len(lines))
    for last in reversed(filled[-CHATTER_LINES - 1 :]):
        if first < last and _is_around_draft(lines, first, last):
            inside = _unindent("\n".join(lines[first + 1 : last]))
            return "\n".join([*lines[:first], "", inside, "", *lines[last + 1 :]])
    return text


def _is_around_draft(lines: list[str], first: int, last: int) -> bool:
    """Whether a fence begins and ends at these lines, and is around a draft instead of code."""
    opening, closing = FENCE.match(lines[first]), FENCE.match(lines[last])
    if not opening or not closing or closing[2] or closing[1] != opening[1]:
        return False
    inside, outside = lines[first + 1 : last], "\n".join([*lines[:first], *lines[last + 1 :]])
    if sum(1 for line in inside if FENCE.match(line)) % 2 or BLOCK.search(outside):
        return False
    is_title = "\n".join(inside).lstrip().startswith("#")
    return opening[2].lower() in MARKDOWN or (not opening[2] and not outside.strip() and is_title)


def _unindent(text: str) -> str:
    """The text without an indent that all its lines share, or all but the first."""
    if re.match(r" {4}|\t", text.lstrip("\n")):
        return textwrap.dedent(text.expandtabs(4))
    first, _, rest = text.partition("\n")
    dedented = textwrap.dedent(rest.expandtabs(4))
    indented = rest.startswith(("    ", "\n    ", "\t", "\n\t")) and dedented != rest
    return f"{first}\n{dedented}" if indented and len(BLOCK.findall(dedented)) > 2 else text


def replace_front_matter(text: str) -> str:
    """The draft with its YAML front matter as a title and a line with author and date."""
    if not (found := FRONT_MATTER.match(text)):
        return text
    values = dict(re.findall(r"^(title|author|date):(.*)", found[1], re.MULTILINE | re.I))
    title, author, day = (
        values.get(key, "").strip().strip("\"'") for key in ("title", "author", "date")
    )
    rest = text[found.end() :].lstrip("\n")
    heading, _, below = rest.partition("\n")
    if heading.startswith("# ") and heading[1:].lstrip(" ").rstrip(" #") == title:
        rest = below
    about = " · ".join(filter(None, [author, day]))
    return "\n\n".join(filter(None, [title and f"# {title}", about, rest]))


def mend_lines(text: str) -> str:
    """Mend tables and headings that the parser would misread.

    A table gets a column for each cell, loses blank lines between its rows, and ends at a line of
    text. "##Title" gets a space. "[TOC]" and "{#name}" are for other programs, and are removed.
    """
    out: list[str] = []
    fence = ""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if mark := FENCE.match(line):
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence) and not mark[2]:
                fence = ""
        if fence or mark:
            out.append(line)
            continue
        out.append(_mend_line(line))
        header = out[-2] if len(out) > 1 else ""
        if len(line) > 2 and "|" in header and _delimits(line):
            rows, number = _take_rows(lines, number)
            out[-2:] = _make_room([header, line, *rows])
            below = "".join(lines[number : number + 1])
            if "|" not in below and header.lstrip().startswith("|"):
                out.append("")  # otherwise the parser would take a line of text for a row
    return "\n".join(out)


def _mend_line(line: str) -> str:
    if CONTENTS_MARK.fullmatch(line.strip()):
        return ""
    line = re.sub(r"^( {0,3}#{2,6})(?=[^\s#])", r"\1 ", line)
    return HEADING_NAME.sub("", line) if line.lstrip(" ").startswith("#") else line


def _delimits(line: str) -> bool:
    """Whether a line separates the header of a table from its rows."""
    return "-" in line and DELIMITER_ROW.fullmatch(line) is not None


def _take_rows(lines: list[str], number: int) -> tuple[list[str], int]:
    """The rows of a table from line `number` on, without blank lines, and the line after them."""
    rows: list[str] = []
    end = number
    while number < len(lines):
        row, following = lines[number], "".join(lines[number + 1 : number + 2])
        number += 1
        if not row.strip("> "):
            continue
        apart = number > end + 1 and not row.strip("> ").startswith("|")
        if apart or "|" not in row or _delimits(following):
            break
        rows.append(row)
        end = number
    return rows, end


def _make_room(table: list[str]) -> list[str]:
    """A table as wide as its longest row; the parser drops cells beyond the header."""
    columns = _count_cells(table[1])
    table = [_escape_code(row) if _count_cells(row) > columns else row for row in table]
    cells = [_count_cells(row) for row in table]
    most = max(cells)
    if is_sparse(rows=len(table), columns=most, cells=sum(cells)):
        return ["```", *table, "```"]
    header, line, *rows = table
    return [_add_cells(header, most, "  |"), _add_cells(line, most, "--|"), *rows]


def _escape_code(row: str) -> str:
    """A row whose code stays in one cell although it has bars, as in `int | None`."""
    return CODE_SPAN.sub(lambda code: CELL_BAR.sub(r"\|", code[0]), row)


def _count_cells(row: str) -> int:
    """The number of cells in a row of a table."""
    return len(CELL_BAR.split(row.strip("> \t").removeprefix("|").removesuffix("|")))


def is_sparse(*, rows: int, columns: int, cells: int) -> bool:
    """Whether a table has so few cells that most of its places would be empty."""
    return rows * columns > SPARSE * cells


def _add_cells(row: str, cells: int, cell: str) -> str:
    missing = cells - _count_cells(row)
    if missing <= 0:
        return row
    row = row.rstrip()
    return (row if row.endswith("|") else f"{row}|") + cell * missing

"""What is done to a draft before a parser of Markdown may see it."""

import re
import textwrap

# No pattern may take longer than its text is long, so each part of one has a single way to match.
FENCE = re.compile(r"^ {0,3}(`{3,}+|~{3,}+)[ \t]*+((?:[^`\n]*[^`\n \t])?)[ \t]*$")
MARKDOWN = ("markdown", "md", "mdx")  # as a fence names it
OUTSIDE = 4  # lines before and after a fence around a draft: "Here is your report:"
BLOCK = re.compile(r"^(#{1,6} |[-*+] |\d+[.)] |> |\||```)", re.MULTILINE)

WORD = r"A-Za-z0-9\u00c0-\u1fff"  # letters after which a dollar begins no formula: not Han or kana
UNIT = r"\u1100-\u11ff\u3040-\uffdc"  # Chinese, Japanese or Korean after the number of a price
ENVIRONMENTS = "equation|align|gather|multline|eqnarray|flalign|alignat|cases|[pbvBV]?matrix|split"
# The first branch is code, in which a dollar is a dollar. A formula has no blank line, and a
# closing dollar has no space before it and no digit after it, or "$5 and $10" would be one.
FORMULA_SOURCE = rf"""
    ^[ \t>*+-]*(?P<fence>`{{3,}}|~{{3,}})[^`\n]*\n
        (?:.*\n)*?(?:[ \t>]*(?P=fence)[`~]*[ \t]*$|.*\Z)
    | (?<!`)(?P<ticks>`+)(?!`)(?:[^\n]|\n(?![ \t]*\n)){{1,2000}}?(?<!`)(?P=ticks)(?!`)
    | ^[ ]{{0,3}}\[(?P<source>\d{{1,9}})\](?P<colon>:?)[ \t]+(?=\S)
    | \\\\
    | \\\((?P<round>(?:[^\n\\]|\n(?![ \t>]*\n)|\\(?![()]))+?)\\\)
    | \\\[(?P<square>(?:[^\n\\]|\n(?![ \t>]*\n)|\\(?![\[\]]))+?)\\\]
    | \\begin\{{(?P<name>(?:{ENVIRONMENTS})\*?)\}}
        (?:[^\n\\]|\n(?![ \t>]*\n)|\\(?!(?:begin|end)\{{(?P=name)\}}))+?\\end\{{(?P=name)\}}
    | \\.
    | \$\$(?P<double>(?:[^\n$]|\n(?![ \t>]*\n))+?)\$\$
    | ROW
    | [ ]?(?P<citation>\ue200[^\ue200\ue201\n]*\ue201|【\d+(?::\d+)?†[^【】\n]*】
        |:contentReference\[[^\[\]\n]*\](?:\{{[^{{}}\n]*\}})?)
    | (?<![{WORD}])(?<!\$)(?!\$[\d.,]+[{UNIT}])
        \$(?P<single>(?![\s$])(?:INNER|\n(?![ \t>]*\n)|\\.)*?(?<!\s))\$(?![\d$])
    """
FORMULA = re.compile(
    FORMULA_SOURCE.replace("INNER", r"[^\n$\\]").replace("ROW", r"^[ \t>]*\|(?P<row>.*)$"),
    re.MULTILINE | re.VERBOSE,
)
# In the row of a table, a stroke outside of brackets ends the cell.
FORMULA_IN_ROW = re.compile(
    FORMULA_SOURCE.replace("INNER", r"[^\n$\\|({]|(?>\([^()\n$]*\)|\{[^{}\n$]*\}|[({])").replace(
        "ROW", "(?P<row>(?!))"
    ),
    re.MULTILINE | re.VERBOSE,
)
ENTRY = re.compile(r"^ {0,3}\[(\d{1,9})\]:?[ \t]+\S", re.MULTILINE)
PRICE = re.compile(r"\d(?=.*?(?:\s|[A-Za-z]{2}))[^\\^_={}<>+]*|[A-Z_]{2,}\W?", re.DOTALL)
CURRENCY = re.compile(r"\d.*(?<![A-Za-z])[A-Z][A-Za-z]{0,2}", re.DOTALL)  # "30 or R", of "R$ 150"
THOUGHTS = re.compile(r"\A\s*<(think|thinking|reasoning)>.*?</\1>\s*", re.DOTALL)
FRONT_MATTER = re.compile(r"\A---[ \t]*\n((?:(?:[\w-]+:|- |[ \t]).*\n|\n)++)---[ \t]*\n")
DELIMITERS = re.compile(r"[ \t>]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+")
PICTURE = re.compile(
    r"(?<=[(\"'])data:image/[\w.+;=-]+,(?:<svg(?:(?!<svg).)*?</svg>|(?:[^\s()\"'<>]|\([^\s()\"'<>]*\))+)"
)
MATHEMATICAL = re.compile(r"[\\^_=+<>{}/|*\-]")  # without one of these, \[1\] is a citation
SPARSE = 10  # places for each cell: a table that has more of them would be nearly empty
DISPLAYED = ("\\[", "$$", "\\begin")  # how formulas begin that stand apart
HIDDEN_LIMIT = 0xFFF0  # formulas: as many as there are private characters for
FIRST = 0xF0000  # the private character that stands for the first formula
HIDDEN = re.compile("[\U000f0000-\U000ffffd]")


def unwrap(text: str) -> str:
    """The draft without a fence or an indentation that a model has put around the whole of it."""
    text = _unindent(text)
    lines = text.split("\n")
    filled = [number for number, line in enumerate(lines) if line.strip()]
    for first in filled[: OUTSIDE + 1]:
        fence = FENCE.match(lines[first])
        if not fence:
            continue
        around = fence[2].lower() in MARKDOWN
        for last in filled[: -OUTSIDE - 2 : -1]:
            closing = FENCE.match(lines[last])
            inside = lines[first + 1 : last]
            if not closing or closing[2] or closing[1] != fence[1] or last <= first:
                continue
            marks = sum(1 for line in inside if FENCE.match(line))
            whole = not fence[2] and (first, last) == (filled[0], filled[-1])
            outside = "\n".join([*lines[:first], *lines[last + 1 :]])
            if (
                marks % 2 == 0
                and not BLOCK.search(outside)
                and (around or (whole and re.match(r"\s*#", "\n".join(inside))))
            ):
                inside = _unindent("\n".join(inside)).split("\n")
                return "\n".join([*lines[:first], "", *inside, "", *lines[last + 1 :]])
        break
    return _lengthen_fences(text)


def _unindent(text: str) -> str:
    """The text less an indentation of all its lines, or of all but the first."""
    if re.match(r" {4}|\t", text.lstrip("\n")):
        return textwrap.dedent(text.expandtabs(4))
    first, _, rest = text.partition("\n")
    dedented = textwrap.dedent(rest.expandtabs(4))
    indented = rest.startswith(("    ", "\n    ", "\t", "\n\t")) and dedented != rest
    return f"{first}\n{dedented}" if indented and len(BLOCK.findall(dedented)) > 2 else text


def _lengthen_fences(text: str) -> str:
    """The text with longer fences around Markdown that has fences in it: models nest equal ones."""
    lines = text.split("\n")
    opened: dict[str, list[tuple[int, str]]] = {}  # by each mark: the lines, and what is beside
    for end, line in enumerate(lines):
        if not (fence := FENCE.match(line)):
            continue
        above = opened.setdefault(fence[1], [])
        if fence[2]:
            above.append((end, fence[2]))
        elif above:
            number, info = above.pop()
            inside = (fence[1] in line for line in lines[number + 1 : end])
            if info.lower() in MARKDOWN and any(inside):
                lines[number] = fence[1][0] * 8 + info
                lines[end] = fence[1][0] * 8
    return "\n".join(lines)


def replace_front_matter(text: str) -> str:
    """The draft with a title, a line of author and day, in place of YAML and a model's thoughts."""
    text = THOUGHTS.sub("", text)
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
    """The draft with room for each cell of its tables, one a run of rows, and spaces after "##"."""
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
        out.append(re.sub(r"^( {0,3}#{2,6})(?=[^\s#])", r"\1 ", line))
        header = out[-2] if len(out) > 1 else ""
        if not (len(line) > 2 and "|" in header and "-" in line and DELIMITERS.fullmatch(line)):
            continue
        rows: list[str] = []
        while number < len(lines):
            skipped = number
            while skipped < len(lines) and not lines[skipped].strip("> "):
                skipped += 1
            apart = skipped > number
            row = lines[skipped] if skipped < len(lines) else ""
            following = lines[skipped + 1] if skipped + 1 < len(lines) else ""
            begins = "-" in following and DELIMITERS.fullmatch(following)
            if "|" not in row or begins or (apart and not row.strip("> ").startswith("|")):
                break
            rows.append(row)
            number = skipped + 1
        table = [header, line, *rows]
        cells = [count_cells(row) for row in table]
        most = max(cells)
        if is_sparse(rows=len(table), columns=most, cells=sum(cells)):
            out[-2:] = ["```", *table, "```"]
        else:
            out[-2:] = [_widen(header, most, "  |"), _widen(line, most, "--|"), *rows]
    return "\n".join(out)


def count_cells(row: str) -> int:
    """The number of cells in a row of a table."""
    return len(re.split(r"(?<!\\)\|", row.strip("> \t").removeprefix("|").removesuffix("|")))


def is_sparse(*, rows: int, columns: int, cells: int) -> bool:
    """Whether a table has so few cells that most of its places would be empty."""
    return rows * columns > SPARSE * cells


def _widen(row: str, cells: int, cell: str) -> str:
    missing = cells - count_cells(row)
    if missing <= 0:
        return row
    row = row.rstrip()
    return (row if row.endswith("|") else f"{row}|") + cell * missing


class Formulas:
    """The formulas of a draft, each of which a private character stands for in the parser."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.pictures: list[str] = []
        self.above, self.sign = 0, "."  # the number of the entry above, and what follows it

    def hide(self, text: str) -> str:
        """The text with a character in place of each formula: no Markdown can eat into it."""
        text = PICTURE.sub(self._hide_picture, HIDDEN.sub("\ufffd", text))
        if not any(mark in text for mark in ("$", "\\", "]:", "\n[", "\ue200", "†", ":contentRef")):
            return text  # without these the search, which takes long, finds nothing but code
        return FORMULA.sub(self._hide_one, text)

    def _hide_one(self, match: re.Match[str]) -> str:
        if match["source"]:
            return self._number_entry(match)
        if match["citation"]:
            return ""
        if match["row"] is not None:
            return FORMULA_IN_ROW.sub(self._hide_one, match[0])
        tex = match["round"] or match["square"] or match["double"] or match["single"]
        if tex is None and not match["name"]:
            return match[0]
        if match["square"] and not MATHEMATICAL.search(match["square"]):
            return match[0]
        if match["single"] and PRICE.fullmatch(match["single"]):
            return match[0]
        amount = re.match(r"\s?\d", match.string[match.end() : match.end() + 2])
        if match["single"] and amount and CURRENCY.fullmatch(match["single"]):
            return match[0]
        # In a quote, a formula's lines begin with its marks.
        source = re.sub(r"\n[ \t]*>[ \t>]*", "\n", match[0]) if "\n" in match[0] else match[0]
        if len(self.sources) > HIDDEN_LIMIT:
            return match[0]
        self.sources.append(source)
        return chr(FIRST + len(self.sources) - 1)

    def _number_entry(self, match: re.Match[str]) -> str:
        """An entry of a list of sources, "[1] A book", as an item of a numbered list.

        Markdown would take "[1]: " for the definition of a link, which is not printed.
        """
        number = int(match["source"])
        below = ENTRY.search(match.string, match.end())
        follows = 0 < self.above < number
        if not (match["colon"] or follows or (below and int(below[1]) == number + 1)):
            return match[0]
        if follows and number > self.above + 1:  # another sign begins another list
            self.sign = ".)"[self.sign == "."]
        self.above = number
        return f"\n{number}{self.sign} "

    def _hide_picture(self, match: re.Match[str]) -> str:
        self.pictures.append(match[0])
        return f"picture:{len(self.pictures) - 1}"

    def restore_picture(self, address: str) -> str:
        """The address of a picture; that of one within the draft is its data."""
        if found := re.fullmatch(r"picture:(\d+)", address):
            return "".join(self.pictures[int(found[1]) :][:1])
        return self.restore(address)

    def restore(self, text: str) -> str:
        """The text with its formulas."""
        if not self.sources:
            return text
        return HIDDEN.sub(lambda match: self.sources[ord(match[0]) - FIRST], text)

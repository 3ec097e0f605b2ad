"""Formulas, which no Markdown may eat into, and what else is found between code and prices."""

import re
from urllib.parse import unquote

# No pattern may take longer than its text is long, so each part of one has a single way to match.
# Letters after which a dollar begins no formula: not Han or kana.
LETTERS = r"A-Za-z0-9\u00c0-\u1fff"
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
    | (?<![{LETTERS}])(?<!\$)(?!\$[\d.,]+[{UNIT}])
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
MATHEMATICAL = re.compile(r"[\\^_=+<>{}/|*\-]")  # without one of these, \[1\] is a citation
DISPLAYED = ("\\[", "$$", "\\begin")  # how formulas begin that stand apart
HIDDEN_LIMIT = 0xFFF0  # formulas: as many as there are private characters for
FIRST = 0xF0000  # the private character that stands for the first formula
HIDDEN = re.compile("[\U000f0000-\U000ffffd]")
ENCODED = re.compile(r"%F3(?:%[89AB][0-9A-F]){3}")  # such a character in an address


class Formulas:
    """The formulas of a draft, each of which a private character stands for in the parser."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.above, self.sign = 0, "."  # the number of the entry above, and what follows it

    def hide(self, text: str) -> str:
        """The text with a character in place of each formula: no Markdown can eat into it."""
        text = HIDDEN.sub("\ufffd", text)
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

    def restore(self, text: str) -> str:
        """The text with its formulas."""
        if not self.sources:
            return text
        return HIDDEN.sub(lambda match: self.sources[ord(match[0]) - FIRST], text)

    def restore_address(self, address: str) -> str:
        """An address, in which the parser has encoded characters, with its dollars."""
        return self.restore(ENCODED.sub(lambda match: unquote(match[0]), address))

    def measure(self, line: str) -> int:
        """The characters of a line in the source, less the formulas that are displayed apart."""

        def show(match: re.Match[str]) -> str:
            source = self.restore(match[0])
            return "" if source.startswith(DISPLAYED) else source

        return len(HIDDEN.sub(show, line))

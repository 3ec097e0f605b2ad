"""Hides formulas from the parser, which would read their * and _ as emphasis.

The same search removes citation marks and numbers the entries of lists of sources.
"""

import re
from urllib.parse import unquote

# Every pattern must run in linear time, so each of its parts can match in one way only.
# A dollar after one of these letters does not begin a formula. After Han and kana, it may.
ALPHABETIC = r"A-Za-z0-9\u00c0-\u1fff"
UNIT = r"\u1100-\u11ff\u3040-\uffdc"  # Chinese, Japanese or Korean: units after a price's number
ENVIRONMENTS = "equation|align|gather|multline|eqnarray|flalign|alignat|cases|[pbvBV]?matrix|split"
# The first two branches are code, where a dollar is a dollar. A formula has no blank line. Its
# closing dollar has no space before it and no digit after it; otherwise, "$5 and $10" would be one.
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
    | (?<![{ALPHABETIC}])(?<!\$)(?!\$[\d.,]+[{UNIT}])
        \$(?P<single>(?![\s$])(?:INNER|\n(?![ \t>]*\n)|\\.)*?(?<!\s))\$(?![\d$])
    """
FORMULA = re.compile(
    FORMULA_SOURCE.replace("INNER", r"[^\n$\\]").replace("ROW", r"^[ \t>]*\|(?P<row>.*)$"),
    re.MULTILINE | re.VERBOSE,
)
# In a table row, a vertical bar outside brackets ends the cell, and the formula with it.
FORMULA_IN_ROW = re.compile(
    FORMULA_SOURCE.replace("INNER", r"[^\n$\\|({]|(?>\([^()\n$]*\)|\{[^{}\n$]*\}|[({])").replace(
        "ROW", "(?P<row>(?!))"
    ),
    re.MULTILINE | re.VERBOSE,
)
ENTRY = re.compile(r"^ {0,3}\[(\d{1,9})\]:?[ \t]+\S", re.MULTILINE)
PRICE = re.compile(r"\d(?=.*?(?:\s|[A-Za-z]{2}))[^\\^_={}<>+]*|[A-Z_]{2,}\W", re.DOTALL)
CURRENCY = re.compile(r"\d.*(?<![A-Za-z])[A-Z][A-Za-z]{0,2}", re.DOTALL)  # of "$30 or R$ 150"
MATHEMATICAL = re.compile(r"[\\^_=+<>{}/|*\-]")  # without one of these, \[1\] is a citation
DISPLAYED = ("\\[", "$$", "\\begin")  # beginnings of displayed formulas
HIDDEN_LIMIT = 0xFFF0  # formulas: plane 15 of Unicode has just over this many characters
FIRST = 0xF0000  # the private character that replaces the first formula
HIDDEN = re.compile("[\U000f0000-\U000ffffd]")
ENCODED = re.compile(r"%F3(?:%[89AB][0-9A-F]){3}")  # such a character in an address


class Formulas:
    """Hides the formulas of one draft in private characters, and restores them.

    `hide` keeps the formulas that `restore` puts back, so each draft needs a new object.
    """

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.above, self.sign = 0, "."  # the number of the entry above, and the sign after it

    def hide(self, text: str) -> str:
        """Return the text with a private character in place of each formula, and keep the formulas.

        It also removes citation marks, and turns entries such as "[1] A book" into numbered items.
        """
        text = HIDDEN.sub("\ufffd", text)
        if not any(mark in text for mark in ("$", "\\", "]:", "\n[", "\ue200", "†", ":contentRef")):
            return text  # without these, the search takes long and finds only code
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
        # In a quote, each line of a formula begins with ">".
        source = re.sub(r"\n[ \t]*>[ \t>]*", "\n", match[0]) if "\n" in match[0] else match[0]
        if len(self.sources) > HIDDEN_LIMIT:
            return match[0]
        self.sources.append(source)
        return chr(FIRST + len(self.sources) - 1)

    def _number_entry(self, match: re.Match[str]) -> str:
        """Turn the beginning of a source, as in "[1] A book", into that of a numbered item.

        Markdown would read "[1]: " as the definition of a link, and not print it.
        """
        number = int(match["source"])
        below = ENTRY.search(match.string, match.end())
        follows = 0 < self.above < number
        if not (match["colon"] or follows or (below and int(below[1]) == number + 1)):
            return match[0]
        if follows and number > self.above + 1:  # with another sign, the parser begins a new list
            self.sign = ".)"[self.sign == "."]
        self.above = number
        return f"\n{number}{self.sign} "

    def restore(self, text: str) -> str:
        """The text with its formulas in place of the characters that `hide` returned."""
        if not self.sources:
            return text
        return HIDDEN.sub(lambda match: self.sources[ord(match[0]) - FIRST], text)

    def restore_address(self, address: str) -> str:
        """An address with its formulas, which the parser has percent-encoded."""
        return self.restore(ENCODED.sub(lambda match: unquote(match[0]), address))

    def count_characters(self, line: str) -> int:
        """The length of a line in characters of the source, without displayed formulas."""

        def show(match: re.Match[str]) -> str:
            source = self.restore(match[0])
            return "" if source.startswith(DISPLAYED) else source

        return len(HIDDEN.sub(show, line))

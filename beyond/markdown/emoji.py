"""Emoji as signs that the page's fonts have: few mean something, and the rest is decoration."""

import re
import unicodedata
from collections.abc import Callable

from markdown_it.token import Token

GREEN, RED, AMBER, BLUE = "#1a7f37", "#c62828", "#b7791f", "#1f6feb"
SIGNS = {  # the sign for an emoji, and the colour that is part of its meaning
    **dict.fromkeys("✅✔☑", ("✔", GREEN)),
    **dict.fromkeys("❌❎✖✘", ("✘", RED)),
    **{"✓": ("✓", GREEN), "✗": ("✗", RED), "⚠": ("⚠", AMBER), "🚨": ("⚠", RED)},
    **dict.fromkeys("🚫⛔", ("⊘", RED)),
    **{"🟢": ("●", GREEN), "🟡": ("●", "#d4a017"), "🟠": ("●", "#d2691e"), "🔴": ("●", RED)},
    **{"🔵": ("●", BLUE), "🟣": ("●", "#7e57c2"), "🟤": ("●", "#795548"), "⚫": ("●", "")},
    **{"⚪": ("○", ""), "⭕": ("○", RED), "🟩": ("■", GREEN), "🟨": ("■", "#d4a017")},
    **{"🟧": ("■", "#d2691e"), "🟥": ("■", RED), "🟦": ("■", BLUE), "🟪": ("■", "#7e57c2")},
    **{"🟫": ("■", "#795548"), "⬛": ("■", ""), "⬜": ("□", ""), "🔲": ("□", ""), "🔳": ("□", "")},
    **dict.fromkeys("⭐🌟", ("★", AMBER)),
    **dict.fromkeys("❤♥", ("♥", RED)),
    **dict.fromkeys("👉➡▶", ("→", "")),
    **{"👈": ("←", ""), "⬅": ("←", ""), "⬆": ("↑", ""), "🔼": ("↑", ""), "👆": ("↑", "")},
    **{"⬇": ("↓", ""), "🔽": ("↓", ""), "👇": ("↓", ""), "↗": ("↗", ""), "↘": ("↘", "")},
    **{"↖": ("↖", ""), "↙": ("↙", ""), "↔": ("↔", ""), "↕": ("↕", ""), "↩": ("↩", "")},
    **dict.fromkeys("⏳⌛", ("⌛", "")),
    **{"❓": ("?", ""), "❔": ("?", ""), "❗": ("!", RED), "❕": ("!", ""), "‼": ("!!", RED)},
    **{"⁉": ("!?", ""), "➕": ("+", ""), "➖": ("−", ""), "➗": ("÷", ""), "💯": ("100", "")},  # noqa: RUF001
    **{
        "🔟": ("10.", ""),
        "🆗": ("OK", ""),
        "🆕": ("NEW", ""),
        "🆚": ("vs.", ""),
        "🆓": ("FREE", ""),
    },
    **{"🅰": ("A", ""), "🅱": ("B", ""), "ℹ": ("ℹ", BLUE), "©": ("©", ""), "®": ("®", "")},  # noqa: RUF001
    **{"™": ("™", ""), "♻": ("♻", GREEN), "☎": ("☎", ""), "✉": ("✉", ""), "☐": ("☐", "")},
    **{"➜": ("→", ""), "💲": ("$", ""), "♀": ("♀", ""), "♂": ("♂", ""), "∞": ("∞", "")},
    **{"♾": ("∞", ""), "🥇": ("1", ""), "🥈": ("2", ""), "🥉": ("3", "")},
}
TEXT = "✔✘✖✓✗⚠❤♥▶➜"  # of these, plain characters that get the colour of their emoji
ALONE = {"📈": "↗", "📉": "↘"}  # signs if nothing stands beside them, else decoration
JOINER, STYLE, TONES = "\u200d", "\ufe0f", "\U0001f3fb-\U0001f3ff"
PICTURE = (
    "[\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1"
    "\u26aa\u26ab\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705"
    "\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50"
    "\u2b55\U0001f004\U0001f0cf\U0001f170-\U0001f19a\U0001f201-\U0001f251\U0001f300-\U0001f64f"
    "\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7f0\U0001f90c-\U0001f9ff\U0001fa70-\U0001faff]"
    f"|[{TEXT}]|[\u00a9\u00ae\u203c-\u329a](?={STYLE})"
)
PART = f"(?:{PICTURE}){STYLE}?[{TONES}]?{STYLE}?[\U000e0020-\U000e007f]*"
EMOJI = re.compile(
    f"[0-9#*]{STYLE}?\u20e3|[\U0001f1e6-\U0001f1ff]{{2}}|{PART}(?:{JOINER}(?:{PART}|[♀♂]{STYLE}?))*"
)
DECORATION = re.compile(
    rf"(?P<before>(?:(?<![ \xa0])[ \xa0]++)?)(?P<emoji>{EMOJI.pattern})(?P<after>[ \xa0]*)"
)
IGNORED = re.compile(f"[{STYLE}\ufe0e{JOINER}{TONES}]")


def find_sign(emoji: str) -> tuple[str, str]:
    """What an emoji means and its colour; ("", "") for decoration."""
    if emoji[-1] == "\u20e3":  # the frame of a key
        return (f"{emoji[0]}." if emoji[0].isdigit() else emoji[0]), ""
    if "\U0001f1e6" <= emoji[0] <= "\U0001f1ff":  # a flag
        return "".join(chr(ord(char) - 0x1F1E6 + ord("A")) for char in emoji), ""
    if emoji[-1] > "\U000e0020":  # the flag of a part of a country, spelled out: "gbsct"
        region = "".join(chr(ord(c) - 0xE0000) for c in emoji if "\U000e0030" < c < "\U000e007b")
        return f"{region[:2]}-{region[2:]}".upper(), ""
    return SIGNS.get(IGNORED.sub("", emoji), ("", ""))


def describe(emoji: str) -> str:
    """An emoji in words, or as the sign that says as much."""
    if emoji in ALONE:
        return ALONE[emoji]
    parts = [unicodedata.name(char, "").lower() for char in IGNORED.sub("", emoji)]
    return ", ".join(part for part in parts if part)


def replace_emoji_in_line(text: str) -> str:
    """A line of plain text, such as a topic, with signs in place of emoji."""
    token = Token("text", "", 0, content=text)
    return "".join(part.content for part in replace_emoji([token]))


def replace_emoji(children: list[Token]) -> list[Token]:
    """The children of an inline token, with signs in place of emoji."""
    texts = (child.content for child in children if child.type == "text")
    if not any(EMOJI.search(text) for text in texts if not text.isascii()):
        return children
    out: list[Token] = []
    line: list[Token] = []
    for child in [*children, None]:
        if child and child.type not in ("softbreak", "hardbreak"):
            line.append(child)
            continue
        seen = "".join(c.content for c in line)
        pictures = EMOJI.sub(lambda match: "x" if find_sign(match[0])[0] else "", seen)
        alone = not re.sub(r"[\W_]", "", pictures)
        behind_label = pictures.rstrip().endswith(":") and not seen.rstrip().endswith(":")
        linked = False
        end = max((number for number, token in enumerate(line) if token.content), default=0)
        for position, token in enumerate(line):
            linked = token.type == "link_open" or (linked and token.type != "link_close")
            if token.type != "text":
                out.append(token)
                continue
            last = position >= end
            only_link = linked and not EMOJI.sub("", token.content).strip()
            named = alone or only_link or (last and behind_label)
            label = token.content.rfind(":") if behind_label else 0
            out += _split(token, describe if named else None, label, last)
        line = []
        if child:
            out.append(child)
    return out


def _split(
    token: Token, named: Callable[[str], str] | None, label: int, at_end: bool
) -> list[Token]:
    """A text as texts of one colour each; `named` puts decoration behind the label into words."""
    out: list[Token] = []

    def add(text: str, color: str = "") -> None:
        if text:
            meta = {**token.meta, "color": color} if color else token.meta
            out.append(Token("text", "", 0, content=text, level=token.level, meta=meta))

    text, position = token.content, 0
    end = len(text.rstrip())
    for match in DECORATION.finditer(text):
        add(text[position : match.start()])
        position = match.end()
        means, color = find_sign(match["emoji"])
        if not means and named and position > label:
            means = named(match["emoji"])
            if EMOJI.match(text, position):
                means += " "
        if means:
            add(match["before"])
            add(means, color)
            add(match["after"])
        elif position >= end and at_end:
            pass  # the space before it goes, too
        elif text.startswith(tuple(".,;:!?)]"), position):
            add(match["after"])
        else:
            add(match["before"])
    add(text[position:])
    return out

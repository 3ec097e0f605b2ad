"""Replaces emoji with signs that the fonts have, and removes those that only decorate."""

import re
import unicodedata
from dataclasses import replace

from markdown_it.token import Token

GREEN, RED, AMBER, BLUE = "#1a7f37", "#c62828", "#b7791f", "#1f6feb"
SIGNS = {  # an emoji: its sign, and its CSS colour or "" for that of the text
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
PLAIN_EMOJI = "✔✘✖✓✗⚠❤♥▶➜"  # characters that are emoji without a variation selector, too
ALONE = {"📈": "↗", "📉": "↘"}  # signs, instead of names, for emoji without words beside them
# The zero-width joiner, the variation selector that asks for an emoji, and the skin tones.
ZERO_WIDTH_JOINER, STYLE, TONES = "\u200d", "\ufe0f", "\U0001f3fb-\U0001f3ff"
PICTURE = (
    "[\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1"
    "\u26aa\u26ab\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705"
    "\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50"
    "\u2b55\U0001f004\U0001f0cf\U0001f170-\U0001f19a\U0001f201-\U0001f251\U0001f300-\U0001f64f"
    "\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7f0\U0001f90c-\U0001f9ff\U0001fa70-\U0001faff]"
    f"|[{PLAIN_EMOJI}]|[\u00a9\u00ae\u203c-\u329a](?={STYLE})"
)
PART = f"(?:{PICTURE}){STYLE}?[{TONES}]?{STYLE}?[\U000e0020-\U000e007f]*"
JOINED = f"{ZERO_WIDTH_JOINER}(?:{PART}|[♀♂]{STYLE}?)"
EMOJI = re.compile(f"[0-9#*]{STYLE}?\u20e3|[\U0001f1e6-\U0001f1ff]{{2}}|{PART}(?:{JOINED})*")
DECORATION = re.compile(
    rf"(?P<before>(?:(?<![ \xa0])[ \xa0]++)?)(?P<emoji>{EMOJI.pattern})(?P<after>[ \xa0]*)"
)
IGNORED = re.compile(f"[{STYLE}\ufe0e{ZERO_WIDTH_JOINER}{TONES}]")


def find_sign(emoji: str) -> tuple[str, str]:
    """The sign for an emoji, and its CSS colour or ""; ("", "") for decoration."""
    if emoji[-1] == "\u20e3":  # a keycap: a digit, # or * in a frame
        return (f"{emoji[0]}." if emoji[0].isdigit() else emoji[0]), ""
    if "\U0001f1e6" <= emoji[0] <= "\U0001f1ff":  # a flag
        return "".join(chr(ord(char) - 0x1F1E6 + ord("A")) for char in emoji), ""
    return SIGNS.get(IGNORED.sub("", emoji), ("", ""))


def name_emoji(emoji: str) -> str:
    """The Unicode name of an emoji in lower case, or its sign in `ALONE`."""
    parts = [unicodedata.name(char, "").lower() for char in IGNORED.sub("", emoji)]
    return ALONE.get(emoji) or ", ".join(filter(None, parts))


def replace_emoji_in_line(text: str) -> str:
    """A line of plain text, such as a topic, with signs in place of emoji."""
    token = Token("text", "", 0, content=text)
    return "".join(part.content for part in replace_emoji([token]))


def replace_emoji(children: list[Token]) -> list[Token]:
    """The children of an inline token with signs in place of emoji.

    Decoration is removed. If it is all that a cell or a link has, its name replaces it.
    """
    content = "".join(child.content for child in children)
    if content.isascii() or not EMOJI.search(content):
        return children
    alone = not _has_words(content)
    out: list[Token] = []
    around = zip([None, *children[:-1]], children, [*children[1:], None], strict=True)
    for before, child, after in around:
        linked = before and before.type == "link_open" and not _has_words(child.content)
        parts = _split(child, alone or bool(linked)) if child.type == "text" else [child]
        if parts and (not after or after.type.endswith("break")):
            parts[-1].content = parts[-1].content.rstrip()
        out += parts
    return out


def _has_words(text: str) -> bool:
    text = EMOJI.sub(lambda match: "x" if find_sign(match[0])[0] else "", text)
    return re.search(r"[^\W_]", text) is not None


def _split(token: Token, named: bool) -> list[Token]:
    """Split a text into texts of one colour. With `named`, its name replaces decoration."""
    parts: list[tuple[str, str]] = []
    text, position = token.content, 0
    for match in DECORATION.finditer(text):
        means, color = find_sign(match["emoji"])
        if named and not means:
            means = name_emoji(match["emoji"]) + " " * (EMOJI.match(text, match.end()) is not None)
        parts.append((text[position : match.start()], ""))
        position = match.end()
        if means:
            parts += [(match["before"], ""), (means, color), (match["after"], "")]
        else:
            closed = text.startswith(tuple(".,;:!?)]"), position)
            parts.append((match["after" if closed else "before"], ""))
    parts.append((text[position:], ""))
    return [
        replace(token, content=part, meta={**token.meta, "color": color} if color else token.meta)
        for part, color in parts
        if part
    ]

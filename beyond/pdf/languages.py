# ruff: noqa: RUF001
"""Detects the languages of a draft and of stretches in it, and where their words get hyphens."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import groupby

import pyphen

from beyond.pdf.fonts import TRADITIONAL

SCRIPTS = {  # of scripts with one language, by the first word in the Unicode name of a letter
    **{"GREEK": "el", "HEBREW": "he", "THAI": "th", "GEORGIAN": "ka", "ARMENIAN": "hy"},
    **{"HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh", "TAMIL": "ta"},
    **{"TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml", "GUJARATI": "gu", "GURMUKHI": "pa"},
    **{"KHMER": "km", "LAO": "lo", "SINHALA": "si"},
}
MOST_WRITTEN = {  # of scripts with several languages, the one that most people write
    **{"CYRILLIC": "ru", "ARABIC": "ar", "DEVANAGARI": "hi", "BENGALI": "bn", "ETHIOPIC": "am"},
}
EAST_ASIAN = {"zh", "ja", "ko"}  # these share characters, so none is marked within another
WITHOUT_SPACES = {"zh", "ja", "th", "lo", "km"}  # without spaces, two letters count as two words
# For a language that shares its script, the one that most people write in that script.
SHARED = {"uk": "ru", "fa": "ar", "ur": "ar", "mr": "hi"}
# The most frequent words of widely written languages that share a script, from frequency lists.
# "und" (undetermined) is the tag of an unknown language.
STOP_WORDS = {
    "en": "the of and a to in is that for with are this was be by from which",
    "es": "la de el los las una por con para como más pero sus está y del",
    "pt": "de o os as uma com não para mais dos das ao pelo são é um",
    "fr": "la de le les des et est une dans pour qui sur avec pas au aux du",
    "de": "der die das und ist nicht mit den von zu ein eine auf für sich",
    "it": "la il di che è gli della per sono non nel alla dei anche più",
    "nl": "het een van en niet met zijn voor aan dat ook wordt op te",
    "pl": "w i na się nie jest do że z oraz jak przez dla są",
    "tr": "ve bir bu için ile olarak da daha çok olan gibi değil",
    "vi": "và của là các được trong có cho những với không một này",
    "id": "yang dan di dengan untuk dari ini pada adalah dalam tidak akan",
    "sv": "och att det som är på för av inte med till ett den",
    "da": "og at det er på til af ikke med som en for den",
    "ro": "și în la este cu pe din care nu mai sunt pentru",
    "cs": "a v na se je že s pro jako jsou nebo také podle",
    "hu": "a az és hogy nem egy is ez meg volt vagy mint",
    "fi": "ja on ei että se oli myös ovat kuin tai joka",
    "ru": "и в не на что с как это для из по или от",
    "uk": "і в не на що з як це для та або від є",
    "ar": "في من على إلى أن هذا التي مع عن هذه كان ما",
    "fa": "و در به از که این را با است برای آن",
    "ur": "کے میں کی ہے اور سے کا کو نے پر",
    "hi": "के में की है और से का को ने पर यह",
    "bn": "এবং ও এই করে হয় থেকে জন্য একটি না সঙ্গে",
    "mr": "आणि आहे या हे ते च्या मध्ये आहेत व होते",
}
FOREIGN = re.compile(r"[^\W\d_a-zA-Z]")  # a letter that English does not have
SAMPLE = 20_000  # characters at the beginning of a draft, which show its language
HYPHENATED = "en_US"  # tried for words in which the draft's language finds no hyphen


def detect_language(text: str) -> str:
    """The tag of the language that most letters are in, such as "de"; "und" if that is unknown."""
    text = text[:SAMPLE]
    if text.isascii():
        return _find_by_words(text)
    counts: dict[str, int] = {}
    letters = "".join(FOREIGN.findall(text))
    counts[""] = len(re.findall("[a-zA-Z]", text))
    for char in dict.fromkeys(letters):  # in this order, so that every process breaks a tie alike
        script = _name_script(char)
        tag = SCRIPTS.get(script, "" if script == "LATIN" else script)
        counts[tag] = counts.get(tag, 0) + letters.count(char)
    # Most of Japanese is Han; Chinese has no kana.
    if counts.get("ja", 0) * 10 > counts.get("zh", 0):
        counts["ja"] = counts.get("ja", 0) + counts.pop("zh", 0)
    found = max(counts, key=lambda tag: counts[tag])
    if found == "zh":
        return "zh-Hant" if TRADITIONAL.search(text) else "zh-Hans"
    if found in SCRIPTS.values():
        return found
    return _find_by_words(text, MOST_WRITTEN.get(found, "und"))


def _find_by_words(text: str, otherwise: str = "und") -> str:
    """The language whose most frequent words occur most often, or `otherwise`."""
    words = Counter(re.split(r"[\s.,;:!?()]+", text.lower()))
    counts = {tag: sum(words[stop] for stop in stops.split()) for tag, stops in STOP_WORDS.items()}
    found = max(counts, key=counts.__getitem__)
    # One match is enough for English only: an English "do" is also a frequent word of Polish.
    known = counts[found] > (found != "en")
    return found if known else otherwise


def may_be_english(text: str, language: str) -> bool:
    """Whether a text is English, or too short to tell and without any other letter."""
    return language == "en" or (language == "und" and not FOREIGN.search(text))


def find_stretches(text: str, language: str) -> Iterator[tuple[int, int, str]]:
    """Find stretches of two words or more in another script than that of `language`.

    Yields start, end and language tag of each. Single letters, as in a formula, do not count,
    because a screen reader may change its voice for each stretch.
    """
    base = language.partition("-")[0]
    letters = ((place, _name_language(char)) for place, char in enumerate(text) if char.isalpha())
    for tag, group in groupby(letters, lambda letter: letter[1]):
        places = [place for place, _ in group]
        if not tag or tag in (base, SHARED.get(base)) or {tag, base} <= EAST_ASIAN:
            continue
        start, end = places[0], places[-1] + 1
        while end < len(text) and unicodedata.category(text[end])[0] == "M":
            end += 1  # a vowel sign belongs to its letter
        words = sum(map(_is_word, text[start:end].split()))
        if words > 1 or (tag in WITHOUT_SPACES and end > start + 1):
            yield start, end, tag


def _is_word(text: str) -> bool:
    """Whether a text has two letters, of which one may be a vowel sign, but not an accent."""
    letters = [c for c in text if c.isalpha() or unicodedata.category(c)[0] == "M"]
    return sum(not unicodedata.combining(letter) for letter in letters) > 1


def _name_language(char: str) -> str:
    """The language of a letter's script; "" for Latin letters and signs."""
    script = _name_script(char)
    return SCRIPTS.get(script) or MOST_WRITTEN.get(script, "")


def _name_script(char: str) -> str:
    return re.split("[ -]", unicodedata.name(char, ""))[0]


def find_hyphens(word: str, language: str) -> Iterator[list[int]]:
    """The places of a word's hyphens, in characters: in its language, then in English."""
    for tag in (pyphen.language_fallback(language) or HYPHENATED, HYPHENATED):
        yield pyphen.Pyphen(lang=tag).positions(word)

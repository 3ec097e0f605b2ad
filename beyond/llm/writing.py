"""What a model has written so far, for the person who watches."""

import re

from beyond.llm.thoughts import split_thoughts
from models import LIVE_DRAFT_LENGTH, LiveDraft

# Each Chinese or Japanese character counts as a word, as word processors have it.
HAN_AND_KANA = r"\u3040-\u30ff\u3400-\u9fff"
WORD = re.compile(rf"[{HAN_AND_KANA}]|[^\s{HAN_AND_KANA}]+")


class Writing:
    """What a model has written so far. `has_begun` is true once any text has arrived."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._thinks = False
        self.has_begun = False

    def add(self, text: str, thoughts: str = "") -> None:
        """Appends a piece of the text. `thoughts`, if any, are only noted, not kept.

        The text may begin with thoughts between marks; `make_live_draft` leaves them out.
        """
        self._pieces.append(text)
        self.has_begun = self.has_begun or bool(text)
        self._thinks = self._thinks or bool(thoughts)

    def make_live_draft(self) -> LiveDraft | None:
        """Returns the details for a heartbeat, or None before the first word or thought."""
        thoughts, text = split_thoughts("".join(self._pieces))
        if text.strip():
            return LiveDraft(text[-LIVE_DRAFT_LENGTH:], sum(1 for _ in WORD.finditer(text)))
        return LiveDraft(thinking=True) if thoughts or self._thinks else None

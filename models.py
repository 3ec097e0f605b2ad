"""The contract between the Workflow, its Activities, the Worker and the starter.

Every type is a payload, most of them in the Event History. Old histories must go on decoding, so a
field beyond the tutorial's needs a default, and a field is never renamed.
"""

from dataclasses import dataclass
from enum import StrEnum

TASK_QUEUE = "research"
WORKFLOW_TYPE = "GenerateReportWorkflow"
WORKFLOW_ID_PREFIX = "generate-research-report-workflow-"

PAYLOAD_LIMIT = 1_900_000  # bytes; Temporal refuses payloads of more than 2 MiB
DRAFT_LIMIT = 1_000_000  # bytes of an answer; a revision's payload also holds the prompt
PROMPT_LIMIT = 100_000  # characters; the payload of every call contains the prompt
LIVE_DRAFT_LENGTH = 4_000  # characters from a draft's end; more than a window shows
INSTRUCTIONS_MARK = "\n\nAdditional instructions: "  # before each one in the prompt


class UserDecision(StrEnum):
    """What a person decides. WAIT, the tutorial's word for no decision yet, changes nothing."""

    KEEP = "KEEP"
    EDIT = "EDIT"
    WAIT = "WAIT"
    UNDO = "UNDO"  # back to the previous draft, without a call to the model
    CORRECT = "CORRECT"  # the person's own text is the next draft, without a call to the model
    STOP = "STOP"  # cancels the call in progress; the previous draft stays

    @classmethod
    def _missing_(cls, value: object) -> "UserDecision | None":
        # People type the word into the Web UI, so "keep" must count, too.
        return cls.__members__.get(str(value).strip().upper())


@dataclass
class UserDecisionSignal:
    """A person's decision on a draft.

    `draft` is the number of the draft that the person judged, from 1. The tutorial's starter sends
    none: 0 means the draft that is current when the Workflow handles the decision. `text` comes
    with a CORRECT: the whole draft as the person corrected it.
    """

    decision: UserDecision
    additional_prompt: str = ""
    draft: int = 0
    text: str = ""


@dataclass
class LLMCallInput:
    """What to ask the model.

    For a revision, `draft` is the text to revise and `draft_prompt` the prompt it answered.
    """

    prompt: str
    draft: str = ""
    draft_prompt: str = ""


@dataclass
class PDFGenerationInput:
    """What to print: the approved text, the topic, and the day of approval (UTC, as YYYY-MM-DD)."""

    content: str
    filename: str = "research_pdf.pdf"
    topic: str = ""
    approved: str = ""


@dataclass
class GenerateReportInput:
    """The Workflow's input: the topic, of at most `PROMPT_LIMIT` characters."""

    prompt: str


class Phase(StrEnum):
    """What a report does. In WAITING, it waits for its person, with or without a draft."""

    RESEARCHING = "RESEARCHING"
    WAITING = "WAITING"
    CREATING_PDF = "CREATING_PDF"
    DONE = "DONE"


@dataclass
class ReportStatus:
    """The answer to the Query `get_report_status`.

    `draft` is the number of the current draft, 0 before the first, and `text` is its text. `prompt`
    is the topic with the instructions that the draft answers. `error` tells the person what went
    wrong, or is "". `earlier_drafts` is how many times UNDO can go back. If `topic_refused`, the
    next instruction replaces the topic. `origin` says in a sentence which decision led to the
    draft, or is "" for the first.
    """

    phase: Phase
    draft: int
    prompt: str
    error: str
    text: str = ""
    earlier_drafts: int = 0
    topic_refused: bool = False
    origin: str = ""


@dataclass
class LiveDraft:
    """What the model has written of a draft so far: the details of `llm_call`'s heartbeats.

    `text` is its last `LIVE_DRAFT_LENGTH` characters at most, and `words` is the number of all its
    words. `thinking` is true until a reasoning model writes its first word.
    """

    text: str = ""
    words: int = 0
    thinking: bool = False

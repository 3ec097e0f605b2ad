"""The contract between the Workflow, its Activities, the Worker and the starter.

Every type here is a payload in the Event History. Old histories must go on decoding, so a new
field needs a default, and a field is never renamed.
"""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

TASK_QUEUE = "research"
WORKFLOW_ID_PREFIX = "generate-research-report-workflow-"
PAYLOAD_LIMIT = 1_900_000  # bytes; at 2 MiB, Temporal would refuse the step that carries them
# Characters. Each step carries the prompt, and Temporal takes at most 2 MB a step.
PROMPT_LIMIT = 100_000
PROMPT_TOO_LONG = f"The prompt is too long: {PROMPT_LIMIT:,} characters are the most."
NO_DRAFT = "There is no draft to keep yet."
NO_EARLIER_DRAFT = "There is no earlier draft to go back to."


class UserDecision(StrEnum):
    KEEP = "KEEP"
    EDIT = "EDIT"
    WAIT = "WAIT"
    UNDO = "UNDO"  # back to the draft before, without a call to the model

    @classmethod
    def _missing_(cls, value: object) -> "UserDecision | None":
        # People type the word into the Web UI by hand: "keep" must count.
        return cls.__members__.get(str(value).strip().upper())


@dataclass
class UserDecisionSignal:
    """A person's decision on a draft.

    `draft` is the number of the draft that the person judged. The tutorial's starter sends none,
    which is 0 and means the current draft, or the one that the model is writing. `digest` is
    `digest_of` the text that was read, or "": after a reset, another text can bear the same number.
    """

    decision: UserDecision
    additional_prompt: str = ""
    draft: int = 0
    digest: str = ""


def digest_of(draft: str) -> str:
    """Sixteen hexadecimal digits that tell one text from another, or "" for no text."""
    # As a surrogate, half a character is legal in JSON.
    return draft and hashlib.sha256(draft.encode(errors="surrogatepass")).hexdigest()[:16]


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
    """The approved text.

    `topic` is printed under the report's title, and under it `approved`, the day of the decision
    in UTC as an ISO date. `is_first` says that this report has never asked for a PDF before, so
    that the first attempt need not search the folder for one.
    """

    content: str
    filename: str = "research_pdf.pdf"
    topic: str = ""
    approved: str = ""
    is_first: bool = False


@dataclass
class EarlierDraft:
    """What UNDO goes back to: a text, and the prompt that it answers."""

    text: str
    prompt: str


@dataclass
class ReportState:
    """What a run of the Workflow hands to the next one when it continues as new."""

    prompt: str  # the topic and the instructions that the current draft answers
    draft: str = ""
    number: int = 0  # of the current draft
    error: str = ""
    refusal: str = ""  # of the last KEEP or UNDO that did not count
    # A queue: in a single slot, each decision would overwrite the one before it.
    decisions: list[UserDecisionSignal] = field(default_factory=list)
    earlier: list[EarlierDraft] = field(default_factory=list)  # the latest last


@dataclass
class GenerateReportInput:
    prompt: str


@dataclass
class ContinuedReport:
    """The Workflow's input when it continues as new.

    A type of its own, so that the input of a new report stays what the tutorial says.
    """

    prompt: str
    carried: ReportState


class Phase(StrEnum):
    RESEARCHING = "RESEARCHING"
    WAITING = "WAITING"
    CREATING_PDF = "CREATING_PDF"
    DONE = "DONE"


@dataclass
class ReportStatus:
    """The answer to the Query `get_report_status`.

    `draft` is the number of the current draft, 0 before the first; `prompt` is the topic with the
    instructions that the draft answers; `error` is one sentence for the person, or "". `digest` is
    `digest_of` the current draft; `earlier_drafts` is how many times UNDO can go back.
    """

    phase: Phase
    draft: int
    prompt: str
    error: str
    digest: str = ""
    earlier_drafts: int = 0

"""What a provider or a proxy may send instead of a draft, and what the person then reads."""

from typing import Any

import httpx
import pytest
from asking import ANSWERS, refuse, told
from loopback_llm import LoopbackLLM, Reply, answer, as_json
from support import KEY, RESULT, WorkerProcess, edit, keep, start_report, status_when, waiting
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue

from beyond.llm.errors import make_application_error
from beyond.process import RESTART
from models import Phase

TOP_UP = f"; top up the account, or set another key in LLM_API_KEY and {RESTART}"

# pytest turns these warnings into errors. LiteLLM serializes fields that providers should not send.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer")


FOR_THE_PERSON = {
    "nothing but thoughts": (
        "EmptyAnswer",
        "openai/gpt-4o answered without any text: its reasoning reached the token limit",
    ),
    "a quota as 429": (
        "QuotaError",
        f"openai/gpt-4o: This account has no balance left; add to it{TOP_UP}",
    ),
    "a budget as 429": (
        "QuotaError",
        f"openai/gpt-4o: The budget of this key is spent: 12 of 12{TOP_UP}",
    ),
    "a hard limit as 429": (
        "QuotaError",
        f"openai/gpt-4o: The billing limit is reached{TOP_UP}",
    ),
    "detail in place of error": (
        "AuthenticationError",
        f"openai/gpt-4o: No credentials were sent; check LLM_API_KEY and {RESTART}",
    ),
    "an error that is a string": (
        "NotFoundError",
        f"openai/gpt-4o: No model is loaded; check LLM_MODEL and {RESTART}",
    ),
    "a wrong path told as 200": ("APIError", "openai/gpt-4o: There is no such endpoint here"),
}


# Answers without a draft.


@pytest.mark.parametrize(
    "text", ["", None, " \n\t ", "\u200b", "\u3000\ufeff", "\u2060 \u00ad"], ids=ascii
)
async def test_an_answer_without_readable_text_is_an_empty_answer(
    llm: LoopbackLLM, text: str | None
) -> None:
    error = await refuse(llm, answer(text))
    assert (error.type, error.non_retryable) == ("EmptyAnswer", True)
    assert error.message == "openai/gpt-4o answered without any text"


async def test_a_filter_that_leaves_nothing_refuses_the_prompt(llm: LoopbackLLM) -> None:
    error = await refuse(llm, answer("", "content_filter"))
    assert (error.type, error.non_retryable) == ("ContentPolicyViolationError", True)
    assert error.message == "openai/gpt-4o was stopped by the provider's content filter"


# Errors.


@pytest.mark.parametrize("name", FOR_THE_PERSON)
async def test_an_error_that_a_retry_cannot_fix_is_not_retried(llm: LoopbackLLM, name: str) -> None:
    error = await refuse(llm, ANSWERS[name]["body"], ANSWERS[name]["status"])
    assert (error.type, error.message) == FOR_THE_PERSON[name]
    assert error.non_retryable


@pytest.mark.parametrize(
    ("status", "name", "cure"),
    [
        (400, "BadRequestError", ""),
        (401, "AuthenticationError", f"; check LLM_API_KEY and {RESTART}"),
        (403, "APIError", "; check the permissions of this key"),
        (404, "NotFoundError", f"; check LLM_MODEL and {RESTART}"),
        (429, "RateLimitError", ""),
        (503, "ServiceUnavailableError", ""),
    ],
)
async def test_an_error_has_litellms_type_and_a_sentence_with_the_cure(
    llm: LoopbackLLM, status: int, name: str, cure: str
) -> None:
    error = await refuse(llm, Reply("Not this time.", status=status))
    assert (error.type, error.message) == (
        name,
        f"openai/gpt-4o: Not this time. Bearer [key]{cure}",
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, told("You exceeded your current quota, see your plan.", code="insufficient_quota")),
        (429, told("余额不足或无可用资源包,请充值。", code="1113")),
        (400, told("Your credit balance is too low. Please go to Plans & Billing.")),
        (400, told("ExceededBudget: Budget has been exceeded!", type="budget_exceeded")),
        (403, {"code": "no rights", "error": "Your team has used all credits."}),
        (402, told("Insufficient Balance", type="unknown_error")),
        (402, {"detail": "Payment Required"}),
        (400, told("Make sure your account is in good standing.", code="Arrearage")),
        (400, told("Billing hard limit has been reached", code="billing_hard_limit_reached")),
    ],
)
async def test_a_used_up_account_is_not_retried(llm: LoopbackLLM, status: int, body: Any) -> None:
    error = await refuse(llm, as_json(body, status, headers={"Retry-After": "17"}))
    assert (error.type, error.non_retryable) == ("QuotaError", True)
    assert error.message.endswith(TOP_UP)
    assert error.next_retry_delay is None


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            500,
            [told("An internal error occurred.", status="INTERNAL")],
            "An internal error occurred",
        ),
        (400, {"type": "error", "error": {"type": "x", "message": "too long"}}, "too long"),
        (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
        (
            500,
            told("litellm.APIError: OpenAIException - {'error': {'message': 'no GPU'}}"),
            "no GPU",
        ),
        (500, {"errors": [{"message": "worker died"}]}, "worker died"),
        (503, {"message": "no capacity"}, "no capacity"),
        (500, {"error": {"message": '{"error": {"message": "inner"}}'}}, "inner"),
        (
            404,
            {"error": "model 'llama3' not found"},
            f"model 'llama3' not found; check LLM_MODEL and {RESTART}",
        ),
        (200, told("the upstream is busy", code=502), "the upstream is busy"),
        (
            502,
            "<html><head><title>502 Bad\nGateway</title></head></html>",
            "the response is a web page: 502 Bad Gateway",
        ),
        (503, "<HTML><body>down</body></HTML>", "the response is a web page"),
        (400, "x" * 10_000, "x" * 400),
        (400, told("\x1b[2Jgone\u202e\x07"), "[2Jgone"),
    ],
)
async def test_the_error_quotes_the_innermost_message(
    llm: LoopbackLLM, status: int, body: Any, words: str
) -> None:
    assert (await refuse(llm, body, status)).message == f"openai/gpt-4o: {words}"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, told("Rejected.", code="content_policy_violation"), "ContentPolicyViolationError"),
        (403, told("Your input was flagged by moderation"), "ContentPolicyViolationError"),
        (
            400,
            told("This model's maximum context length is 8192.", code="context_length_exceeded"),
            "ContextWindowExceededError",
        ),
        (413, told("Request too large"), "ContextWindowExceededError"),
        (400, told("Invalid prompt"), "BadRequestError"),
        (400, told("API key not valid.", status="INVALID_ARGUMENT"), "AuthenticationError"),
        (400, told("The model `gpt-9` does not exist", code="model_not_found"), "NotFoundError"),
        (400, "Client sent an HTTP request to an HTTPS server.\n", "SettingsError"),
    ],
)
async def test_the_error_type_says_whether_the_prompt_was_refused(
    llm: LoopbackLLM, status: int, body: Any, kind: str
) -> None:
    error = await refuse(llm, body, status)
    assert (error.type, error.non_retryable) == (kind, True)


async def test_an_address_with_the_whole_path_gets_its_own_cure(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{llm.base_url}/chat/completions")
    error = await refuse(llm, Reply())
    assert (error.type, error.non_retryable) == ("SettingsError", True)
    assert error.message.endswith(
        f"take /chat/completions off the end of OPENAI_BASE_URL and {RESTART}"
    )


def test_an_error_whose_body_was_not_read_keeps_its_own_words() -> None:
    request = httpx.Request("POST", "http://127.0.0.1/v1")
    unread = httpx.Response(500, request=request, stream=httpx.ByteStream(b"more"))
    error = httpx.HTTPStatusError("down for an hour", request=request, response=unread)
    assert make_application_error(error, is_last_attempt=False).message == (
        "openai/gpt-4o: down for an hour"
    )


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (
            'litellm.AuthenticationError: AnthropicException - {"type":"error","error":'
            '{"type":"authentication_error","message":"invalid \\"x-api-key\\""}}',
            'invalid "x-api-key"',
        ),
        (
            "litellm.BadRequestError: litellm.ContentPolicyViolationError: "
            "ContentPolicyViolationError: OpenAIException - No. Ask otherwise.",
            "No. Ask otherwise",
        ),
        ("litellm.Timeout: APITimeoutError - Request timed out.", "Request timed out"),
        ("Error: 12 monkeys", "Error: 12 monkeys"),
    ],
)
def test_the_providers_words_are_found_in_litellms_error(raw: str, told: str) -> None:
    error = make_application_error(Exception(raw), is_last_attempt=False)
    assert error.message == f"openai/gpt-4o: {told}"


@pytest.mark.parametrize(
    "reply",
    [
        Reply("Two\nlines", status=400),
        Reply(status=502, body="<html>\n<h1>502 Bad gateway</h1>\n</html>"),
        Reply(status=400, body="x" * 10_000),
        Reply(body="<html>busy</html>"),
        Reply(body=""),
        Reply(body="null"),
        Reply(body='{"choices": [{"index": 0}]}'),  # LiteLLM answers with a stack trace
    ],
    ids=lambda reply: repr(reply.body or reply.text)[:30],
)
async def test_an_error_is_one_short_line_without_stack_or_advertisement(
    llm: LoopbackLLM, reply: Reply, capfd: pytest.CaptureFixture[str]
) -> None:
    message = (await refuse(llm, reply)).message
    assert "\n" not in message
    assert len(message) < 500
    printed = "".join(capfd.readouterr())
    for unwanted in ("Traceback", 'File "', "github.com", "Give Feedback", "docs.litellm.ai"):
        assert unwanted not in message
        assert unwanted not in printed


# Keys.


@pytest.mark.parametrize("variable", ["LLM_API_KEY", "OPENAI_API_KEY"])
@pytest.mark.parametrize("key", [KEY, "0123456789abcdef"])
async def test_no_error_quotes_the_key(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, variable: str, key: str
) -> None:
    monkeypatch.delenv("LLM_API_KEY")
    monkeypatch.setenv(variable, key)
    error = await refuse(llm, Reply(status=401))
    assert key in llm.calls[0].key
    assert key not in error.message
    assert error.__cause__ is None
    assert error.__suppress_context__  # the Event History has no LiteLLM error behind this one


async def test_no_error_quotes_a_masked_key(llm: LoopbackLLM) -> None:
    error = await refuse(llm, Reply("Incorrect API key: sk-loop******cret.", status=401))
    assert "loop" not in error.message
    assert "cret" not in error.message


@pytest.mark.parametrize("name", ["LLM_API_KEY", "MY_TOKEN", "AWS_SECRET", "OTHER_KEY"])
async def test_no_error_quotes_a_secret_of_the_environment(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "0123456789abcdef")
    error = await refuse(llm, Reply("got 0123456789abcdef,", status=400))
    assert "0123" not in error.message
    assert "got [key]," in error.message


@pytest.mark.parametrize("key", ["tab\there-and-more", "two  blanks-and-more", 'quo"te-and-\\more'])
async def test_a_key_is_hidden_before_white_space_is_folded(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OTHER_KEY", key)
    for body in (told(f"got {key}"), f"not JSON: {key}"):
        error = await refuse(llm, body, 400)
        assert "[key]" in error.message
        assert "more" not in error.message


async def test_a_key_is_hidden_before_the_text_is_cut(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", "0123456789" * 3)
    error = await refuse(llm, told("x" * 385 + "0123456789" * 3), 400)
    assert "01" not in error.message


@pytest.mark.parametrize(
    "address",
    [
        "http://bob:hunt22er@host:99999/v1",
        "bob:hunt22er@host/v1",
        "http://bob:hunt22er/x@host:x/v1",
    ],
)
async def test_no_error_quotes_a_password_in_an_address(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    message = (await refuse(llm, Reply())).message
    assert "OPENAI_BASE_URL" in message
    assert "hunt22er" not in message


# From the model to the status, the log and the Event History.


@pytest.mark.usefixtures("worker")
async def test_a_report_outlives_errors_of_both_kinds_and_shows_no_secret(
    client: Client, llm: LoopbackLLM, shared_worker: WorkerProcess
) -> None:
    """Providers quote key and prompt. No log line may have either, and no Event the key."""
    so_far = len(shared_worker.log)
    llm.replies.extend([Reply(status=500), Reply(cut=True), Reply(status=401)])
    report = await start_report(client, "the topic of bees")
    status = await status_when(report, lambda s: s.phase == Phase.WAITING)
    assert status.error.startswith("Draft 1 failed: openai/gpt-4o: ")
    assert len(llm.calls) == 3
    await edit(report)
    await waiting(report, draft=1)
    llm.replies.append(Reply("too long", status=400))
    await edit(report, "a secret instruction")
    await status_when(report, lambda s: "was dropped" in s.error)
    await report.signal("user_decision_signal", "a malformed decision")
    await waiting(report, draft=1)  # or both Signals are in one Workflow Task, and one line
    broken = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{"))
    await report.signal("user_decision_signal", args=["a malformed decision", broken])
    await keep(report, draft=1)
    assert await report.result() == RESULT
    assert llm.most_in_flight == 1
    history = b"".join(e.SerializeToString() for e in (await report.fetch_history()).events)
    assert b"the topic of bees" in history  # otherwise the searches below prove nothing
    assert KEY.encode() not in history
    log = shared_worker.log[so_far:]
    assert log.count("Ignored a Signal") == 2
    assert log.count("Completing activity as failed") == 4
    assert "Traceback" not in log
    assert "dropping the signal" not in log
    for secret in (KEY, "the topic of bees", "a secret instruction", "a malformed decision"):
        assert secret not in log

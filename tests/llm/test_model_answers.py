"""Answers of providers and gateways, as people have reported them, and what becomes of each."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from loopback_llm import LoopbackLLM, Reply
from support import edit, start_report, status_when, waiting
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from beyond.llm import complete
from beyond.llm.writing import Writing
from models import LLMCallInput, Phase

ANSWERS = {
    case["name"]: case
    for case in json.loads(Path(__file__, "..", "answers.json").resolve().read_text())
}
LIMIT = timedelta(minutes=1)
TEA = "# Tea\n\nTea is a leaf.\n\nIt is steeped in water."
THOUGHTS = "The reader wants a short text about tea. I will leave out the history."

# They are errors in pytest only. LiteLLM serializes what providers should not send.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer")

WITH_A_DRAFT = [
    "thoughts after a newline",
    "thoughts with only a closing tag",
    "thoughts in another tag",
    "thoughts in Mistral's marks",
    "thoughts in harmony channels",
    "an end token",
    "content in parts",
]
CUT_OFF = {
    "no resources left in the middle": "insufficient_system_resource",
    "a limit under another name": "length",
}
FOR_THE_PERSON = {
    "nothing but thoughts": (
        "EmptyAnswer",
        "openai/gpt-4o answered without any text: its thoughts reached the token limit",
    ),
    "a quota as 429": (
        "QuotaError",
        "openai/gpt-4o: This account has no balance left; add to it; top up the account, or set "
        "another key in LLM_API_KEY and start again",
    ),
    "a budget as 429": (
        "QuotaError",
        "openai/gpt-4o: The budget of this key is spent: 12 of 12; top up the account, or set "
        "another key in LLM_API_KEY and start again",
    ),
    "a hard limit as 429": (
        "QuotaError",
        "openai/gpt-4o: The billing limit is reached; top up the account, or set another key in "
        "LLM_API_KEY and start again",
    ),
    "detail in place of error": (
        "AuthenticationError",
        "openai/gpt-4o: No credentials were sent; check LLM_API_KEY and start again",
    ),
    "an error that is a string": (
        "NotFoundError",
        "openai/gpt-4o: No model is loaded; check LLM_MODEL and start again",
    ),
    "a wrong path told as 200": ("APIError", "openai/gpt-4o: There is no such endpoint here"),
}
ASKED_AGAIN = {
    "an upstream error in the middle": "openai/gpt-4o: the upstream went away",
    "an error in an error": "openai/gpt-4o: this small model is busy; bring a key of your own",
}


async def ask(
    llm: LoopbackLLM, body: Any, status: int = 200, retry_unusable: bool = True
) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    llm.replies.append(Reply(status=status, body=text, content_type="application/json"))
    try:
        return await complete(LLMCallInput("tea"), LIMIT, Writing(), last_try=not retry_unusable)
    finally:
        assert len(llm.calls) == 1


async def refuse(llm: LoopbackLLM, body: Any, status: int = 200) -> ApplicationError:
    with pytest.raises(ApplicationError) as error:
        await ask(llm, body, status)
    return error.value


def answer(content: str, reason: str | None = "stop", **choice: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"choices": [{"index": 0, "finish_reason": reason, "message": message, **choice}]}


def test_each_answer_is_tried() -> None:
    assert set(ANSWERS) == {*WITH_A_DRAFT, *CUT_OFF, *FOR_THE_PERSON, *ASKED_AGAIN}


@pytest.mark.parametrize("name", WITH_A_DRAFT)
async def test_the_draft_is_the_report_alone(llm: LoopbackLLM, name: str) -> None:
    result = await ask(llm, ANSWERS[name]["body"])
    [choice] = result["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (TEA, "stop")
    assert name == "an end token" or choice["message"]["reasoning_content"] == THOUGHTS


@pytest.mark.parametrize("name", CUT_OFF)
async def test_half_a_report_is_marked(llm: LoopbackLLM, name: str) -> None:
    result = await ask(llm, ANSWERS[name]["body"])
    assert result["choices"][0]["finish_reason"] == CUT_OFF[name]


@pytest.mark.parametrize("name", FOR_THE_PERSON)
async def test_what_asking_again_cannot_mend_goes_to_the_person(
    llm: LoopbackLLM, name: str
) -> None:
    error = await refuse(llm, ANSWERS[name]["body"], ANSWERS[name]["status"])
    assert (error.type, error.message) == FOR_THE_PERSON[name]
    assert error.non_retryable


@pytest.mark.parametrize("name", ASKED_AGAIN)
async def test_what_passes_is_asked_again_and_names_the_innermost_cause(
    llm: LoopbackLLM, name: str
) -> None:
    error = await refuse(llm, ANSWERS[name]["body"], ANSWERS[name]["status"])
    assert (error.message, error.non_retryable) == (ASKED_AGAIN[name], False)


# The reasons that a model had to end.


@pytest.mark.parametrize("reason", ["stop", "end_turn", "eos", "STOP", "COMPLETE", None])
async def test_a_finished_answer_is_whole(llm: LoopbackLLM, reason: str | None) -> None:
    result = await ask(llm, answer(TEA, reason))
    assert result["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("sensitive", "content_filter"),
        ("abort", "abort"),
        ("tool_calls", "tool_calls"),
        ("who_knows", "who_knows"),
    ],
)
async def test_any_other_reason_is_told(llm: LoopbackLLM, reason: str, told: str) -> None:
    result = await ask(llm, answer("# Tea\n\nTea is", reason))
    assert result["choices"][0]["finish_reason"] == told


@pytest.mark.parametrize("reason", ["error", "network_error"])
async def test_an_answer_that_broke_off_is_a_draft_in_the_end(
    llm: LoopbackLLM, reason: str
) -> None:
    """Each call is paid for: what the last one brought is shown."""
    result = await ask(llm, answer("# Tea\n\nTea is", reason), retry_unusable=False)
    assert result["choices"][0]["finish_reason"] == reason


async def test_a_filter_that_leaves_nothing_refuses_the_prompt(llm: LoopbackLLM) -> None:
    error = await refuse(llm, answer("", "content_filter"))
    assert (error.type, error.non_retryable) == ("ContentPolicyViolationError", True)
    assert error.message == "openai/gpt-4o was stopped by the provider's content filter"


# Errors of the same kinds, in other words.


def told(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            429,
            told(
                "You exceeded your current quota, please check your plan and billing details.",
                type="insufficient_quota",
                code="insufficient_quota",
            ),
        ),
        (429, told("余额不足或无可用资源包,请充值。", code="1113")),
        (
            400,
            told(
                "Your credit balance is too low to access the API. Please go to Plans & Billing.",
                type="invalid_request_error",
            ),
        ),
        (
            400,
            told(
                "ExceededBudget: Budget has been exceeded! Current cost: 1.2, Max budget: 1.0",
                type="budget_exceeded",
            ),
        ),
        (
            403,
            {
                "code": "no rights",
                "error": "Your team has used all credits or reached its spending limit.",
            },
        ),
        (402, told("Insufficient Balance", type="unknown_error")),
        (402, {"detail": "Payment Required"}),
        (
            400,
            told(
                "Access denied, please make sure your account is in good standing.",
                code="Arrearage",
            ),
        ),
        (400, told("Billing hard limit has been reached", code="billing_hard_limit_reached")),
    ],
)
async def test_an_empty_account_is_asked_once(llm: LoopbackLLM, status: int, body: Any) -> None:
    error = await refuse(llm, body, status)
    assert (error.type, error.non_retryable) == ("QuotaError", True)
    assert error.message.endswith(
        "top up the account, or set another key in LLM_API_KEY and start again"
    )


@pytest.mark.parametrize(
    "message",
    [
        "Rate limit reached on requests per min. Try again in 20s, or add a payment method.",
        "You exceeded your current quota, check your plan and billing. Please retry in 12.3s.",
        "The engine is currently overloaded, please try again later",
        "Too many requests",
    ],
)
async def test_a_limit_for_a_while_is_asked_again(llm: LoopbackLLM, message: str) -> None:
    error = await refuse(llm, told(message, status="RESOURCE_EXHAUSTED"), 429)
    assert not error.non_retryable


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            500,
            [told("An internal error has occurred.", status="INTERNAL")],
            "An internal error has occurred",
        ),
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}},
            "too long",
        ),
        (
            422,
            {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]},
            "field required",
        ),
        (
            500,
            told(
                "litellm.APIError: APIError: OpenAIException - Error code: 500 - "
                "{'error': {'message': 'the GPU is gone', 'code': 500}}"
            ),
            "the GPU is gone",
        ),
        (500, {"errors": [{"message": "worker died"}]}, "worker died"),
        (503, {"message": "no capacity"}, "no capacity"),
        (500, {"error": {"message": '{"error": {"message": "inner"}}'}}, "inner"),
        (
            404,
            {"error": "model 'llama3' not found"},
            "model 'llama3' not found; check LLM_MODEL and start again",
        ),
        (200, told("the upstream is busy", code=502), "the upstream is busy"),
    ],
)
async def test_the_innermost_words_are_told(
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
async def test_the_type_says_whether_the_prompt_was_refused(
    llm: LoopbackLLM, status: int, body: Any, kind: str
) -> None:
    error = await refuse(llm, body, status)
    assert (error.type, error.non_retryable) == (kind, True)


# The whole way.


async def test_an_edit_sends_no_thoughts(client: Client, llm: LoopbackLLM, task_queue: str) -> None:
    llm.replies.append(Reply(f"<think>{THOUGHTS}</think>\n\n{TEA}"))
    report = await start_report(client, "tea", task_queue)
    assert (await waiting(report, draft=1)).text == TEA
    await edit(report, "shorter")
    await waiting(report, draft=2)
    assert llm.calls[1].messages[1] == {"role": "assistant", "content": TEA}


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("max_output_tokens", "the model reached its token limit"),
        ("sensitive", "the provider's content filter stopped the model"),
        ("insufficient_system_resource", 'the provider says "insufficient_system_resource"'),
    ],
)
async def test_a_draft_that_is_cut_off_is_told_in_words(
    client: Client, llm: LoopbackLLM, task_queue: str, reason: str, words: str
) -> None:
    llm.replies.append(Reply("# Tea\n\nTea is", finish_reason=reason))
    report = await start_report(client, "tea", task_queue)
    assert (await waiting(report, draft=1)).error == f"Draft 1 is cut off: {words}."


@pytest.mark.parametrize("instruction", ["", "with a table please"])
async def test_a_topic_outlives_a_wrong_key(
    client: Client, llm: LoopbackLLM, task_queue: str, instruction: str
) -> None:
    llm.replies.append(Reply(status=401))
    report = await start_report(client, "tea", task_queue)
    status = await status_when(report, lambda s: s.phase == Phase.WAITING)
    assert not status.topic_refused
    await edit(report, instruction)
    prompt = (await waiting(report, draft=1)).prompt
    assert prompt.startswith("tea")
    assert prompt.endswith(instruction or "tea")

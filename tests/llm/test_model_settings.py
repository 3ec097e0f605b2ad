"""Which model settings are accepted, and what importing LiteLLM does."""

import socket

import pytest
from machine import run_python
from support import (
    KEY,
)
from temporalio.exceptions import ApplicationError

from beyond.llm import load_litellm
from beyond.llm.settings import find_obvious_problem, has_model

CURE = "Set it in .env or in the environment, or set LLM_MODEL=offline/demo for a demo."


def settings_problem() -> str:
    """Returns what the Worker says about the settings, or "" if it accepts them."""
    try:
        load_litellm()
    except ApplicationError as error:
        assert not error.non_retryable  # another Worker may be set up better
        return error.message
    return ""


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize(
    ("model", "variable"),
    [
        (None, "OPENAI_API_KEY"),
        ("openai/gpt-4o-mini", "OPENAI_API_KEY"),
        ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
        ("gemini/gemini-2.5-pro", "GEMINI_API_KEY"),
    ],
)
def test_a_missing_or_empty_key_is_refused_by_name_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, model: str | None, variable: str, value: str | None
) -> None:
    if model:
        monkeypatch.setenv("LLM_MODEL", model)
    if value is not None:
        monkeypatch.setenv("LLM_API_KEY", value)
        monkeypatch.setenv(variable, value)
    problem = settings_problem()
    assert problem.startswith("LLM_API_KEY (or ")
    assert variable in problem
    assert problem.endswith(f"is not set, and {model or 'openai/gpt-4o'} needs it. {CURE}")


@pytest.mark.parametrize("variable", ["LLM_API_KEY", "OPENAI_API_KEY"])
@pytest.mark.parametrize(
    "placeholder",
    [
        "YOUR-API-KEY",
        "your_api_key_here",
        "<key>",
        "sk-...",
        "xxx",
        "changeme",
        "replace-me",
        "...",
    ],
)
def test_a_placeholder_is_refused_by_name_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, variable: str, placeholder: str
) -> None:
    monkeypatch.setenv(variable, placeholder)
    assert settings_problem() == (
        f"{variable} holds a placeholder, not a key for openai/gpt-4o. {CURE}"
    )


@pytest.mark.parametrize("model", ["gpt", "nobody/knows-it"])
def test_an_unknown_provider_is_refused_by_name_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setenv("LLM_MODEL", model)
    monkeypatch.setenv("LLM_API_KEY", KEY)
    assert settings_problem() == (
        f"LLM_MODEL={model} does not name a provider that LiteLLM knows. "
        "Set it to provider/model, such as openai/gpt-4o."
    )


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai/gpt-4o", "LLM_API_KEY"),
        ("openai/gpt-4o", "OPENAI_API_KEY"),
        ("gpt-4o", "OPENAI_API_KEY"),
        ("anthropic/claude-sonnet-4-5", "LLM_API_KEY"),
        ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
        ("gemini/gemini-2.5-pro", "GEMINI_API_KEY"),
        ("ollama/llama3", None),
        ("lm_studio/qwen", "LM_STUDIO_API_BASE"),
        ("offline/demo", None),
    ],
)
def test_a_model_with_its_key_or_without_need_of_one_is_accepted(
    monkeypatch: pytest.MonkeyPatch, model: str, variable: str | None
) -> None:
    monkeypatch.setenv("LLM_MODEL", model)
    if variable:
        monkeypatch.setenv(variable, "0123456789abcdef")
    assert settings_problem() == ""


@pytest.mark.parametrize(
    ("model", "variable"),
    [("ollama/llama3", ""), ("openai/qwen", "OPENAI_BASE_URL"), ("openai/qwen", "OPENAI_API_BASE")],
)
def test_the_placeholder_of_env_example_is_accepted_for_a_server_of_your_own(
    monkeypatch: pytest.MonkeyPatch, model: str, variable: str
) -> None:
    monkeypatch.setenv("LLM_MODEL", model)
    monkeypatch.setenv("LLM_API_KEY", "your-api-key")
    if variable:
        monkeypatch.setenv(variable, "http://localhost:1234/v1")
    assert find_obvious_problem() == ""
    assert settings_problem() == ""


def test_a_server_of_your_own_needs_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address, LiteLLM would call OpenAI."""
    monkeypatch.setenv("LLM_MODEL", "lm_studio/qwen")
    assert settings_problem().startswith("LM_STUDIO_API_BASE is not set, and lm_studio/qwen needs")


def test_the_api_key_for_temporal_does_not_count_as_a_models_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEMPORAL_API_KEY", "a-key")
    assert not has_model()
    monkeypatch.setenv("GROQ_API_KEY", "another-key")
    assert has_model()


# What is imported.


def test_a_demo_imports_no_litellm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    code = "import asyncio, sys, activities, models; "
    code += "asyncio.run(activities.llm_call(models.LLMCallInput('bees'))); "
    code += "print('litellm' in sys.modules)"
    assert run_python(code) == "False\n"


def test_importing_litellm_does_not_stop_other_threads_for_a_garbage_collection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A collection of 0.4 s takes seconds on a busy machine, and made Workflow Tasks fail."""
    monkeypatch.setenv("LLM_API_KEY", KEY)
    code = """\
import gc, time
from beyond.llm import load_litellm

began, longest = 0, 0
def measure(phase, info):
    global began, longest
    if phase == "start":
        began = time.thread_time()
    else:
        longest = max(longest, time.thread_time() - began)

gc.callbacks.append(measure)
load_litellm()
gc.collect()
print(gc.isenabled(), longest)
"""
    is_enabled, longest = run_python(code).split()
    assert is_enabled == "True"
    assert float(longest) < 0.1  # seconds


def test_importing_litellm_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default, LiteLLM would fetch its price list from GitHub."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = "http://{}:{}".format(*proxy.getsockname())
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, address)
        for name in ("NO_PROXY", "no_proxy", "LITELLM_LOCAL_MODEL_COST_MAP"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("LLM_API_KEY", KEY)
        code = "from beyond.llm import load_litellm; print(load_litellm().__name__)"
        assert run_python(code) == "litellm\n"
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has called
            proxy.accept()


def test_importing_litellm_reads_no_other_dot_env() -> None:
    """By default, LiteLLM would read the .env above its own files: the project's."""
    code = """\
import dotenv
dotenv.load_dotenv = lambda **_: print("read")
from beyond.llm import load_litellm
load_litellm()
"""
    assert run_python(code, LLM_API_KEY=KEY) == ""

"""The model and its key, as the environment names them, and what is wrong with them."""

import os
import re
from types import ModuleType

from beyond.llm.demo import DEMO_MODEL, DEMO_MODELS

DEFAULT_MODEL = "openai/gpt-4o"

# Providers that need a key, named in a variable after them, and that take no other credentials.
PROVIDERS_WITH_KEY = {"openai", "anthropic", "deepseek", "groq", "mistral", "openrouter", "xai"}
PLACEHOLDER = re.compile(r"you|<|\.|x+$|sk-\.|change|replace|placeholder", re.IGNORECASE)
CURE = f"Set it in .env or in the environment, or set LLM_MODEL={DEMO_MODEL} for a demo."


def get_model() -> str:
    """Returns the name of the model in LiteLLM's spelling."""
    return os.environ.get("LLM_MODEL", "").strip() or DEFAULT_MODEL


def get_key(variable: str) -> str:
    """Returns the key without what is copied along with it: white space and quotation marks."""
    return os.environ.get(variable, "").strip(" \t\r\n\"'")


def find_provider_keys() -> set[str]:
    """Returns the names of the variables that hold a key for a model."""
    names = {name for name in os.environ if name.endswith("_API_KEY") and get_key(name)}
    return names - {"TEMPORAL_API_KEY"}


def find_obvious_problem() -> str:
    """Returns a sentence with the cure, or "", from what is known before LiteLLM is there."""
    model = get_model()
    if model in DEMO_MODELS:
        return ""
    provider = model.partition("/")[0]
    if problem := _find_key_problem(provider):
        return problem
    if provider in PROVIDERS_WITH_KEY and not _has_key(provider):
        return _tell_missing([_variable_of(provider)])
    return ""


def find_problem(litellm: ModuleType) -> str:
    """Returns a sentence with the cure if LiteLLM cannot call the configured model, or ""."""
    model = get_model()
    try:
        provider = litellm.get_llm_provider(model)[1]
    except litellm.BadRequestError:
        return (
            f"LLM_MODEL={model} names no provider that LiteLLM knows. "
            f"Set it to provider/model, such as {DEFAULT_MODEL}."
        )
    problem = _find_key_problem(provider)
    if problem or _has_key(provider):
        return problem
    missing = litellm.validate_environment(model)["missing_keys"]
    # Only keys: what else LiteLLM lists (addresses, cloud credentials) has defaults elsewhere.
    keys = [name for name in missing if name.endswith("_API_KEY")]
    if not keys and _variable_of(provider) in os.environ:  # empty, which LiteLLM takes for a key
        keys = [_variable_of(provider)]
    return _tell_missing(keys) if keys else ""


def _find_key_problem(provider: str) -> str:
    """Returns what is wrong with the key that would be used, or "" if nothing is or none is set."""
    for variable in _variables_for(provider):
        key = get_key(variable)
        if PLACEHOLDER.match(key):
            return f"{variable} holds a placeholder, not a key for {get_model()}. {CURE}"
        if not (key.isascii() and key.isprintable()):
            return (
                f"{variable} holds characters that no key has, such as typographic quotation "
                f"marks: copy the key again. {CURE}"
            )
        if key:
            break
    return ""


def _has_key(provider: str) -> bool:
    return any(map(get_key, _variables_for(provider)))


def _variables_for(provider: str) -> tuple[str, str]:
    return "LLM_API_KEY", _variable_of(provider)


def _variable_of(provider: str) -> str:
    return f"{provider.upper()}_API_KEY"


def _tell_missing(variables: list[str]) -> str:
    names = " or ".join(variables)
    return f"LLM_API_KEY (or {names}) is not set, and {get_model()} needs it. {CURE}"

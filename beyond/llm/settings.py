"""The model and its key, as the environment names them, and what is wrong with them."""

import os
import re
from types import ModuleType

DEFAULT_MODEL = "openai/gpt-4o"
DEMO_MODEL = "offline/demo"
SLOW_DEMO_MODEL = "offline/slow-demo"
DEMO_MODELS = (DEMO_MODEL, SLOW_DEMO_MODEL)

# Providers that need an API key and take no other credentials. Its variable is named after them.
PROVIDERS_WITH_KEY = {"openai", "anthropic", "deepseek", "groq", "mistral", "openrouter", "xai"}
# Servers that people run themselves. Without an address, LiteLLM would call OpenAI's.
PROVIDERS_WITH_ADDRESS = {"hosted_vllm", "litellm_proxy", "lm_studio", "openai_like", "xinference"}
PLACEHOLDER = re.compile(r"you|<|\.|x+$|sk-\.|change|replace|placeholder", re.IGNORECASE)
CURE = f"Set it in .env or in the environment, or set LLM_MODEL={DEMO_MODEL} for a demo."


def get_model() -> str:
    """Returns the name of the model in LiteLLM's spelling."""
    return read_setting("LLM_MODEL") or DEFAULT_MODEL


def read_setting(variable: str) -> str:
    """Returns a setting without the white space and quotation marks that were copied with it."""
    return os.environ.get(variable, "").strip(" \t\r\n\"'")


def find_key_to_send() -> str | None:
    """Returns the key in LLM_API_KEY, or None.

    A placeholder counts as a key only for a server of your own, which may ignore it.
    """
    key = read_setting("LLM_API_KEY")
    if PLACEHOLDER.match(key) and not os.environ.get(find_address_variable()):
        return None
    return key or None


def find_address_variable() -> str:
    """Returns the name of the variable that holds, or can hold, the address of the model."""
    provider = get_model().partition("/")[0].upper()
    names = [f"{provider}_BASE_URL", f"{provider}_API_BASE"]
    return next((name for name in names if os.environ.get(name)), names[-1])


def has_model() -> bool:
    """Whether a model or a key of any provider is configured."""
    keys = {name for name in os.environ if name.endswith("_API_KEY")} - {"TEMPORAL_API_KEY"}
    return any(map(read_setting, {"LLM_MODEL"} | keys))


def find_obvious_problem() -> str:
    """Returns a problem of the settings that shows without LiteLLM, with the cure, or ""."""
    provider = get_model().partition("/")[0]
    if provider not in PROVIDERS_WITH_KEY:
        return ""
    return _find_key_problem(provider, [_variable_of(provider)])


def find_problem(litellm: ModuleType) -> str:
    """Returns why LiteLLM cannot call the configured model, with the cure, or ""."""
    model = get_model()
    try:
        provider = litellm.get_llm_provider(model)[1]
    except litellm.BadRequestError:
        return (
            f"LLM_MODEL={model} does not name a provider that LiteLLM knows. "
            f"Set it to provider/model, such as {DEFAULT_MODEL}."
        )
    if provider in PROVIDERS_WITH_ADDRESS and not os.environ.get(find_address_variable()):
        return (
            f"{find_address_variable()} is not set, and {model} needs it. In .env or in the "
            "environment, set it to the server's address, such as http://localhost:1234/v1."
        )
    missing = litellm.validate_environment(model)["missing_keys"]
    # Keys only: the addresses and cloud credentials that LiteLLM also lists have other defaults.
    keys = [name for name in missing if name.endswith("_API_KEY")]
    if not keys and _variable_of(provider) in os.environ:  # LiteLLM takes an empty one for a key
        keys = [_variable_of(provider)]
    return _find_key_problem(provider, keys)


def _find_key_problem(provider: str, needed: list[str]) -> str:
    """Returns what is wrong with the key that would be sent, or "".

    A key that is not set is wrong if the model needs one: any of `needed`, the names of variables.
    A placeholder is fine for a model that needs no key and for a server of your own.
    """
    takes_placeholder = not needed or os.environ.get(find_address_variable())
    for variable in ("LLM_API_KEY", _variable_of(provider)):
        key = read_setting(variable)
        if PLACEHOLDER.match(key) and not takes_placeholder:
            return f"{variable} holds a placeholder, not a key for {get_model()}. {CURE}"
        if not (key.isascii() and key.isprintable()):
            return (
                f"{variable} holds characters that no key has, such as typographic quotation "
                f"marks: copy the key again. {CURE}"
            )
        if key:
            return ""
    if not needed:
        return ""
    names = " or ".join(needed)
    return f"LLM_API_KEY (or {names}) is not set, and {get_model()} needs it. {CURE}"


def _variable_of(provider: str) -> str:
    return f"{provider.upper()}_API_KEY"

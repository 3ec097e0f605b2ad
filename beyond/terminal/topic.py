"""The first question: what the report is about."""

from beyond.terminal.screen import Screen, replace_odd_bytes

DEFAULT_PROMPT = "Give me 5 fun and fascinating facts about tardigrades."


async def ask_for_topic(screen: Screen, topic: str) -> str:
    """Returns `topic`, or what the person types if it is empty. Raises LeaveError."""
    screen.say("Welcome to the Research Report Generator!")
    topic = replace_odd_bytes(topic) or await screen.ask("Enter your research topic or question: ")
    if topic.strip():
        return topic.strip()
    screen.say_unwrapped(f"No prompt entered. Using default: {DEFAULT_PROMPT}")
    return DEFAULT_PROMPT

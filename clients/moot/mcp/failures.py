"""Failures as agents are told of them: the same code, message and `retryable` as the command line's JSON has."""

from typing import Any

from moot.console.documents import error_body
from moot.console.text.safe_text import neutralise, shortened
from moot.mcp.hints import hint_of
from moot_protocol.errors import Code, MootError


def body_of(error: MootError) -> dict[str, Any]:
    """The error as a structure."""
    body = error_body(error)
    return body | {"message": shortened(body["message"]), "hint": hint_of(error.hint)}


def text_of(error: MootError) -> str:
    """The error as lines: code and message, and what to do next."""
    told = body_of(error)
    again = "\nThe same call may succeed later." if told["retryable"] else ""
    hint = f"\nHint: {neutralise(told['hint'])}" if error.hint else ""
    return f"{error.code}: {neutralise(told['message'])}{hint}{again}"


def defect(error: Exception) -> MootError:
    """What is said of an exception that is none of Moot's: a defect, whose kind is all that is told."""
    return MootError(f"a defect in Moot: {type(error).__name__}", code=Code.INTERNAL, hint="please report it")

"""Hand-offs: what somebody leaves for whoever goes on with an issue.

A hand-off is a comment: its text is for people and for tools that know nothing of hand-offs, and beside it, in the
comment's further fields, stands the same as data. So it is merged, exported, imported and erased as comments are.
"""

from typing import Any, Final

import msgspec

from moot_protocol.text import json_text

FIELD: Final = "handoff"
"""The comment's further field that holds the data."""


class Handoff(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is worth knowing to go on."""

    decisions: tuple[str, ...] = ()
    dead_ends: tuple[str, ...] = ()
    """What was tried and didn't work."""
    next: str = ""
    """The next step."""
    head: str = ""
    """The commit that the work stands at."""


def handoff_comment(handoff: Handoff) -> list[Any]:
    """The element for a hand-off made here, in the shape of a comment."""
    return [_text(handoff), None, None, None, {FIELD: json_text.to_text(msgspec.to_builtins(handoff))}]


def read_handoff(comment: dict[str, Any]) -> Handoff | None:
    """The hand-off in a comment's document; None for an ordinary comment, or for data that is none."""
    try:
        return msgspec.convert(comment[FIELD], Handoff)
    except (KeyError, msgspec.ValidationError):
        return None


def _text(handoff: Handoff) -> str:
    lines = [f"Handoff at {handoff.head}" if handoff.head else "Handoff"]
    lines += [f"Decided: {each}" for each in handoff.decisions]
    lines += [f"Dead end: {each}" for each in handoff.dead_ends]
    lines += [f"Next: {handoff.next}"] if handoff.next else []
    return "\n".join(lines)

"""What is different when the program is called as `bd`: the version it names, one command's name, how failures read.

Programs written for Beads compare versions, look for words in error messages and read `error` as text; what they get
here is what they look for. Called as `moot`, nothing of this applies. `docs/bd.md` tells users of it.
"""

from typing import Any, Final

from moot_protocol.errors import Code, MootError

VERSION: Final = "1.0.5"
"""The release of Beads whose commands, flags and shapes are followed: what `bd version` answers."""
NAMES: Final = {"status": "stats"}
"""Commands that Moot has under the same name with another meaning, and which of its own `bd` means by it."""

INFRA_TYPES: Final = ("agent", "role", "rig", "message")
"""Types of issues that serve to coordinate programs: lists show them only where they are asked for."""

_LOOKED_FOR: Final = {Code.NOT_FOUND: "not found", Code.LOST_RACE: "already claimed"}
"""Words that programs look for in a message, by the kind of failure."""
NO_WORKSPACE: Final = "no beads database found"
"""What `bd` says in a folder that belongs to no project."""


def message(error: MootError) -> str:
    """An error's message with the words in it that programs look for."""
    words = _LOOKED_FOR.get(error.code, "")
    told = error.message.replace("unknown flag -", "unknown flag: -", 1)
    return told if words in told else f"{told} ({words})"


def hint(text: str) -> str:
    """A hint that names commands as they are called here."""
    return text.replace("`moot ", "`bd ")


def error_document(error: MootError, *, retryable: bool) -> dict[str, Any]:
    """A failure as `bd` tells it: its message under `error`, Moot's own code beside it."""
    hints = {"hint": hint(error.hint)} if error.hint else {}
    return {"error": message(error), **hints, "code": str(error.code), "retryable": retryable}

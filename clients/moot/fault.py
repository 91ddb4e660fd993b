"""How a daemon ended that a fault has ended, as a page of the store does that is damaged in a way LMDB doesn't notice.

Python writes such an end to the daemon's log (`mootd.command`), which is this user's own file; nobody else is left to
tell of it. Loaded only once a daemon has gone.
"""

import os
from contextlib import suppress
from pathlib import Path

from moot.paths import state_folder

TAIL_BYTES = 64 * 1024
"""How much of the log is looked at: what Python says of a fault has a line for each call."""
_FAULT = "Fatal Python error: "
_STORE = "/mootd/store/"
_ADVICE = (
    "its store may be damaged: try `moot fsck`, `moot daemon logs` shows where it ended, "
    "and docs/security.md says how to go on"
)


def fault_in(text: str) -> tuple[str, str]:
    """The last fault that a log tells of, and what to do about it; two empty texts where it tells of none."""
    _, found, told = text.rpartition(_FAULT)
    if not found:
        return "", ""
    cause = "".join(character for character in told.partition("\n")[0] if character.isprintable())
    return (f"{cause} in its store", _ADVICE) if _STORE in told else (cause, "`moot daemon logs` shows where it ended")


def fault_of(pid: int) -> tuple[str, str]:
    """As `fault_in`, of what the log says since a daemon began, whose first line has its process id."""
    tail = b""
    # A log that can't be read tells of no fault: who asks has an error of its own to tell.
    with suppress(OSError), Path(f"{state_folder()}/daemon.log").open("rb") as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - TAIL_BYTES))
        tail = log.read()
    _, began, since = tail.decode("utf-8", "replace").rpartition(f'"event":"daemon.starting","pid":{pid}}}')
    return fault_in(since) if began else ("", "")

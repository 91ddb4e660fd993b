"""Exit codes: one number a kind of failure, stable, so that scripts and agents can branch on them."""

from typing import Final

from moot_protocol.errors import Code, MootError

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
DENIED: Final = 4
CONFLICT: Final = 5
UNREACHABLE: Final = 69
"""The daemon can't be reached (EX_UNAVAILABLE of sysexits)."""
TRY_AGAIN: Final = 75
"""The same command may succeed later (EX_TEMPFAIL of sysexits)."""
BAD_TOKEN: Final = 77
"""The API token that was presented isn't good (EX_NOPERM of sysexits)."""
UNMERGED: Final = 129
"""What `merge-file` was given can't be merged: git takes every code above 128 for that."""
INTERRUPTED: Final = 130
"""Ctrl-C: what a shell shows for SIGINT."""
PIPE: Final = 141
"""Nobody reads the output any more: what a shell shows for SIGPIPE."""

_EXITS: Final = {
    Code.USAGE: USAGE,
    Code.NOT_FOUND: NOT_FOUND,
    Code.AMBIGUOUS: NOT_FOUND,
    Code.DENIED: DENIED,
    Code.BAD_TOKEN: BAD_TOKEN,
    Code.CONFLICT: CONFLICT,
    Code.LOST_RACE: CONFLICT,
    Code.EXISTS: CONFLICT,
    Code.KEY_REUSED: CONFLICT,
    Code.UNREACHABLE: UNREACHABLE,
    Code.TIMEOUT: TRY_AGAIN,
    Code.BUSY: TRY_AGAIN,
    Code.STORE_LOCKED: TRY_AGAIN,
}
MEANINGS: Final = {
    OK: "done",
    FAILED: "any other failure, such as a value that is refused, or a check that found something wrong",
    USAGE: "the command line can't be read: an unknown flag, a missing argument, flags that exclude one another, "
    "a value of the wrong form; nothing was done",
    NOT_FOUND: "what was named isn't there, or could be several",
    DENIED: "it isn't allowed",
    CONFLICT: "somebody or something else was first: a claim, a name, another change",
    UNREACHABLE: "the daemon, or a remote, can't be reached",
    TRY_AGAIN: "the same command may succeed later; look first what a write did that ran out of time",
    BAD_TOKEN: "the API token isn't good",
    UNMERGED: "`merge-file` can't merge what it was given",
    INTERRUPTED: "interrupted (Ctrl-C)",
    PIPE: "nobody reads the output any more",
}
"""Every exit code there is → when a command ends with it."""


def told() -> list[tuple[str, str]]:
    """Every exit code, for people: the number, and what it means, with the error codes of `--json` that lead to it."""
    names = {number: [str(code) for code, its in _EXITS.items() if its == number] for number in MEANINGS}
    return [
        (str(number), f"{meaning} ({', '.join(names[number])})" if names[number] else meaning)
        for number, meaning in MEANINGS.items()
    ]


def exit_code(error: MootError) -> int:
    """The exit code that tells of an error."""
    return _EXITS.get(error.code, TRY_AGAIN if error.retryable else FAILED)


def as_seen(code: int, program: str) -> int:
    """An exit code as the caller is to see it: called as `bd`, every failure is 1."""
    return min(code, FAILED) if program == "bd" else code

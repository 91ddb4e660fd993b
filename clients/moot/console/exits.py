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
    Code.NOT_READY: TRY_AGAIN,
    Code.STORE_LOCKED: TRY_AGAIN,
}


def exit_code(error: MootError) -> int:
    """The exit code that tells of an error."""
    return _EXITS.get(error.code, TRY_AGAIN if error.retryable else FAILED)


def as_seen(code: int, program: str) -> int:
    """An exit code as the caller is to see it: called as `bd`, every failure is 1."""
    return min(code, FAILED) if program == "bd" else code

"""The error tree of Moot: every error a user or a peer can meet has a stable code.

    MootError
      RefusedError       this side was asked for something it will not do (bad input, lost race, missing issue…)
      MalformedError     bytes from elsewhere are not what they claim to be

Codes are never renamed. A hint says what to do next and never holds a complete destructive command, because agents
run what an error tells them to.
"""

from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """Stable error codes, as seen in `--json`, in RPC answers and in logs."""

    # Malformed bytes, in the order in which decoding checks.
    TOO_LARGE = "too_large"
    BAD_VERSION = "bad_version"
    BAD_STRUCTURE = "bad_structure"
    NOT_CANONICAL = "not_canonical"
    UNKNOWN_EPOCH = "unknown_epoch"
    BAD_SEAL = "bad_seal"
    BAD_HASH = "bad_hash"
    BAD_SIGNATURE = "bad_signature"
    BAD_KEY = "bad_key"
    WRONG_PLANE = "wrong_plane"
    NOT_CAUSAL = "not_causal"
    """Of earlier releases: nothing is refused with it now."""
    # Refusals.
    USAGE = "usage"
    INVALID = "invalid"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    EXISTS = "exists"
    DENIED = "denied"
    BAD_TOKEN = "bad_token"  # noqa: S105 - a code, no password
    CONFLICT = "conflict"
    LOST_RACE = "lost_race"
    LIMIT = "limit"
    CLOCK_AHEAD = "clock_ahead"
    NOT_READY = "not_ready"
    KEY_REUSED = "key_reused"
    # The machine.
    STORE_FULL = "store_full"
    STORE_READ_ONLY = "store_read_only"
    STORE_LOCKED = "store_locked"
    STORE_DAMAGED = "store_damaged"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    BUSY = "busy"
    INTERNAL = "internal"


STORE_CODES: Final = frozenset({Code.STORE_FULL, Code.STORE_READ_ONLY, Code.STORE_LOCKED, Code.STORE_DAMAGED})
"""What a store is refused for: it may come in the middle of a write, where other refusals come before."""


class MootError(Exception):
    """Base of all errors that Moot reports.

    Args:
        message: one sentence for people: what was wrong, and where.
        code: the stable code.
        hint: what to do next, or empty.
        retryable: whether the same request may succeed later.
        discreet: what is said instead, without the hint, to somebody from whom what they name may be hidden; empty
            where both name nothing but what was asked with.
    """

    default_code = Code.INTERNAL

    def __init__(
        self, message: str, *, code: Code | None = None, hint: str = "", retryable: bool = False, discreet: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.retryable = retryable
        self.discreet = discreet


class RefusedError(MootError):
    """A request that this side will not or cannot carry out."""

    default_code = Code.INVALID


class MalformedError(MootError):
    """Bytes that are not what they claim to be."""

    default_code = Code.BAD_STRUCTURE


REPLACED: Final = "Moot's files were replaced or removed since its daemon started"
"""What is told of a daemon that goes on with other code than is installed."""


def defect(error: BaseException, words: str, *, hint: str = "") -> MootError:
    """What to tell of an error that nobody foresaw; code that is gone was replaced or removed under a running daemon.

    Args:
        error: the error.
        words: what to say where it is a defect.
        hint: what to do then.
    """
    if isinstance(error, ImportError) or isinstance(error.__cause__, ImportError):
        words, hint = REPLACED, "`moot daemon restart`"
    return MootError(words, code=Code.INTERNAL, hint=hint)

"""The API token that a client presents: MOOT_TOKEN, or the content of the file that MOOT_TOKEN_FILE names.

Other programs of the user can read a process's environment, and it goes to every program that is started from it: the
file is the better place. Invariant: a file that others can read or could have written is refused, not used.
"""

import os
import stat

VARIABLES = ("MOOT_TOKEN", "MOOT_TOKEN_FILE")
_OTHERS = 0o077
_BYTES = 1024


class UnusableError(Exception):
    """The token that was meant can't be used; says why, and what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def is_given() -> bool:
    """Whether there is a token to present."""
    return any(os.environ.get(name) for name in VARIABLES)


def given_token() -> str:
    """The token; empty where there is none.

    Raises:
        UnusableError: the file can't be used; says why.
    """
    token = os.environ.get("MOOT_TOKEN", "").strip()
    path = os.environ.get("MOOT_TOKEN_FILE", "")
    return _from_file(path) if path and not token else token


def _from_file(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UnusableError(f"cannot read the token in {path}: {why}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableError(f"cannot read the token in {path}: it is no file")
        if status.st_mode & _OTHERS or status.st_uid not in (0, os.geteuid()):
            hint = f"make it yours alone: chmod 600 {path}"
            raise UnusableError(f"the token in {path} is not used: others can get at it", hint)
        token = os.read(descriptor, _BYTES).decode("utf-8", "replace").strip()
    finally:
        os.close(descriptor)
    if not token:
        raise UnusableError(f"there is no token in {path}")
    return token

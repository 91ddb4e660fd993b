"""What a client of either kind is told once: where it works, as whom, at which socket, and how long it waits.

The project is known when the daemon has said which one the workspace belongs to; then it stays.
"""

import os
import secrets
from pathlib import Path
from typing import Any, Final

from moot.facts import ACTORS
from moot.place import place_of
from moot.tokens import UnusableError, given_token, is_given
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import DEADLINE_MS
from moot_protocol.requests.base import Request
from moot_protocol.requests.machine import Stop

KEY_BYTES: Final = 16
_LONGEST_S: Final = 10**6
TRIES: Final = 3
"""How often a call is made where the connection is lost: a daemon that dies may take the next one along with it."""
_PAUSE_S: Final = 0.05


class Settings:
    """A client's settings.

    Args:
        folder: where it works; its project is that of the workspace found upward from there.
        actor: who acts; else as the command line finds it.
        project: the project, where it is not the workspace's.
        socket: the daemon's control socket; else this user's.
        timeout: seconds that a call may take.
        autostart: start the daemon if none runs. MOOT_NO_AUTOSTART in the environment forbids it anyway.
        token: an API token; else MOOT_TOKEN, or the content of the file that MOOT_TOKEN_FILE names.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        actor: str = "",
        project: str = "",
        socket: str | Path | None = None,
        timeout: float = DEADLINE_MS / 1000,
        autostart: bool = True,
        token: str = "",
    ) -> None:
        for name, value in (("actor", actor), ("project", project), ("token", token)):
            if not isinstance(value, str):
                raise RefusedError(f"{name} is text, and no {type(value).__name__}", code=Code.USAGE)
        self.place = place_of(folder, actor)
        self.given_token = token
        if (token or is_given()) and not (actor or any(os.environ.get(name) for name in ACTORS)):
            self.place = self.place._replace(actor="")  # the daemon knows whose token it is
        self.path = os.fspath(socket) if socket else None
        self.autostart = autostart
        self.is_found = bool(project) or not self.place.workspace
        """Whether the daemon need not be asked for the project."""
        self.plane = ""
        self.project = project
        self._timeout_ms = _milliseconds(timeout)

    def token(self) -> str:
        """The API token to present, as it is now; empty where there is none.

        Raises:
            RefusedError: `bad_token`: its file can't be used.
        """
        try:
            return self.given_token or given_token()
        except UnusableError as error:
            raise RefusedError(error.message, code=Code.BAD_TOKEN, hint=error.hint) from error

    def found(self, known: dict[str, Any] | None) -> None:
        """Take in what the daemon knows of the workspace.

        Raises:
            RefusedError: `not_found`: nothing.
        """
        if not known:
            raise self._no_project("is of a workspace that this machine doesn't know")
        self.is_found = True
        self.project, self.plane = str(known["project"]), str(known.get("plane", ""))

    def need_project(self) -> str:
        """The project.

        Raises:
            RefusedError: `not_found`: the folder belongs to none.
        """
        if not self.project:
            raise self._no_project("is not inside a workspace")
        return self.project

    def _no_project(self, why: str) -> RefusedError:
        return RefusedError(
            f"no project here: {self.place.folder} {why}",
            code=Code.NOT_FOUND,
            hint="name a folder inside one, name the project, or run `moot init` there",
        )

    def deadline_ms(self, request: Request[Any], timeout: float | None) -> int:
        """How long a call may take: as given in seconds, else as set, and beyond that what it waits for news itself.

        Raises:
            RefusedError: `usage`: it is no request, or the time is none.
        """
        if not isinstance(request, Request):
            raise RefusedError("what is called is a request of moot_protocol", code=Code.USAGE)
        waits: int = getattr(request, "wait_ms", 0)
        return self._timeout_ms + waits if timeout is None else _milliseconds(timeout)


def _milliseconds(seconds: Any) -> int:
    """A timeout in milliseconds, one at least: the daemon takes no deadline of nothing."""
    if not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_S:
        raise RefusedError(f"a timeout is a number of seconds, 0 to {_LONGEST_S}, not {seconds!r}", code=Code.USAGE)
    return max(1, round(seconds * 1000))


def new_key() -> str:
    """An idempotency key that nobody else has."""
    return secrets.token_hex(KEY_BYTES)


def is_lost(error: RefusedError) -> bool:
    """Whether an error says that the daemon went away."""
    return error.code is Code.UNREACHABLE


def may_repeat(request: Request[Any], key: str) -> bool:
    """Whether a call can be made twice and yet be done once: it only reads, or carries a key.

    A daemon that was asked to stop closes every connection: it must not be started for being asked again.
    """
    return bool(key) or not (type(request).writes or isinstance(request, Stop))


def pause_s(left: int) -> float:
    """Seconds before the next try, while so many are left: what a daemon that is dying is given to be gone."""
    return _PAUSE_S * (TRIES - left)

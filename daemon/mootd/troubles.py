"""What the daemon can't see to just now, for its log, `status` and the doctor.

Invariant: what failed stands here until it has worked again. The log has a line for when that began and one for its
end, however often it was tried in between.
"""

from typing import Final

import structlog

from moot_protocol.errors import MootError

_log: Final = structlog.get_logger()


class Troubles:
    """What failed and hasn't worked since. Safe to read from any thread."""

    def __init__(self) -> None:
        self._standing: dict[str, str] = {}
        """What it is, in the plural (`remotes`) → why, in words."""

    def now(self, what: str, error: Exception | None) -> str:
        """It failed just now and is tried again, or worked: why it stands here, in words; empty where it doesn't."""
        if error is None:
            if self._standing.pop(what, ""):
                _log.info("daemon.works_again", what=what)
            return ""
        why = error.message if isinstance(error, MootError) else f"a defect in Moot, {type(error).__name__}"
        if what not in self._standing:
            _log.error("daemon.failing", what=what, exc_info=error)
        self._standing[what] = why
        return why

    def messages(self) -> list[str]:
        """What stands, in words."""
        return [f"the daemon can't see to its {what}: {why}" for what, why in [*self._standing.items()]]

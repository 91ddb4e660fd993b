"""The file with the access rules: read again whenever it has changed, and written whole or not at all.

Invariant: rules come only from a file that nobody but the daemon's user or root can write. A file that is there and
gives no rules is an error, never the same as none.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

from moot_protocol.access.rules import Rules
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import ACCESS_BYTES
from mootd.edges.ordinary_file import open_ordinary
from mootd.edges.paths import private_folder, refusal, sync_folder

FILE_NAME: Final = "access.toml"
_WRITABLE: Final = 0o022
_MODE: Final = 0o600


class _Stamp(NamedTuple):
    inode: int
    bytes: int
    changed_ns: int


class AccessFile:
    """The rules of one machine.

    Args:
        path: where they stand; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[_Stamp, Rules] | None = None

    def rules(self) -> Rules | None:
        """The rules as they stand now; None where there is no file.

        Raises:
            RefusedError: `invalid`: it gives no rules; `denied`: others may write it, or it can't be read.
        """
        try:
            with open_ordinary(self.path) as file:
                status = os.fstat(file.fileno())
                self._check(status)
                stamp = _Stamp(status.st_ino, status.st_size, status.st_mtime_ns)
                if self._read is not None and self._read[0] == stamp:
                    return self._read[1]
                text = file.read(ACCESS_BYTES + 1)
        except FileNotFoundError:
            self._read = None
            return None
        except OSError as error:
            raise refusal(error, f"cannot read {self.path}") from error
        self._read = None
        from moot_protocol.access.file import read_rules  # noqa: PLC0415 - few machines have rules to be read

        rules = read_rules(self._decoded(text))
        self._read = (stamp, rules)
        return rules

    @property
    def last(self) -> Rules | None:
        """The rules when they were last read; None where there were none. Touches no disk."""
        return None if self._read is None else self._read[1]

    def write(self, text: str) -> None:
        """Put a text in the file's place.

        Raises:
            RefusedError: `denied` and others as the system says.
        """
        folder = private_folder(self.path.parent)
        draft = folder / f".{FILE_NAME}.new"
        try:
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
            with open(descriptor, "wb") as file:  # noqa: PTH123 - made with its mode, not given it later
                file.write(text.encode())
                file.flush()
                os.fsync(descriptor)
            draft.replace(self.path)
            sync_folder(folder)
        except OSError as error:
            raise refusal(error, f"cannot write {self.path}") from error

    def _check(self, status: os.stat_result) -> None:
        if status.st_uid not in {0, os.geteuid()} or status.st_mode & _WRITABLE:
            raise RefusedError(
                f"{self.path} can be written by others, so it gives no rules",
                code=Code.DENIED,
                hint=f"let it belong to the daemon's user: chmod go-w {self.path}",
            )

    def _decoded(self, text: bytes) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise RefusedError(f"{self.path} is not UTF-8 text") from error

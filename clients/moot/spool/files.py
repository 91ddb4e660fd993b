"""The client's side of a spool's folder: the token, the snapshot, commands put there, and answers fetched.

Invariant: a command lies under its name whole and synced, or not at all; where there is no room for it nothing is
written. What others may have put in the folder is never followed out of it, and an answer that the daemon didn't write
is none.
"""

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.limits import SNAPSHOT_BYTES, SPOOL_ANSWERS, SPOOL_FILES
from moot_protocol.spool.files import (
    ANSWER_SUFFIX,
    ANSWERS,
    BELL_FILE,
    COMMANDS,
    FOLDER,
    REFUSAL_SUFFIX,
    SNAPSHOT_FILE,
    TEMPORARY,
    TOKEN_FILE,
    Outcome,
    Token,
    answer_name,
    check_room,
    command_name,
    decode_token,
    name_parts,
    open_answer,
)
from moot_protocol.spool.snapshot_file import Snapshot, read_snapshot
from moot_protocol.time_units import HOUR_MS

WRITTEN_ANEW: Final = (
    "the daemon writes it anew after the next change, and every 10 minutes: try again then; if it stays like this, "
    "`moot spool status` and `moot daemon logs` outside the sandbox tell why"
)
FIRST_LOOK_S, LONGEST_LOOK_S = 0.02, 0.25
"""Seconds between looks for an answer: the first, and the longest after doubling."""
SETTLING_S: Final = 4.0
"""Seconds that a snapshot is waited for which is newer than the last command."""
TAKING_S: Final = 0.5
"""The same while commands wait: a daemon that is there takes them sooner."""
SETTLED_MS: Final = 60_000
"""Age of the last command at which a daemon that is there has long written a newer snapshot."""
UNTAKEN_MS: Final = 30_000
"""Age of a waiting command at which surely nobody takes any: a daemon that is there looks every two seconds."""
UNTAKEN: Final = (
    "start the daemon outside the sandbox: moot daemon start; where one runs, `moot where` outside tells whether this "
    "folder is a copy, from whose spool nothing is taken"
)
"""What to do where nobody takes commands."""
_AHEAD_MS: Final = 2 * HOUR_MS
"""How far behind the folder's clock a command's own may be: it may have waited for an answer."""
LEFT_MS: Final = 10_000
"""Age of an answer at which nobody waits for it any more."""
_TOKEN_BYTES: Final = 4096
_ANSWER_BYTES: Final = 16 * 1024 * 1024
_LOOKED_AT: Final = 2 * SPOOL_FILES
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_TO_OTHERS: Final = 0o077


class Waiting(NamedTuple):
    """What waits in the spool."""

    files: int
    size: int
    oldest_ms: int | None = None
    """When the oldest was written, in milliseconds since 1970; None where none waits."""

    def lasted_ms(self, now_ms: int) -> int:
        """For how long the oldest has waited."""
        return 0 if self.oldest_ms is None else max(now_ms - self.oldest_ms, 0)


class SpoolFiles:
    """The spool of one workspace.

    Args:
        workspace: the workspace's folder.

    Raises:
        RefusedError: `not_found`: there is no spool; `denied`: it lies open to others.
        MalformedError: its token is none.
    """

    def __init__(self, workspace: Path) -> None:
        self.path = workspace / FOLDER
        self.token: Final = self._token()

    def _token(self) -> Token:
        try:
            folder = os.stat(self.path, follow_symlinks=False)  # noqa: PTH116 - the link itself
            data = _read(self.path / TOKEN_FILE, _TOKEN_BYTES)
        except OSError as error:
            raise RefusedError(f"this workspace has no spool ({error.strerror})", code=Code.NOT_FOUND) from error
        if not stat.S_ISDIR(folder.st_mode) or folder.st_mode & _OPEN_TO_OTHERS:
            raise RefusedError(f"{self.path} is a link, or open to others", code=Code.DENIED)
        return decode_token(data)

    def snapshot(self) -> Snapshot:
        """The snapshot.

        Raises:
            RefusedError: `not_ready`: there is none yet.
            MalformedError: it is none, or not the daemon's, or of another workspace.
        """
        try:
            data = _read(self.path / SNAPSHOT_FILE, SNAPSHOT_BYTES)
        except OSError as error:
            raise RefusedError(
                f"there is no snapshot to read from ({error.strerror})",
                code=Code.NOT_READY,
                hint="the daemon writes one: try again in a moment, or start it outside the sandbox: moot daemon start",
                retryable=True,
            ) from error
        try:
            snapshot = read_snapshot(self.token.secret, data)
        except MalformedError as error:
            raise _unusable(self.path / SNAPSHOT_FILE, len(data), error) from error
        if snapshot.workspace != self.token.workspace:
            raise MalformedError("the snapshot is another workspace's")
        return snapshot

    def is_behind(self, snapshot: Snapshot, now_ms: int) -> bool:
        """Whether commands have come or gone since a snapshot was made, and what they changed may not be in it."""
        return snapshot.made_ms < self._changed_ms() <= now_ms + _AHEAD_MS

    def settled(self, snapshot: Snapshot, now_ms: int) -> Snapshot:
        """A snapshot that is not behind, if the daemon soon writes one; else the one that is there.

        Args:
            snapshot: what was read.
            now_ms: the wall clock.
        """
        begun = time.monotonic()
        look_s = FIRST_LOOK_S
        while self.is_behind(snapshot, now_ms) and now_ms - self._changed_ms() < SETTLED_MS:
            patience_s = TAKING_S if self._is_waiting() else SETTLING_S
            left_s = begun + patience_s - time.monotonic()
            if left_s <= 0:
                break
            time.sleep(min(look_s, left_s))
            look_s = min(2 * look_s, LONGEST_LOOK_S)
            snapshot = self.snapshot()
        return snapshot

    def _is_waiting(self) -> bool:
        try:
            return self.waiting().files > 0
        except OSError:
            return False

    def _changed_ms(self) -> int:
        """When a command last came or went, as the folder's own time tells it; 0 where it can't be told.

        A command goes once it is carried out, so a snapshot that is made later has what it changed.
        """
        try:
            return os.stat(self.path / COMMANDS).st_mtime_ns // 1_000_000  # noqa: PTH116 - as everywhere here
        except OSError:
            return 0

    # -- Commands ------------------------------------------------------------------------------------------------
    def waiting(self) -> Waiting:
        """How many commands wait, their bytes, and since when."""
        files = size = 0
        oldest_ms: int | None = None
        with os.scandir(self.path / COMMANDS) as entries:
            for entry in islice(entries, _LOOKED_AT):
                with suppress(FileNotFoundError):
                    size += entry.stat(follow_symlinks=False).st_size
                    files += 1
                    if parts := name_parts(entry.name):
                        oldest_ms = min(parts[0], parts[0] if oldest_ms is None else oldest_ms)
        return Waiting(files, size, oldest_ms)

    def holds(self, command: bytes) -> bool:
        """Whether a command waits."""
        try:
            with os.scandir(self.path / COMMANDS) as entries:
                names = [entry.name for entry in islice(entries, _LOOKED_AT)]
        except OSError:
            return False
        return any((parts := name_parts(name)) is not None and parts[1] == command for name in names)

    def put(self, ms: int, command: bytes, data: bytes) -> None:
        """Put a command into the spool, durably, and ring.

        Raises:
            RefusedError: `busy`: there is no room; `denied`, `store_full`: it can't be written. Nothing is then.
        """
        folder = self.path / COMMANDS
        try:
            waiting = self.waiting()
            check_room(waiting.files, waiting.size, len(data))
            _write(folder, command_name(ms, command), data)
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise RefusedError(
                f"cannot write to the spool {folder}: {error.strerror}; nothing was written",
                code=Code.STORE_FULL if is_full else Code.DENIED,
                hint="make space on that disk, then try again" if is_full else "let the sandbox write to that folder",
                retryable=is_full,
            ) from error
        with suppress(OSError):  # the daemon looks now and then anyway
            bell = os.open(self.path / BELL_FILE, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.pwrite(bell, b"\n", 0)
            finally:
                os.close(bell)

    # -- Answers -------------------------------------------------------------------------------------------------
    def wait(self, command: bytes, seconds: float) -> Outcome | None:
        """What became of a command; None where the daemon hasn't answered in time."""
        path = self.path / ANSWERS / answer_name(command, awaited=True)
        end = time.monotonic() + seconds
        look_s = FIRST_LOOK_S
        while True:
            outcome = self._fetch(path, command)
            left_s = end - time.monotonic()
            if outcome is not None or left_s <= 0:
                return outcome
            time.sleep(min(look_s, left_s))
            look_s = min(2 * look_s, LONGEST_LOOK_S)

    def forget_answer(self, command: bytes) -> None:
        """Remove what a command of this id was answered before, so that the next answer is to the next command."""
        with suppress(OSError):
            (self.path / ANSWERS / answer_name(command, awaited=True)).unlink()

    def refusals(self, actor: str, now_ms: int) -> Iterator[Outcome]:
        """What the daemon refused of an actor's since this was last asked, each told once.

        Also what was waited for, by somebody who has given up: who still waits fetches an answer at once.
        """
        with suppress(OSError), os.scandir(self.path / ANSWERS) as entries:
            for entry in sorted(islice(entries, SPOOL_ANSWERS), key=lambda entry: entry.name):
                if entry.name.endswith(REFUSAL_SUFFIX) or _is_left(entry, now_ms):
                    outcome = self._unfetched(Path(entry.path), actor)
                    if outcome is not None and outcome.error is not None:
                        yield outcome

    def _unfetched(self, path: Path, actor: str) -> Outcome | None:
        try:
            outcome = open_answer(self.token.secret, _read(path, _ANSWER_BYTES))
        except (OSError, MalformedError):
            return None
        if outcome.actor != actor:
            return None
        with suppress(OSError):
            path.unlink()
        return outcome

    def _fetch(self, path: Path, command: bytes) -> Outcome | None:
        """An answer that is there, which is removed; a forged one is as good as none."""
        try:
            outcome = open_answer(self.token.secret, _read(path, _ANSWER_BYTES), command)
        except (OSError, MalformedError):
            return None
        with suppress(OSError):
            path.unlink()
        return outcome


def _is_left(entry: "os.DirEntry[str]", now_ms: int) -> bool:
    """Whether an answer has been there for longer than anybody who waits for it would have left it."""
    if not entry.name.endswith(ANSWER_SUFFIX):
        return False
    with suppress(FileNotFoundError):
        return now_ms - entry.stat(follow_symlinks=False).st_mtime_ns // 1_000_000 > LEFT_MS
    return False


def _read(path: Path, most: int) -> bytes:
    descriptor = os.open(path, _READ)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(22, "it is not a file")
        return file.read(most + 1)


def _write(folder: Path, name: str, data: bytes) -> None:
    temporary = folder / f"{TEMPORARY}{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(folder / name)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, size: int, error: MalformedError) -> MalformedError:
    """The error of a snapshot that can't be decoded, or isn't the daemon's: which file, where it ends, what to do."""
    is_cut = "truncated" in error.message  # the decoder's word, which no name of ours is in
    what = f"it is cut off: it ends after {size:,} bytes, in the middle" if is_cut else error.message
    return MalformedError(f"the snapshot {path} can't be used: {what}", code=error.code, hint=WRITTEN_ANEW)

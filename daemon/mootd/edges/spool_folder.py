"""The folder of a spool on disk: read and written without ever following a link out of it.

Who works in a sandbox may put anything there, and may want this process, which isn't in the sandbox, to read, write or
remove elsewhere. So the folder is reached part by part without following links, everything in it is opened by
descriptor, only ordinary files of this user with one name are read, and what is renamed or removed is the name itself.
A spool that isn't as it was made (a link, open to others, a part missing) is left alone altogether, in words.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from moot_protocol.errors import Code, MalformedError, MootError, RefusedError
from moot_protocol.limits import SPOOL_ANSWERS, SPOOL_ENTRY_BYTES, SPOOL_FILES, SPOOL_REFUSED_FILES
from moot_protocol.spool.files import (
    ANSWERS,
    BELL_FILE,
    COMMANDS,
    REFUSED,
    SNAPSHOT_FILE,
    TEMPORARY,
    TOKEN_FILE,
    name_parts,
)
from mootd.edges.exposure import close_to_others
from mootd.edges.paths import PRIVATE_FOLDER, check_private, refusal

REASON_SUFFIX: Final = ".reason"
"""Ends the name of the file that says why the one before it was refused."""
_MOOT, _SPOOL = ".moot", "spool"
_LOOKED_AT: Final = 4 * SPOOL_FILES
"""Entries of a folder that are looked at: however many there are, a look takes no longer."""
_STALE_S: Final = 3600
"""Age of a file still being written at which whoever wrote it is taken for gone."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PASSED: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Waiting(NamedTuple):
    """What waits in a spool."""

    names: list[str]
    """In order."""
    size: int
    """Bytes of all of them."""
    oldest_ms: int | None
    """When the oldest command among them was written."""
    overfull: bool
    """Whether there are more than may be."""


class SpoolFolder:
    """An open spool. Made by `opened_spool`, which closes it.

    Args:
        path: for words.
        root: descriptor of the spool's folder.
        parts: descriptors of the folders in it, by name.
    """

    def __init__(self, path: Path, root: int, parts: dict[str, int]) -> None:
        self.path = path
        self._root = root
        self._parts = parts

    # -- Commands ------------------------------------------------------------------------------------------------
    def waiting(self) -> Waiting:
        """What waits, in the order of the names: that in which it was written."""
        names: list[str] = []
        size, more = 0, False
        with os.scandir(self._parts[COMMANDS]) as entries:
            for entry in islice(entries, _LOOKED_AT + 1):
                more = len(names) == _LOOKED_AT
                if entry.name.startswith(TEMPORARY):
                    continue
                with suppress(FileNotFoundError):  # taken back meanwhile: it isn't counted
                    size += entry.stat(follow_symlinks=False).st_size
                    names.append(entry.name)
        names.sort()
        times = (parts[0] for name in names if (parts := name_parts(name)))
        return Waiting(names, size, next(times, None), more or len(names) > SPOOL_FILES)

    def read(self, name: str) -> bytes:
        """A command's bytes.

        Raises:
            MalformedError: in words, why it is not read: no ordinary file, more than one name, somebody else's, too
                large.
            FileNotFoundError: it is gone.
        """
        folder = self._parts[COMMANDS]
        _check_ordinary(os.stat(name, dir_fd=folder, follow_symlinks=False))
        try:
            # Not blocking, and checked again once it is open: something else may have been put in its place.
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise MalformedError(f"it can't be read: {error.strerror}") from error
        with os.fdopen(descriptor, "rb") as opened:
            _check_ordinary(os.fstat(descriptor))
            return opened.read(SPOOL_ENTRY_BYTES + 1)

    def remove(self, name: str) -> None:
        """Remove a command that has been dealt with."""
        with suppress(FileNotFoundError):  # whoever may write there may have removed it
            os.unlink(name, dir_fd=self._parts[COMMANDS])
        os.fsync(self._parts[COMMANDS])

    def refuse(self, name: str, reason: str, now_ms: int) -> bool:
        """Put what is no command aside, with the reason; False for a folder, which stays where it is."""
        kept = f"{now_ms:013}-{sha256(os.fsencode(name)).hexdigest()[:16]}"
        folder, refused = self._parts[COMMANDS], self._parts[REFUSED]
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                return False
            self._prune(REFUSED, 2 * (SPOOL_REFUSED_FILES - 1), SPOOL_REFUSED_FILES)
            os.rename(name, kept, src_dir_fd=folder, dst_dir_fd=refused)
        except FileNotFoundError:  # whoever may write there has removed it
            return True
        self._write(refused, kept + REASON_SUFFIX, f"{name!a}: {reason}\n".encode("utf-8", "replace"))
        return True

    def refused(self) -> int:
        """How many files were put aside and are still there."""
        with os.scandir(self._parts[REFUSED]) as entries:
            return sum(1 for entry in islice(entries, _LOOKED_AT) if not entry.name.endswith(REASON_SUFFIX))

    # -- Answers and the snapshot --------------------------------------------------------------------------------
    def answer(self, name: str, data: bytes) -> None:
        """Write an answer, durably; of too many that nobody fetched the oldest make way."""
        self._prune(ANSWERS, SPOOL_ANSWERS - 1, SPOOL_ANSWERS * 9 // 10)
        self._write(self._parts[ANSWERS], name, data)

    def put(self, name: str, data: bytes) -> None:
        """Put the token or the snapshot in place, in one step."""
        self._write(self._root, name, data)

    def snapshot_ms(self) -> int | None:
        """When the snapshot was last written, in milliseconds since 1970."""
        try:
            return os.stat(SNAPSHOT_FILE, dir_fd=self._root, follow_symlinks=False).st_mtime_ns // 1_000_000
        except FileNotFoundError:
            return None

    def sweep(self, now_s: float) -> None:
        """Remove what was left half written long ago."""
        for folder in (self._root, *self._parts.values()):
            with os.scandir(folder) as entries:
                stale = [
                    entry.name
                    for entry in islice(entries, _LOOKED_AT)
                    if entry.name.startswith(TEMPORARY) and _is_stale(entry, now_s)
                ]
            for name in stale:
                with suppress(OSError):  # a folder of this name is nobody's command, and is left
                    os.unlink(name, dir_fd=folder)

    def clear(self) -> None:
        """Remove token, snapshot and what waits; what was put aside stays for people to look at."""
        for name in (SNAPSHOT_FILE, TOKEN_FILE, BELL_FILE):
            with suppress(OSError):  # it was never written, or a folder of its name is in its place
                os.unlink(name, dir_fd=self._root)
        for part in (COMMANDS, ANSWERS):
            self._prune(part, 0, 0)

    def _prune(self, part: str, most: int, kept: int) -> None:
        """Where a folder has more files than `most`, remove the oldest but `kept`: not one by one, which takes long."""
        folder = self._parts[part]
        with os.scandir(folder) as entries:
            found = list(islice(entries, _LOOKED_AT))
            if len(found) <= most:
                return
            aged = sorted((_written_ns(entry), entry.name) for entry in found)
        for _, name in aged[: len(aged) - kept]:
            with suppress(OSError):  # a folder is nobody's answer, and is left
                os.unlink(name, dir_fd=folder)

    @staticmethod
    def _write(folder: int, name: str, data: bytes) -> None:
        temporary = f"{TEMPORARY}{os.urandom(8).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)


def _written_ns(entry: "os.DirEntry[str]") -> int:
    """When a file was written, 0 for one that was fetched meanwhile."""
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns
    except FileNotFoundError:
        return 0


def _is_stale(entry: "os.DirEntry[str]", now_s: float) -> bool:
    try:
        return now_s - entry.stat(follow_symlinks=False).st_mtime > _STALE_S
    except FileNotFoundError:
        return False


def _check_ordinary(status: os.stat_result) -> None:
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise MalformedError(f"it is {words}, not a file")
    if status.st_nlink != 1:
        raise MalformedError("it is a hard link: the file has another name as well")
    if status.st_uid != os.geteuid():
        raise MalformedError(f"it belongs to user {status.st_uid}", code=Code.DENIED)
    if status.st_size > SPOOL_ENTRY_BYTES:
        raise MalformedError(f"it has {status.st_size} bytes; at most {SPOOL_ENTRY_BYTES}", code=Code.TOO_LARGE)


# -- Reaching it -------------------------------------------------------------------------------------------------
@contextmanager
def opened_spool(workspace: Path) -> Iterator[SpoolFolder]:
    """Open a spool.

    Args:
        workspace: the workspace's folder, without links in its path.

    Raises:
        RefusedError: `not_found`; `denied`: some part of it is a link, belongs to somebody else or lets others in.
    """
    path = workspace / _MOOT / _SPOOL
    with ExitStack() as stack:
        parent = _walk(stack, workspace / _MOOT)
        root = _private(stack, parent, _SPOOL, path)
        parts = {name: _private(stack, root, name, path / name) for name in (COMMANDS, ANSWERS, REFUSED)}
        yield SpoolFolder(path, root, parts)


def make_spool(workspace: Path) -> None:
    """Make the folders of a spool, and the file that lets git ignore them; what is there already is checked.

    Raises:
        RefusedError: as `opened_spool`, and where they can't be made.
    """
    path = workspace / _MOOT / _SPOOL
    with ExitStack() as stack:
        parent = _walk(stack, workspace / _MOOT)
        try:
            _ignore(parent)
            _make(parent, _SPOOL)
            root = _private(stack, parent, _SPOOL, path)
            for name in (COMMANDS, ANSWERS, REFUSED):
                _make(root, name)
                _private(stack, root, name, path / name)
        except OSError as error:
            raise refusal(error, f"cannot make the folder {path}") from error


def close_spool_folders(workspace: Path, *, is_trial: bool) -> list[Path]:
    """Take the rights of others away from a spool's folders; those that were open to them, as far as they are there."""
    path, closed = workspace / _MOOT / _SPOOL, []
    with ExitStack() as stack, suppress(RefusedError, OSError):  # the doctor's check of the spool tells of those
        folder = _walk(stack, workspace / _MOOT)
        for place in (path, *(path / name for name in (COMMANDS, ANSWERS, REFUSED))):
            found = os.open(place.name, _FOLDER, dir_fd=folder)
            stack.callback(os.close, found)
            folder = found if place == path else folder
            if close_to_others(found, is_trial=is_trial):
                closed.append(place)
    return closed


def _walk(stack: ExitStack, path: Path) -> int:
    """Open a folder of this user's, following no link on the way."""
    at = os.open("/", _PASSED)
    stack.callback(lambda: os.close(at))
    for part in path.parts[1:-1]:
        try:
            after = os.open(part, _PASSED, dir_fd=at)
        except OSError as error:
            raise refusal(error, f"cannot reach the folder {path}: {part}") from error
        os.close(at)
        at = after
    try:
        found = os.open(path.name, _FOLDER, dir_fd=at)
    except OSError as error:
        raise refusal(error, f"cannot open the folder {path}") from error
    stack.callback(os.close, found)
    owner = os.fstat(found).st_uid
    if owner != os.geteuid():
        raise RefusedError(f"{path} belongs to user {owner}, not to {os.geteuid()}", code=Code.DENIED)
    return found


def _private(stack: ExitStack, folder: int, name: str, path: Path) -> int:
    try:
        found = os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        raise refusal(error, f"cannot open the folder {path}") from error
    stack.callback(os.close, found)
    check_private(os.fstat(found), path, PRIVATE_FOLDER)
    return found


def _make(folder: int, name: str) -> None:
    with suppress(FileExistsError):  # of an earlier time; that it is a folder is found when it is opened
        os.mkdir(name, PRIVATE_FOLDER, dir_fd=folder)
        os.fsync(folder)


def _ignore(folder: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    # One that is there is the user's, or of an earlier time.
    with suppress(FileExistsError), os.fdopen(os.open(".gitignore", flags, 0o644, dir_fd=folder), "wb") as file:
        file.write(b"*\n")


# -- For people --------------------------------------------------------------------------------------------------
class Standing(NamedTuple):
    """How a spool stands, for people."""

    waiting: int = 0
    size: int = 0
    oldest_ms: int | None = None
    refused: int = 0
    snapshot_ms: int | None = None
    problem: str = ""
    """Why nothing is taken from it, or what is wrong with what lies there."""
    hint: str = ""


def standing_of(workspace: Path) -> Standing:
    """How a spool stands."""
    try:
        with opened_spool(workspace) as spool:
            waiting, refused = spool.waiting(), spool.refused()
            snapshot_ms = spool.snapshot_ms()
    except MootError as error:
        return Standing(problem=error.message, hint=error.hint or "nothing is taken from it; `moot init --spool` there")
    except OSError as error:
        return Standing(problem=f"{workspace / _MOOT / _SPOOL}: {error.strerror}")
    problem = f"more than {SPOOL_FILES} files lie in it" if waiting.overfull else ""
    return Standing(len(waiting.names), waiting.size, waiting.oldest_ms, refused, snapshot_ms, problem)

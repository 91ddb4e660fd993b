"""A mirrored file on the disk: reached step by step from its folder, no link followed, replaced by a rename beside it.

Invariant: each step below the folder is opened relative to the one before with O_NOFOLLOW, so that a link put anywhere
in between, at whatever moment, is refused and never leads out of the folder. Nothing is written below `.git` or
`.moot`.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import MIB, MIRROR_BYTES
from mootd.files import Stamp

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LINKS: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})
_GONE: Final = errno.ENOENT
_OWNERS: Final = {".git": "git", "git~1": "git", ".moot": "Moot", "moot~1": "Moot"}
"""Whose the folders of these names are."""
_CODES: Final = {
    errno.EACCES: Code.STORE_READ_ONLY,
    errno.EPERM: Code.STORE_READ_ONLY,
    errno.EROFS: Code.STORE_READ_ONLY,
    errno.ENOSPC: Code.STORE_FULL,
    errno.EDQUOT: Code.STORE_FULL,
}


class DiskFile:
    """One file in a folder.

    Args:
        folder: an absolute path; links in it are the user's own and followed.
        file: the file's path below it, whose every part is a plain name.

    Raises:
        RefusedError: `denied` for a path that leads out of the folder.
    """

    def __init__(self, folder: str, file: str) -> None:
        self._folder = folder
        self._path = f"{folder}/{file}"
        *self._between, self._name = file.split("/")
        if any(part in {"", ".", ".."} for part in (*self._between, self._name)) or not folder.startswith("/"):
            raise RefusedError(f"{file!a} leads out of the folder", code=Code.DENIED)
        self._temporary = f".{self._name[:200]}.moot-new"

    def check_place(self) -> None:
        """Refuse a file that lies where git or Moot keep what is theirs."""
        for part in os.path.realpath(self._path).split("/"):
            owner = _owner_of(part)
            if owner:
                raise RefusedError(
                    f"{self._path} lies in {part}, which is {owner}'s own",
                    code=Code.DENIED,
                    hint="a mirror is a file of issues beside the project's others: `moot export -o FILE` writes one",
                )

    def stamp(self) -> Stamp | None:
        """What it looks like now."""
        try:
            with self._opened() as parent:
                found = os.stat(self._name, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno == _GONE:
                return None
            raise self._refusal(error) from error
        self._check(found)
        return _stamp(found)

    def read(self) -> bytes:
        """Its whole content."""
        try:
            with self._opened() as parent:
                return self._content(parent)
        except OSError as error:
            raise self._refusal(error) from error

    def replace(self, expected: bytes, content: bytes) -> bool:
        """Put other content in its place."""
        self.check_place()
        try:
            with self._opened() as parent:
                found = os.stat(self._name, dir_fd=parent, follow_symlinks=False)
                if not found.st_mode & stat.S_IWUSR:  # a rename would pass over what its owner asked for
                    raise RefusedError(f"{self._path} is read-only", code=Code.STORE_READ_ONLY)
                self._write_beside(parent, content, stat.S_IMODE(found.st_mode))
                try:
                    if self._content(parent) != expected:
                        return False
                    os.rename(self._temporary, self._name, src_dir_fd=parent, dst_dir_fd=parent)
                finally:
                    with suppress(FileNotFoundError):  # it was renamed, as it should be
                        os.unlink(self._temporary, dir_fd=parent)
                os.fsync(parent)
        except OSError as error:
            raise self._refusal(error) from error
        return True

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder that holds the file."""
        parent = os.open(self._folder, _FOLDER)
        try:
            for part in self._between:
                below = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
                os.close(parent)
                parent = below
            yield parent
        finally:
            os.close(parent)

    def _content(self, parent: int) -> bytes:
        descriptor = os.open(self._name, _FILE, dir_fd=parent)
        with os.fdopen(descriptor, "rb") as file:
            self._check(os.fstat(descriptor))
            content = file.read(MIRROR_BYTES + 1)
        if len(content) > MIRROR_BYTES:
            raise RefusedError(f"{self._path} holds more than {MIRROR_BYTES // MIB} MiB", code=Code.LIMIT)
        return content

    def _write_beside(self, parent: int, content: bytes, mode: int) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._temporary, dir_fd=parent)  # of a daemon that was killed
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._temporary, flags, 0o600, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)

    def _check(self, found: os.stat_result) -> None:
        if stat.S_ISLNK(found.st_mode):
            raise RefusedError(f"{self._path} is a link", code=Code.DENIED, hint="a mirror is a file of its own")
        if not stat.S_ISREG(found.st_mode):
            raise RefusedError(f"{self._path} is no plain file", code=Code.DENIED)

    def _refusal(self, error: OSError) -> RefusedError:
        if error.errno == _GONE:
            return RefusedError(f"there is no {self._path}", code=Code.NOT_FOUND)
        if error.errno in _LINKS:
            return RefusedError(
                f"a part of {self._path} is a link, or no folder",
                code=Code.DENIED,
                hint="a mirror is a file of its own, in a folder of its own",
            )
        return RefusedError(f"{self._path}: {error.strerror}", code=_CODES.get(error.errno or 0, Code.DENIED))


def _owner_of(part: str) -> str:
    """Who keeps what is theirs in a folder, or a file, of this name; empty for any other.

    On file systems of other machines a name means the same in other cases of its letters, with dots and blanks behind
    it, with characters that show nothing, or cut short.
    """
    bare = "".join(each for each in part if each.isprintable()).casefold().rstrip(". ")
    return _OWNERS.get(bare, "")


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_ino, found.st_size, max(found.st_mtime_ns, found.st_ctime_ns))

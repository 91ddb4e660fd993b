"""A backup's folder: where it may lie, the small files in it, and the list by which it is known to be whole.

    FOLDER/log/data.mdb            a copy of the store (written by the store itself)
    FOLDER/keys/NAME.key           the private keys, in clear
    FOLDER/config/{config,access}.toml    this machine's settings and access rules, where it has some
    FOLDER/backup.json             what was copied, and the length and SHA-256 of each file
    FOLDER/.gitignore              keeps git from taking any of it along; no part of what was copied, and so not listed

The first two are named as in a data directory, so that the folder can be put in the place of one. Invariant: what
stands under the folder's name is whole and synced. It grows beside, under another name, open to this user alone.
"""

import contextlib
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from moot_protocol.errors import Code, RefusedError
from mootd.edges.access_file import FILE_NAME
from mootd.edges.ordinary_file import open_ordinary
from mootd.edges.paths import OTHERS, Places, refusal, sync_folder

FORMAT: Final = 1
LOG: Final = "log"
DATA: Final = f"{LOG}/data.mdb"
"""The store's file, which holds all of it."""
LIST: Final = "backup.json"
IGNORE: Final = ".gitignore"
_KEYS: Final = "keys"
_CONFIG: Final = "config"
_PASSING: Final = frozenset({f"{LOG}/owner", f"{LOG}/lock.mdb"})
"""What a store has beside its file while it is open, or had."""
_MODE: Final = 0o600
_CHUNK: Final = 1 << 20
_LIST_BYTES: Final = 64 << 20


class CopiedFile(msgspec.Struct, frozen=True):
    """A file of a backup."""

    bytes: int
    sha256: str


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup's list says."""

    format: int = FORMAT
    version: str
    """Of the Moot that made it."""
    made: int
    """Milliseconds since 1970."""
    batches: int
    events: int
    planes: list[dict[str, Any]]
    files: dict[str, CopiedFile]
    sum: str = ""
    """SHA-256 of the list itself, with this left empty."""


def check_target(target: Path, places: Places) -> Path:
    """Check that a backup may be made in a folder.

    Returns:
        The folder, without links on the way to it.

    Raises:
        RefusedError: `invalid`, `not_found`, `exists`, `denied` and others as the system says.
    """
    if not target.is_absolute():
        raise RefusedError(f"{target} is not an absolute path")
    try:
        parent = _parent(target)
        found = parent / target.name
        for own in (places.data, places.config_file.parent):
            if found.is_relative_to(own.resolve()):
                raise RefusedError(f"{target} lies in Moot's own folder {own}", hint="name one on another disk")
        if os.path.lexists(found):
            if not stat.S_ISDIR(found.lstat().st_mode):
                raise RefusedError(f"{target} is there already and no folder", code=Code.EXISTS)
            if any(found.iterdir()):
                raise RefusedError(
                    f"{target} is not empty", code=Code.EXISTS, hint="name a folder that isn't there yet"
                )
            if found.is_mount():
                raise RefusedError(f"{target} is a disk itself", hint=f"name a folder on it: {target}/moot")
    except OSError as error:
        raise refusal(error, f"cannot make a backup in {target}") from error
    if not os.access(parent, os.W_OK | os.X_OK):
        raise RefusedError(f"cannot make a backup in {target}: {parent} can't be written to", code=Code.DENIED)
    return found


def _parent(target: Path) -> Path:
    """The folder that a backup's folder is to stand in, without links on the way to it.

    Raises:
        RefusedError: `not_found`: it isn't there.
        OSError: as the system says.
    """
    try:
        return target.parent.resolve(strict=True)
    except FileNotFoundError as error:
        raise RefusedError(
            f"cannot make a backup in {target}: there is no folder {target.parent}",
            code=Code.NOT_FOUND,
            hint=f"make it: mkdir -p {shlex.quote(str(target.parent))}",
        ) from error


def sources(places: Places) -> dict[str, Path]:
    """What is copied beside the store: name in the backup → where it is."""
    kept = [places.config_file, places.config_file.parent / FILE_NAME]
    found = {f"{_KEYS}/{path.name}": path for path in sorted(places.keys.glob("*.key"))}
    return found | {f"{_CONFIG}/{path.name}": path for path in kept if path.exists()}


@contextlib.contextmanager
def growing(target: Path) -> Iterator[Path]:
    """A folder beside the target, to be filled: it takes the target's name at the end, or is gone if the block raises.

    Args:
        target: as `check_target` returned it.

    Raises:
        RefusedError: `store_full` and others as the system says.
    """
    try:
        grown = target.parent / f".{target.name}.{os.urandom(4).hex()}.partial"
        grown.mkdir(0o700)
    except OSError as error:
        raise refusal(error, f"cannot make a backup in {target}") from error
    try:
        _check_keeps_modes(grown, target)
        _keep_from_git(grown)
        yield grown
        _publish(grown, target)
    except BaseException as error:
        _remove(grown)
        if isinstance(error, RefusedError) and error.code is Code.STORE_FULL:
            raise _no_room(target) from error
        raise


def _remove(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as can be; `shutil` takes 1 MB of every daemon's memory."""
    for at, folders, files in os.walk(folder, topdown=False):
        for path in (Path(at, name) for name in (*files, *folders)):
            with contextlib.suppress(OSError):  # what is stuck keeps nothing else: private keys are among it
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                else:
                    path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _check_keeps_modes(grown: Path, target: Path) -> None:
    if grown.stat().st_mode & OTHERS:
        raise RefusedError(
            f"the disk of {target} can't keep files to one user, and a backup holds private keys",
            code=Code.DENIED,
            hint="name a folder on another disk, or one in an encrypted image there",
        )


def _keep_from_git(grown: Path) -> None:
    """Keep `git add .` in a work tree around it from taking private keys along, from the first one on."""
    try:
        _write(grown / IGNORE, b"*\n")
    except OSError as error:
        raise refusal(error, f"cannot write to {grown}") from error


def copy_small(copied: Mapping[str, Path], into: Path) -> None:
    """Copy files, each whole and synced."""
    for name, path in copied.items():
        try:
            (into / name).parent.mkdir(mode=0o700, exist_ok=True)
            with open_ordinary(path) as opened:
                _write(into / name, opened.read())
        except OSError as error:
            raise refusal(error, f"cannot copy {path}") from error


def write_list(folder: Path, contents: Contents) -> Contents:
    """Write the list of a folder that holds all else already; what it says of the files is read from them."""
    for name in _PASSING:
        (folder / name).unlink(missing_ok=True)
    try:
        contents = msgspec.structs.replace(contents, files={name: _seen(folder / name) for name in _names(folder)})
        contents = msgspec.structs.replace(contents, sum=_sum(contents))
        _write(folder / LIST, msgspec.json.format(msgspec.json.encode(contents), indent=1) + b"\n")
    except OSError as error:
        raise refusal(error, f"cannot write to {folder}") from error
    return contents


def read_list(folder: Path) -> Contents:
    """What a backup says that it holds.

    Raises:
        RefusedError: `not_found`: there is none; `store_damaged`: its list can't be read, or isn't what was written;
            `bad_version`.
    """
    path = folder / LIST
    try:
        with open_ordinary(path) as file:
            text = file.read(_LIST_BYTES)
    except OSError as error:
        raise refusal(error, f"cannot read {path}") from error
    try:
        contents = msgspec.json.decode(text, type=Contents)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(path) from error
    if contents.format > FORMAT:
        raise RefusedError(f"{folder} was written by a later Moot", code=Code.BAD_VERSION, hint="update moot")
    if contents.sum != _sum(contents):
        raise _damaged(path)
    return contents


def differing(folder: Path, contents: Contents) -> Iterator[tuple[str, str]]:
    """The files of a backup that are not as they were written: (name, what is wrong with it), as they are read."""
    for name, file in contents.files.items():
        try:
            seen = _seen(folder / name)
        except FileNotFoundError:
            yield name, "it is missing"
        except OSError as error:
            yield name, f"it can't be read: {error.strerror}"
        except RefusedError:
            yield name, "it is no file"
        else:
            if seen.bytes != file.bytes:
                yield name, f"it has {seen.bytes:,} bytes, and had {file.bytes:,}"
            elif seen != file:
                yield name, "its bytes are not those that were written"


def _no_room(target: Path) -> RefusedError:
    return RefusedError(
        f"no space is left for a backup in {target}; nothing of it was kept",
        code=Code.STORE_FULL,
        hint="make space on that disk; `--dry-run` says how much is needed at most",
        retryable=True,
    )


def _damaged(path: Path) -> RefusedError:
    return RefusedError(f"{path} is not as it was written", code=Code.STORE_DAMAGED, hint="use another backup")


def _sum(contents: Contents) -> str:
    return sha256(msgspec.json.encode(msgspec.structs.replace(contents, sum=""))).hexdigest()


def _names(folder: Path) -> list[str]:
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return sorted(names - {IGNORE})


def _seen(path: Path) -> CopiedFile:
    known, length = sha256(), 0
    with open_ordinary(path) as file:
        while chunk := file.read(_CHUNK):
            known.update(chunk)
            length += len(chunk)
    return CopiedFile(length, known.hexdigest())


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _publish(grown: Path, target: Path) -> None:
    try:
        for folder in (path for path in grown.iterdir() if path.is_dir()):
            sync_folder(folder)
        sync_folder(grown)
        grown.rename(target)  # an empty folder there gives way; one that has been filled meanwhile doesn't
        sync_folder(target.parent)
    except OSError as error:
        raise refusal(error, f"cannot make a backup in {target}") from error

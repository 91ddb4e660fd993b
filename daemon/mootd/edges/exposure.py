"""Whether what holds secrets is this user's alone, looked at while the daemon serves, and closing it to others.

Invariant: closing takes rights of others away from a file or folder of this user's, reached through no link as its last
part, and changes nothing else. The access rules are never closed so: they may say already what somebody else wrote.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from moot_protocol.errors import RefusedError
from mootd.edges.keys import FILE_MODE
from mootd.edges.paths import OTHERS, PRIVATE_FOLDER, Places, check_private, refusal

RECOVERY_WORDS: Final = "recovery-words-*.txt"
"""The files that clients lay recovery words into, beside `config.toml`."""


class Kept(NamedTuple):
    """A file or folder that has to be this user's alone."""

    path: Path
    mode: int
    """To recommend."""


def data_kept(places: Places) -> list[Kept]:
    """The data folder and its log."""
    log = places.data / "log"
    return [Kept(places.data, PRIVATE_FOLDER), Kept(log, PRIVATE_FOLDER), *_files_in(log)]


def keys_kept(places: Places) -> list[Kept]:
    """The folder of private keys, and all that lies in it."""
    return [Kept(places.keys, PRIVATE_FOLDER), *_files_in(places.keys)]


def words_kept(places: Places) -> list[Kept]:
    """Recovery words that nobody has written on paper yet, or has and left there."""
    return [Kept(path, FILE_MODE) for path in sorted(places.config_file.parent.glob(RECOVERY_WORDS))]


def _files_in(folder: Path) -> list[Kept]:
    with suppress(OSError):  # the folder's own check tells why it can't be looked into
        return [Kept(path, FILE_MODE) for path in sorted(folder.iterdir())]
    return []


def exposures(kept: Iterable[Kept]) -> Iterator[RefusedError]:
    """What is open to others or belongs to somebody else: as `check_private` refuses it. What isn't there is fine."""
    for each in kept:
        try:
            check_private(each.path.stat(), each.path, each.mode)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield refusal(error, f"cannot look at {each.path}")
        except RefusedError as error:
            yield error


def close_all(kept: Iterable[Kept], *, is_trial: bool) -> list[Path]:
    """Close what is open to others, as far as it is this user's.

    Args:
        kept: what to close.
        is_trial: only say what would be closed.

    Returns:
        What was closed.
    """
    return [each.path for each in kept if _close(each.path, is_trial=is_trial)]


def _close(path: Path, *, is_trial: bool) -> bool:
    try:
        # Only its name: closing a file that was opened would end LMDB's own locks on it, which are this process's.
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False  # the doctor's check tells why
    try:
        return close_to_others(descriptor, is_trial=is_trial)
    finally:
        os.close(descriptor)


def close_to_others(descriptor: int, *, is_trial: bool) -> bool:
    """Take the rights of others away from an open file or folder of this user's; whether they had any."""
    status = os.fstat(descriptor)
    is_kept = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    if not is_kept or status.st_uid != os.geteuid() or not status.st_mode & OTHERS:
        return False
    if not is_trial:
        Path(f"/proc/self/fd/{descriptor}").chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)  # as it's open by name only
    return True

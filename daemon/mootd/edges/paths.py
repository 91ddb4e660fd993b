"""Where a user's data, configuration, state and socket lie, by the XDG base directory specification.

    data     $XDG_DATA_HOME/moot, or ~/.local/share/moot; another with `--data`
    config   $XDG_CONFIG_HOME/moot/config.toml, or ~/.config/moot/config.toml
    state    $XDG_STATE_HOME/moot, or ~/.local/state/moot
    socket   $XDG_RUNTIME_DIR/moot/moot.sock, or state/run/moot.sock; never /tmp

The client finds the socket by the same rule. A variable that is empty or not an absolute path counts as unset, as
the specification says. `private_folder` is the one way folders are made: this user's alone, never through a link.
"""

import errno
import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from moot_protocol.errors import Code, RefusedError

PRIVATE_FOLDER: Final = 0o700
OTHERS: Final = 0o077
"""The mode bits that let group or others in."""


class Places(NamedTuple):
    """Where everything of one user lies. Nothing need exist."""

    data: Path
    """The replica's log, views and keys: what a backup holds."""
    config_file: Path
    """What the daemon is told to do otherwise (`mootd.config`); the access rules lie beside it."""
    state: Path
    """Logs and what may be lost."""
    runtime: Path
    """The folder of the socket: gone after a restart of the machine where the system provides one."""

    @property
    def keys(self) -> Path:
        """The folder of private keys."""
        return self.data / "keys"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.runtime / "moot.sock"


def locate(environment: Mapping[str, str], *, data: Path | None = None) -> Places:
    """Find the places of the user whose environment this is.

    Args:
        environment: the XDG variables and HOME; without HOME the password database knows the home.
        data: the data folder to use in place of the usual one; relative to the working directory.
    """
    home = _absolute(environment, "HOME") or Path(pwd.getpwuid(os.getuid()).pw_dir)
    runtime = _absolute(environment, "XDG_RUNTIME_DIR")
    state = (_absolute(environment, "XDG_STATE_HOME") or home / ".local/state") / "moot"
    return Places(
        data=data.absolute() if data else (_absolute(environment, "XDG_DATA_HOME") or home / ".local/share") / "moot",
        config_file=(_absolute(environment, "XDG_CONFIG_HOME") or home / ".config") / "moot" / "config.toml",
        state=state,
        runtime=runtime / "moot" if runtime else state / "run",
    )


def _absolute(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(name, "")
    return Path(value) if value.startswith("/") else None


def private_folder(path: Path, *, owner: int | None = None) -> Path:
    """Make sure that a folder exists and is this user's alone.

    Parents that are missing are made with mode 0700 as well. A folder that exists is checked and left as it is.

    Args:
        path: the folder.
        owner: the user id that has to own it; by default the one this process runs as.

    Returns:
        The same path.

    Raises:
        RefusedError: `denied`: it is a symbolic link or no folder, belongs to someone else, lets others in, or
            cannot be made; `store_full`, `store_read_only`.
    """
    try:
        for folder in [*reversed(path.parents), path]:
            if not os.path.lexists(folder):
                folder.mkdir(PRIVATE_FOLDER, exist_ok=True)
                sync_folder(folder.parent)
    except OSError as error:
        raise refusal(error, f"cannot make the folder {path}") from error
    os.close(open_private_folder(path, owner=owner))
    return path


def open_private_folder(path: Path, *, owner: int | None = None) -> int:
    """Open a folder that is this user's alone, for calls that take a folder's descriptor.

    Returns:
        A descriptor; the caller closes it.

    Raises:
        RefusedError: `not_found`; `denied` as `private_folder`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise refusal(error, f"cannot open the folder {path}") from error
    try:
        check_private(os.fstat(descriptor), path, PRIVATE_FOLDER, owner)
    except RefusedError:
        os.close(descriptor)
        raise
    return descriptor


def sync_folder(path: Path) -> None:
    """Make what was made, renamed or removed in a folder last through a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_private(status: os.stat_result, path: Path, mode: int, owner: int | None = None) -> None:
    """Check that what was opened belongs to this user and lets nobody else in.

    Args:
        status: of the open descriptor, so that nothing can be put in its place after the check.
        path: for the message.
        mode: the mode to recommend.
        owner: the user id that has to own it; by default the one this process runs as.

    Raises:
        RefusedError: code `denied`.
    """
    owner = os.geteuid() if owner is None else owner
    if status.st_uid != owner:
        raise RefusedError(
            f"{path} belongs to user {status.st_uid}, not to {owner}",
            code=Code.DENIED,
            hint="find out who made it before you change its owner",
        )
    if status.st_mode & OTHERS:
        raise RefusedError(
            f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):04o})",
            code=Code.DENIED,
            hint=f"close it: chmod {mode:o} {path}",
        )


_REFUSALS: Final[Mapping[int | None, tuple[Code, str]]] = {
    errno.ENOSPC: (Code.STORE_FULL, "the disk is full"),
    errno.EDQUOT: (Code.STORE_FULL, "the disk quota is used up"),
    errno.EROFS: (Code.STORE_READ_ONLY, "the file system is read-only"),
    errno.ENOENT: (Code.NOT_FOUND, "it is not there"),
    errno.ELOOP: (Code.DENIED, "it is a symbolic link"),
    errno.ENOTDIR: (Code.DENIED, "it is a symbolic link, or not a folder"),
}


def refusal(error: OSError, what: str) -> RefusedError:
    """The refusal that tells what the system's error means here.

    Args:
        error: what the system said.
        what: what could not be done, as the beginning of a sentence.
    """
    code, reason = _REFUSALS.get(error.errno, (Code.DENIED, error.strerror or str(error)))
    return RefusedError(f"{what}: {reason}", code=code, retryable=code is Code.STORE_FULL)

"""The listening socket: made so that nobody else can reach it, and taken away only where it is ours.

A socket file left by a daemon that died is replaced, but only after a connection to it was refused; what is no socket
is never deleted. The data directory's lock, not this file, keeps a second daemon out.
"""

import os
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import RPC_CLIENTS, SOCKET_PATH_BYTES
from mootd.edges.paths import private_folder

ACTIVATED: Final = 3
"""The first descriptor that a service manager passes (sd_listen_fds(3))."""


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen at a path for as long as the context lasts; the socket does not block. Its file goes with it.

    Raises:
        RefusedError: as `listen`.
    """
    listener = listen(path)
    made = path.lstat()
    try:
        yield listener
    finally:
        listener.close()
        _remove(path, made)


def listen(path: Path) -> socket.socket:
    """Open the control socket at a path: its folder 0700, itself 0600 before anyone can connect.

    Raises:
        RefusedError: `limit`: the path is too long; `exists`: another daemon answers there, or it is no socket;
            `denied` and others as `private_folder`.
    """
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        raise RefusedError(
            f"the socket's path has more than the {SOCKET_PATH_BYTES} bytes that a Unix socket can have: {path}",
            code=Code.LIMIT,
            hint="set XDG_RUNTIME_DIR to a folder with a shorter path",
        )
    private_folder(path.parent)
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)  # before `listen`, so that until now connections were refused
        listener.listen(RPC_CLIENTS)
    except OSError as error:
        listener.close()
        raise RefusedError(f"cannot listen at {path}: {error.strerror}", code=Code.DENIED) from error
    listener.setblocking(False)
    return listener


def _clear(path: Path) -> None:
    """Remove what a daemon that died left behind."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise RefusedError(f"{path} is not a socket, so it stays", code=Code.EXISTS)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:  # a full backlog, too, is someone who listens
            raise RefusedError(f"cannot tell who listens at {path}: {error.strerror}", code=Code.EXISTS) from error
    raise RefusedError(f"a daemon answers at {path} already", code=Code.EXISTS)


def activated(environment: Mapping[str, str], pid: int) -> socket.socket | None:
    """The listening socket that a service manager has passed to this process, if it has.

    Args:
        environment: LISTEN_PID and LISTEN_FDS count.
        pid: of this process.

    Raises:
        RefusedError: what was passed is not one listening Unix stream socket.
    """
    if environment.get("LISTEN_PID") != str(pid):
        return None
    if environment.get("LISTEN_FDS") != "1":
        raise RefusedError(f"{environment.get('LISTEN_FDS')} sockets were passed where one is expected")
    try:
        listener = socket.socket(fileno=ACTIVATED)
    except OSError as error:
        raise RefusedError(f"descriptor {ACTIVATED} is not a socket: {error.strerror}") from error
    listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if listener.family != socket.AF_UNIX or listener.type != socket.SOCK_STREAM or not listening:
        listener.detach()
        raise RefusedError(f"descriptor {ACTIVATED} is not a listening Unix stream socket")
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def _remove(path: Path, made: os.stat_result) -> None:
    """Take the socket file away, unless another has been put in its place or it is gone."""
    try:
        now = path.lstat()
    except FileNotFoundError:
        return
    if (now.st_dev, now.st_ino) == (made.st_dev, made.st_ino):
        path.unlink(missing_ok=True)

"""The daemon's call to itself: what answers at the place where clients look for it.

Invariant: nothing is asked but through the socket, so that an answer says that others would get one. Clients have code
of their own for that; loading it to ping would take memory for as long as the daemon lives.
"""

import socket
from pathlib import Path
from typing import Final

from moot_protocol.control.rpc import (
    FrameSplitter,
    call_frame,
    decode_from_daemon,
    decode_hello,
    decode_result,
    error_from,
    hello_frame,
)
from moot_protocol.errors import Code, MootError
from moot_protocol.requests.machine import Ping
from mootd.version import VERSION

PATIENCE_S: Final = 10.0
"""How long it may take to connect, and each part of the answer to come."""
_READ_BYTES: Final = 65_536


def answering_pid(path: Path) -> int:
    """The process that answers a ping at a socket.

    Raises:
        MootError: `unreachable`: nobody answers there; else what is wrong with the answer, or what it says is.
    """
    ping = Ping()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(PATIENCE_S)
            channel.connect(str(path))
            channel.sendall(hello_frame(VERSION) + call_frame(1, ping))
            hello, answered = _frames(channel, 2)
    except OSError as error:
        raise MootError(f"nobody answers at {path}: {error}", code=Code.UNREACHABLE) from error
    decode_hello(hello)
    answer = decode_from_daemon(answered)
    if answer.error is not None:
        raise error_from(answer.error)
    pid: int = decode_result(ping, answer.result)["pid"]
    return pid


def _frames(channel: socket.socket, count: int) -> list[bytes]:
    """The first frames that come."""
    splitter, frames = FrameSplitter(), list[bytes]()
    while len(frames) < count:
        data = channel.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("it has hung up")
        frames += splitter.feed(data)
    return frames[:count]

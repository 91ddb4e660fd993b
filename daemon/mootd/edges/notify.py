"""What the daemon tells its service manager: that it is ready, what it does, that it is alive, that it ends.

The protocol of sd_notify(3), by hand. Without NOTIFY_SOCKET every message is dropped, so callers need not ask whether
a manager is there. Nothing is sent that the manager's log may not show. A socket that the manager opened beforehand is
taken by `control.listener`.
"""

import os
import select
import socket
from collections.abc import Mapping
from typing import Final

_SEND_WAIT_MS: Final = 1000
"""Milliseconds that one message may wait for a manager whose queue is full."""


class Notifier:
    """A line to the service manager.

    Args:
        address: a socket's path, or `@` and an abstract name; empty where there is no manager.
    """

    def __init__(self, address: str = "") -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Notifier":
        """The line that NOTIFY_SOCKET names, or one that leads nowhere."""
        return cls(environment.get("NOTIFY_SOCKET", ""))

    def ready(self, status: str = "") -> bool:
        """Say that the daemon serves: clients' next call will be answered.

        Returns:
            Whether the message went out, as from every method here.
        """
        return self._send("READY=1", *([_status(status)] if status else []))

    def status(self, text: str) -> bool:
        """Say in one line what the daemon is doing."""
        return self._send(_status(text))

    def stopping(self) -> bool:
        """Say that the daemon is about to end."""
        return self._send("STOPPING=1")

    def watchdog(self) -> bool:
        """Say that the daemon is alive; due within every `watchdog_ms`."""
        return self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> bool:
        if not self._address:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)  # this may be the event loop's thread
            try:
                line.connect(self._address)
                room = select.poll()
                room.register(line, select.POLLOUT)
                room.poll(_SEND_WAIT_MS)
                line.send("\n".join(lines).encode())
            except OSError:
                return False  # a manager that is gone or stuck must not take the daemon with it
        return True


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}"  # a line break would begin another variable


def watchdog_ms(environment: Mapping[str, str] = os.environ) -> int | None:
    """How often the manager wants to hear of this process, in milliseconds; None if it doesn't.

    Half of what it allows, as sd_watchdog_enabled(3) recommends.
    """
    allowed_us = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID", str(os.getpid()))
    if not allowed_us.isdecimal() or int(allowed_us) == 0 or meant != str(os.getpid()):
        return None
    return max(1, int(allowed_us) // 2000)

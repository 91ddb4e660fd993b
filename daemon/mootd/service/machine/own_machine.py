"""What the daemon knows of its machine and of itself from the first moment on: whom a ping meets.

What is asked of it is answered in `machine.py`, which looks through the store for that.
"""

import os
from collections.abc import Callable
from typing import Any

from moot_protocol import ids
from moot_protocol.control.rpc import RPC_VERSION
from mootd.config import DEFAULTS, Config
from mootd.edges.access_file import FILE_NAME, AccessFile
from mootd.edges.installed import Installed
from mootd.edges.paths import Places
from mootd.ports import Clock, Entropy
from mootd.troubles import Troubles
from mootd.version import VERSION


class Machine:
    """Facts about the process.

    Args:
        places: where everything lies.
        clock: the machine's clock.
        entropy: for names of sessions.
        stop: asks the daemon to end.
        config: what the daemon was told when it started.
        installed: the files that it was loaded from; by default as they are now.
    """

    def __init__(
        self,
        places: Places,
        clock: Clock,
        entropy: Entropy,
        stop: Callable[[], None],
        config: Config = DEFAULTS,
        installed: Installed | None = None,
    ) -> None:
        self.installed = installed or Installed()
        self.troubles = Troubles()
        self.places = places
        self.config = config
        self.access = AccessFile(places.config_file.parent / FILE_NAME)
        self.clock = clock
        self.stop = stop
        self._entropy = entropy
        self._started_ms = clock.monotonic_ms()

    def new_session(self) -> str:
        """A name for something that goes over several requests."""
        return ids.base32(self._entropy.bytes(16), 20)

    def ping(self) -> dict[str, Any]:
        """Who answers."""
        return {
            "pid": os.getpid(),
            "uptime_ms": self.clock.monotonic_ms() - self._started_ms,
            "version": VERSION,
            "protocol": RPC_VERSION,
            "data": str(self.places.data),
            "config_file": str(self.places.config_file),
        }

"""A daemon with nothing behind it, as a program: serves this user's socket until `daemon stop` (or a signal)."""

import sys
import threading
from pathlib import Path

from moot.console.terminal import Facts
from moot.paths import socket_path
from moot_protocol.control import rpc
from moot_testkit.clients.control import Daemon
from mootd.control.hosting import HostedTerminal


def main() -> None:
    """Serve. With the argument `lingering`, stay alive after serving has ended; with `broken`, fail at commands.

    With `foreign`, speak another version of the protocol.
    """
    if "foreign" in sys.argv:
        vars(rpc)["RPC_VERSION"] += 1
    daemon = Daemon(Path(socket_path()))

    def command(terminal: HostedTerminal[Facts]) -> int:
        if "broken" in sys.argv:
            raise ModuleNotFoundError("its files were replaced")
        terminal.out(" ".join(terminal.facts.argv) + "\n")
        if terminal.facts.argv[:2] == ("daemon", "stop"):
            daemon.in_loop(daemon.server.stop)
        return 0

    daemon.commands.command = command
    daemon.start()
    daemon.join(None)
    if "lingering" in sys.argv:
        threading.Event().wait()


if __name__ == "__main__":
    main()

"""A network of this machine's own: each node a network namespace, all plugged into one switch that can misbehave.

The switch is a bridge in a namespace as well, so nothing of the machine's own network is touched, and no two networks
can meet. `nft` in the switch counts, loses and cuts; the wires between it and the nodes can be slow. The names carry
the process's id: what a killed process left behind is removed by the next that makes a network.
"""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from moot_testkit.machines import wires
from moot_testkit.machines.git_servers import needs, program_path, running

_PREFIX: Final = "moot-net"
_NAME: Final = re.compile(rf"{_PREFIX}-(\d+)-\d+-[a-z]+")
_SWITCH: Final = "switch"
_SUBNET: Final = "10.77.0"
_serial: Final = itertools.count()

_TABLE: Final = """
table bridge moot {{
    set cut {{ type ifname . ifname; }}
    counter dropped {{ }}
    {counters}
    chain lossy {{ }}
    chain switch {{
        type filter hook forward priority 0; policy accept;
        {counting}
        iifname . oifname @cut counter name dropped drop
        ether type ip jump lossy
    }}
}}
"""


class Traffic(NamedTuple):
    """What has passed a point."""

    packets: int
    bytes: int


def require_namespaces() -> None:
    """Skip what needs networks of its own, loudly; where everything must run, fail for want of a program."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can make network namespaces, so nothing of this ran on networks that fail")
    needs("ip", "nft")
    tried = f"{_PREFIX}-{os.getpid()}-{next(_serial)}-probe"
    made = subprocess.run([_ip(), "netns", "add", tried], capture_output=True, text=True, check=False)
    if made.returncode or not Path("/dev/net/tun").exists():
        _remove([tried])
        pytest.skip(
            f"NOT TESTED: this machine lets not even root make namespaces and TAP interfaces: {made.stderr.strip()}"
        )
    _remove([tried])


class Network:
    """Nodes on a switch. Made by `network`.

    Args:
        nodes: their names, of small letters.
        folder: a folder for the log of its wires.
    """

    def __init__(self, nodes: Sequence[str], folder: Path) -> None:
        self.nodes = tuple(nodes)
        self._folder = folder
        self._base = f"{_PREFIX}-{os.getpid()}-{next(_serial)}"
        self._control = -1

    @property
    def namespaces(self) -> list[str]:
        """The names of all its namespaces."""
        return [self._namespace(node) for node in (*self.nodes, _SWITCH)]

    def address(self, node: str) -> str:
        """A node's address."""
        return f"{_SUBNET}.{self.nodes.index(node) + 1}"

    def inside(self, node: str, command: Sequence[str | Path]) -> list[str]:
        """The command that runs a command on a node."""
        return [_ip(), "netns", "exec", self._namespace(node), *map(str, command)]

    # -- Misbehaving ---------------------------------------------------------------------------------------------
    def lose(self, percent: int) -> None:
        """Lose so many of a hundred packets from now on, by chance."""
        rule = f"add rule bridge moot lossy numgen random mod 100 < {percent} counter name dropped drop\n"
        self._nft("flush chain bridge moot lossy\n" + (rule if percent else ""))

    def cut(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Let nothing through between the nodes of each pair, in either direction."""
        for one, other in pairs:
            self._nft(f'add element bridge moot cut {{ "to-{one}" . "to-{other}", "to-{other}" . "to-{one}" }}\n')

    def mute(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Let nothing through from the first node of each pair to the second; what goes the other way arrives."""
        for one, other in pairs:
            self._nft(f'add element bridge moot cut {{ "to-{one}" . "to-{other}" }}\n')

    def delay(self, milliseconds: int) -> None:
        """Let every packet be so late from now on, each way; half of it on either node's wire."""
        os.write(self._control, b"%d\n" % (milliseconds // 2))

    def heal(self) -> None:
        """Let everything through again, at once."""
        self.delay(0)
        self._nft("flush set bridge moot cut\nflush chain bridge moot lossy\n")

    def traffic(self, node: str) -> Traffic:
        """What a node has sent and what was on its way to it, lost or not, since the network was made."""
        return self._counter(f"of-{node}")

    @property
    def dropped(self) -> Traffic:
        """What the switch has dropped."""
        return self._counter("dropped")

    # -- Making it -----------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def plugged(self) -> Iterator[None]:
        """Make it all, and remove it with every process in it."""
        switch = self._namespace(_SWITCH)
        try:
            for namespace in self.namespaces:
                _run(_ip(), "netns", "add", namespace)
            _run(_ip(), "-n", switch, "link", "add", "switch", "type", "bridge")
            _run(_ip(), "-n", switch, "link", "set", "switch", "up")
            self._nft(self._table())
            with self._wires():
                for node in self.nodes:
                    self._plug(node)
                yield
        finally:
            _remove(self.namespaces)

    @contextlib.contextmanager
    def _wires(self) -> Iterator[None]:
        ends = [f"{node}={self._namespace(node)}" for node in self.nodes]
        command = [sys.executable, str(Path(wires.__file__).resolve()), self._namespace(_SWITCH), *ends]
        orders, self._control = os.pipe()
        try:
            with running(command, self._folder / "wires.log", os.environ, ready="ready", stdin=orders):
                yield
        finally:
            os.close(orders)
            os.close(self._control)

    def _plug(self, node: str) -> None:
        namespace, switch = self._namespace(node), self._namespace(_SWITCH)
        _run(_ip(), "-n", switch, "link", "set", wires.FAR.format(node), "master", "switch", "up")
        _run(_ip(), "-n", namespace, "addr", "add", f"{self.address(node)}/24", "dev", wires.NEAR)
        for name in ("lo", wires.NEAR):
            _run(_ip(), "-n", namespace, "link", "set", name, "up")

    def _table(self) -> str:
        return _TABLE.format(
            counters="\n    ".join(f"counter of-{node} {{ }}" for node in self.nodes),
            counting="\n        ".join(
                f'ether type ip {side} "to-{node}" counter name of-{node}'
                for node in self.nodes
                for side in ("iifname", "oifname")
            ),
        )

    def _counter(self, name: str) -> Traffic:
        told = _run(*self.inside(_SWITCH, [str(program_path("nft")), "-j", "list", "counter", "bridge", "moot", name]))
        counter = next(each["counter"] for each in json.loads(told)["nftables"] if "counter" in each)
        return Traffic(counter["packets"], counter["bytes"])

    def _nft(self, words: str) -> None:
        _run(*self.inside(_SWITCH, [str(program_path("nft")), "-f", "-"]), stdin=words)

    def _namespace(self, node: str) -> str:
        return f"{self._base}-{node}"


@contextlib.contextmanager
def network(nodes: Sequence[str], folder: Path) -> Iterator[Network]:
    """A network for as long as the block lasts.

    Args:
        nodes: the nodes' names, of at most 9 small letters: an interface's name has 15 bytes.
        folder: a folder for a log.
    """
    sweep()
    made = Network(nodes, folder)
    with made.plugged():
        yield made


def sweep() -> None:
    """Remove the networks of processes that are no more."""
    listed = _run(_ip(), "netns", "list").splitlines()
    names = [match for line in listed if (match := _NAME.match(line))]
    _remove([match.group() for match in names if not Path("/proc", match.group(1)).exists()])


def _remove(namespaces: Iterable[str]) -> None:
    """Remove namespaces and end what runs in them; fine if they are gone."""
    for namespace in namespaces:
        inside = subprocess.run([_ip(), "netns", "pids", namespace], capture_output=True, text=True, check=False)
        for pid in inside.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run([_ip(), "netns", "del", namespace], capture_output=True, check=False)


def _ip() -> str:
    return shutil.which("ip", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or "ip"


def _run(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout

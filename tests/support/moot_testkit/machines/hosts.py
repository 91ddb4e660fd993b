"""Three hosts of one town, a broker and a Git server on a network of their own.

The daemons, the clients and the servers are the real ones, each in a namespace; every host has a home of its own. All
of it ends with the block that made it, or with the process.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from moot_protocol.requests.machine import Status
from moot_testkit.machines.git_servers import bare, needs, program_path, running, surroundings
from moot_testkit.machines.machine import BIN, PROJECT, Machine
from moot_testkit.machines.namespaces import Network, Traffic, network, require_namespaces

HOSTS: Final = ("ada", "ben", "eva")
BROKER: Final = "broker"
GIT: Final = "git"
SERVERS: Final = (BROKER, GIT)
DEADLINE_S: Final = 240
"""Until what was written must be everywhere: long, for networks that fail make everybody wait."""
_LOOK_S: Final = 0.1
_ASK_S: Final = 0.4
"""How often an exchange is asked for by name meanwhile, which begins it before its time."""


class Host(Machine):
    """A machine of one user, named as the user is.

    Args:
        home: an empty folder with a short path.
        name: the user, and the host's node.
        net: the network that it is on.
    """

    command_s = 600

    def __init__(self, home: Path, name: str, net: Network) -> None:
        super().__init__(home)
        self.name = name
        self._net = net
        self.environment["MOOT_ACTOR"] = name
        self.environment["MOOT_NO_AUTOSTART"] = "1"  # a daemon that has died is missed, not replaced
        self.written: set[str] = set()
        """The issues whose writing was acknowledged here."""

    def inside(self, command: Sequence[str | Path]) -> list[str]:
        """A command as it is run on this host: on its node."""
        return self._net.inside(self.name, command)

    @contextlib.contextmanager
    def serving(self) -> Iterator["Host"]:
        """The daemon runs; it ends with the block, or with this process."""
        command = self.inside([BIN / "mootd", "run", "--log-style", "json"])
        with running(command, self.home / "daemon.log", self.environment, ready="daemon.serving"):
            yield self

    def write(self, title: str) -> None:
        """Create an issue."""
        self.written.add(self.ok("q", title).strip())

    def issues(self) -> set[str]:
        """The ids of all issues that are here."""
        return {json.loads(line)["id"] for line in self.ok("export").splitlines()}

    def status(self) -> dict[str, Any]:
        """What `moot status` shows, however long it takes while a lot comes in."""
        with self.client() as client:
            return client.call(Status(), deadline_ms=self.command_s * 1000)

    def ledger(self) -> dict[str, Any]:
        """What it says of the plane that all share."""
        return next(plane for plane in self.status()["planes"] if plane["name"] == "ledger")

    def remotes(self) -> dict[str, dict[str, Any]]:
        """What it says of the remotes, by their kind."""
        return {remote["kind"]: remote for remote in self.status()["remotes"]}

    def rounds(self) -> dict[str, int]:
        """How many exchanges went through since the daemon started, by the remote's kind."""
        kinds = {remote["name"]: kind for kind, remote in self.remotes().items()}
        return {kinds[remote["remote"]]: remote["rounds"] for remote in self.json("sync")["remotes"]}

    def standing(self) -> str:
        """All that is known of the exchange, for people."""
        told = {kind: (remote["state"], remote["error"], remote["alarms"]) for kind, remote in self.remotes().items()}
        return f"{self.name}: {self.ledger()['digest'][:8]}, {len(self.issues())} issues; {told}"


class Site:
    """The hosts and what lies between them. Made by `site`."""

    def __init__(self, net: Network, hosts: Sequence[Host]) -> None:
        self.net = net
        self.hosts = {host.name: host for host in hosts}
        self.patience_s: float = DEADLINE_S
        self._told: dict[str, tuple[dict[str, int], Traffic]] = {}

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def written(self) -> set[str]:
        """All issues whose writing was acknowledged."""
        return set().union(*(host.written for host in self.hosts.values()))

    def isolate(self, name: str) -> None:
        """Cut a host from the servers."""
        self.net.cut((name, server) for server in SERVERS)

    def all_write(self, count: int, about: str) -> None:
        """All hosts write so many issues each, at the same time."""
        failures: list[BaseException] = []

        def work(host: Host) -> None:
            try:
                for number in range(count):
                    host.write(f"{about} {host.name} {number}")
            except BaseException as error:
                failures.append(error)
                raise

        threads = [threading.Thread(target=work, args=(host,)) for host in self.hosts.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures

    def comes_true(self, is_so: Callable[[], bool], push: Callable[[], object] | None = None) -> bool:
        """Whether something is or becomes so by the deadline, being pushed now and then."""
        begun, tick, asked = time.monotonic(), threading.Event(), 0.0
        while not is_so():
            now = time.monotonic()
            if now - begun > self.patience_s:
                return False
            if push and now - asked > _ASK_S:
                asked = now
                push()
            tick.wait(_LOOK_S)
        return True

    def lose_sight(self, names: Iterable[str], kind: str) -> bool:
        """Whether these hosts notice, by the deadline, that they have lost a remote."""
        return self.comes_true(lambda: all(self.hosts[name].remotes()[kind]["error"] for name in names))

    def agree(self, names: Iterable[str] = HOSTS, issues: Collection[str] = ()) -> bool:
        """Whether these hosts have one digest and these issues, by the deadline."""
        hosts = [self.hosts[name] for name in names]

        def is_so() -> bool:
            digests = {host.ledger()["digest"] for host in hosts}
            return len(digests) == 1 and all(set(issues) <= host.issues() for host in hosts)

        return self.comes_true(is_so, lambda: [host.ok("sync") for host in hosts])

    def check_whole(self) -> None:
        """All hosts have one digest and everything that was acknowledged anywhere."""
        assert self.agree(issues=self.written), "\n".join(host.standing() for host in self.hosts.values())

    def costs(self, what: str) -> str:
        """Rounds and bytes since this was last asked, for people."""
        lines = [f"\n{what}"]
        for name, host in self.hosts.items():
            rounds, passed = host.rounds(), self.net.traffic(name)
            before, seen = self._told.get(name, ({}, Traffic(0, 0)))
            self._told[name] = rounds, passed
            counts = ", ".join(f"{count - before.get(remote, 0)} over {remote}" for remote, count in rounds.items())
            size = f"{passed.packets - seen.packets:,} packets, {passed.bytes - seen.bytes:,} bytes"
            lines.append(f"  {name}: rounds: {counts}; {size}")
        return "\n".join(lines)


@contextlib.contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Three hosts with one plane, in step, and the two remotes through which they got there.

    Args:
        folder: an empty folder with a short path, for all that they keep: a Unix socket's has 108 bytes.
    """
    require_namespaces()
    needs("mosquitto", "git-daemon")
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(network((*HOSTS, *SERVERS), folder))
        stack.enter_context(_broker(net, folder))
        stack.enter_context(_git_server(net, folder))
        hosts = []
        for name in HOSTS:
            (folder / name).mkdir()
            hosts.append(stack.enter_context(Host(folder / name, name, net).serving()))
        made = Site(net, hosts)
        _found(made)
        made.costs("")
        yield made


def _found(made: Site) -> None:
    """Make the town on the first host and let the others in."""
    first, *others = made.hosts.values()
    first.ok("init", "--prefix", PROJECT)
    first.ok("remote", "add", "git", f"git://{made.net.address(GIT)}/remote.git")
    first.ok("remote", "add", "mqtt", f"mqtt://{made.net.address(BROKER)}")
    for host in others:
        ticket = first.ok("invite").splitlines()[-1]
        host.ok("join", "-", stdin=ticket)
    assert made.agree()
    for host in others:
        host.ok("init", "--prefix", PROJECT)
    assert made.agree()


@contextlib.contextmanager
def _broker(net: Network, folder: Path) -> Iterator[None]:
    conf = folder / "mosquitto.conf"
    user = "user root\n" if os.geteuid() == 0 else ""
    conf.write_text(f"listener 1883 {net.address(BROKER)}\nallow_anonymous true\npersistence false\n{user}")
    command = net.inside(BROKER, [str(program_path("mosquitto")), "-v", "-c", conf])
    with running(command, folder / "broker.log", surroundings(folder), ready="running"):
        yield


@contextlib.contextmanager
def _git_server(net: Network, folder: Path) -> Iterator[None]:
    bare(folder)
    command = net.inside(GIT, [
        str(program_path("git-daemon")), "--verbose", "--log-destination=stderr", f"--listen={net.address(GIT)}",
        "--reuseaddr", f"--base-path={folder}", "--export-all", "--enable=receive-pack",
    ])  # fmt: skip
    with running(command, folder / "git.log", surroundings(folder), ready="Ready to rumble"):
        yield

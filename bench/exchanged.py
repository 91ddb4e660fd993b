"""What the exchange costs: bytes on the wire and on the remote, rounds, and the time from a write to its reader."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from engine import import_lines, ingest
from measure import Row, median_seconds, micro, seconds
from world import PROJECT, issue_lines, scratch

from moot_protocol.crypto import SeedSigner
from moot_protocol.exchange.frontier import FORMAT, Entry, Form, FrontierBody, build_frontier_message, summary
from moot_protocol.exchange.messages import Batches
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import Create, IssueFields, Update
from moot_protocol.trust.ticket import Ticket
from mootd.edges.clock import SystemClock
from mootd.edges.entropy import SystemEntropy
from mootd.edges.git.remote import GitRemote
from mootd.edges.keys import MemoryKeyStore
from mootd.engine.exchange.carried import carried
from mootd.engine.exchange.filling import portions, queue
from mootd.engine.exchange.plane_exchange import Exchange
from mootd.engine.machine.remotes import add_remote
from mootd.engine.membership.charter_writing import OPERATIONAL_ONLY, found_town
from mootd.engine.membership.inviting import invite
from mootd.engine.membership.joining import join
from mootd.engine.replica import Replica
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.exchange.plane_on_remote import PlaneOnRemote
from mootd.exchange.progress import Progress
from mootd.exchange.ref_exchange import MESSAGE_BYTES, RefExchange
from mootd.service.writing.writes import carry_out
from mootd.store.lmdb_store import LmdbStore

R = TypeVar("R")


@dataclass
class Machine:
    """A replica with a Git remote, in this process."""

    replica: Replica
    remote: GitRemote
    exchange: RefExchange
    plane: PlaneOnRemote

    def commit(self, work: Callable[[Unit], R]) -> R:
        with self.replica.transaction() as unit:
            return work(unit)

    def write(self, request: Any) -> Any:
        return self.commit(lambda unit: carry_out(unit, request))

    async def round(self) -> Progress:
        progress = Progress()
        await self.exchange.round([self.plane], progress)
        return progress


async def in_place(work: Callable[[], R], /) -> R:
    return work()


def _replica(path: Path) -> Replica:
    entropy = SystemEntropy()
    return Replica(LmdbStore.open(path), MemoryKeyStore(entropy), SystemClock(), entropy)


def machine(path: Path, name: str, hub: Path, ticket: Ticket | None) -> tuple[Machine, Ticket]:
    """A machine with a Git remote, which founds a town or joins one; and the ticket to its plane."""
    replica = _replica(path / name)
    with replica.transaction() as unit:
        planes = {} if ticket is None else {"planes": OPERATIONAL_ONLY}
        found_town(unit, SeedSigner(os.urandom(32)).public, **planes)
    with replica.transaction() as unit:
        made = ticket or invite(unit, replica.ledger, Role.WRITER, 0, ()).ticket
    with replica.transaction() as unit:
        join(unit, made)
        add_remote(unit, "origin", "git", str(hub), "auto", {})

    def commit(work: Callable[[Unit], R], /) -> R:
        with replica.transaction() as unit:
            return work(unit)

    remote = GitRemote(str(hub), path / f"{name}.git", dict(os.environ))
    exchange = RefExchange(remote, 1, replica, commit, in_place)
    plane = PlaneOnRemote(replica, replica.ledger, 1, commit, message_bytes=MESSAGE_BYTES)
    return Machine(replica, remote, exchange, plane), made


def town(path: Path, count: int) -> list[Machine]:
    """Machines of one town around a bare repository."""
    hub = path / "hub.git"
    subprocess.run(["git", "init", "-q", "--bare", hub], check=True)
    first, ticket = machine(path, "m0", hub, None)
    return [first, *(machine(path, f"m{number}", hub, ticket)[0] for number in range(1, count))]


# -- Bytes -------------------------------------------------------------------------------------------------------
def bench_bytes(count: int) -> list[Row]:
    with scratch() as path:
        first, second = town(path, 2)
        import_lines(first.replica, issue_lines(count))
        plain, sealed = _sizes(first)
        asyncio.run(first.round())
        asyncio.run(second.round())
        issue = first.write(Create(actor="ada", project=PROJECT, fields=IssueFields(title="one")))["id"]
        asyncio.run(first.round())
        singles = []
        for number in range(20):
            first.write(Update(actor="ada", id=issue, fields=IssueFields(title=f"the title, edited {number} times")))
            singles.append(_sizes(first, after=True))
        edit_plain = sum(one for one, _ in singles) / len(singles)
        edit_sealed = sum(other for _, other in singles) / len(singles)
    return [
        Row(
            f"sealed bytes of {count:,} imported issues against plain",
            f"{sealed:,}",
            f"{plain:,}",
            sealed / plain,
            0.5,
            "×",
        ),
        Row("sealed bytes of one live edit beyond 200", f"{edit_sealed:,.0f}", f"{edit_plain:,.0f}",
            (edit_sealed - 200) / edit_plain, 1.5, "×"),
    ]  # fmt: skip


def _sizes(machine: Machine, *, after: bool = False) -> tuple[int, int]:
    """Bytes of what a remote lacks, plain and sealed; afterwards it counts as sent, if asked for."""
    plane = machine.plane
    sealed = plane.sealing.sealer()
    assert sealed is not None
    with machine.replica.read() as reader:
        known = carried(reader, 1, plane.plane.number)
    found = list(portions(plane.log, known, MESSAGE_BYTES))
    sizes = sum(len(each.message) for each in found), sum(len(sealed(each.message)) for each in found)
    if after:

        def queue_all(unit: Unit) -> None:
            for each in found:
                queue(unit, 1, plane.plane, sealed(each.message), each)

        machine.commit(queue_all)
    return sizes


def bench_remote(edits: int) -> list[Row]:
    """Bytes an event on the remote, once it has collected garbage."""
    senders = 5
    with scratch() as path:
        machines = town(path, senders)
        asyncio.run(machines[0].round())
        for machine in machines[1:]:
            asyncio.run(machine.round())
        made = machines[0].write(Create(actor="ada", project=PROJECT, fields=IssueFields(title="one")))["id"]
        for machine in machines:
            asyncio.run(machine.round())
        each = edits // senders
        for at, machine in enumerate(machines):
            _edit(machine, made if at == 0 else None, each)
            asyncio.run(machine.round())
        hub = path / "hub.git"
        subprocess.run(["git", "-C", hub, "gc", "-q", "--prune=now"], check=True)
        size = sum(file.stat().st_size for file in (hub / "objects").rglob("*") if file.is_file())
    return [Row(f"bytes an event on the remote, {edits:,} edits by {senders}", f"{size:,}", "", size / edits, 227, "B")]


def _edit(machine: Machine, issue: str | None, count: int) -> None:
    name = issue or machine.write(Create(actor="ada", project=PROJECT, fields=IssueFields(title="own")))["id"]
    for start in range(0, count, 256):
        with machine.replica.transaction() as unit:
            for number in range(start, min(start + 256, count)):
                fields = IssueFields(title=f"title number {number}")
                carry_out(unit, Update(actor="ada", id=name, fields=fields))


# -- Time --------------------------------------------------------------------------------------------------------
def bench_git_latency() -> list[Row]:
    """One event from commit to applied on the other side, against the same bytes by bare git."""
    with scratch() as path:
        first, second = town(path, 2)
        asyncio.run(first.round())
        asyncio.run(second.round())

        def once() -> None:
            first.write(Create(actor="ada", project=PROJECT, fields=IssueFields(title="one")))

            async def both() -> None:
                await first.round()
                await second.round()

            asyncio.run(both())

        once()
        taken = median_seconds(once, 7)
        floor = median_seconds(_BareGit(path).once, 7)
    return [Row("one event, written to applied there, over file://", micro(taken), micro(floor), taken / floor, 4, "×")]


class _BareGit:
    """`commit-tree`, `push` and `fetch` of a few hundred bytes by hand."""

    def __init__(self, path: Path) -> None:
        self._hub, self._one, self._other = (path / f"bare-{name}.git" for name in ("hub", "one", "other"))
        for folder in (self._hub, self._one, self._other):
            subprocess.run(["git", "init", "-q", "--bare", folder], check=True)
        self._number = 0

    def _git(self, folder: Path, *words: str, stdin: bytes = b"") -> str:
        environment = os.environ | {
            "GIT_AUTHOR_NAME": "m", "GIT_AUTHOR_EMAIL": "m@m", "GIT_COMMITTER_NAME": "m", "GIT_COMMITTER_EMAIL": "m@m",
        }  # fmt: skip
        done = subprocess.run(
            ["git", "-C", folder, *words], input=stdin, capture_output=True, check=True, env=environment
        )
        return done.stdout.decode().strip()

    def once(self) -> None:
        self._number += 1
        blob = self._git(self._one, "hash-object", "-w", "--stdin", stdin=os.urandom(600))
        tree = self._git(self._one, "mktree", stdin=f"100644 blob {blob}\t0000\n".encode())
        commit = self._git(self._one, "commit-tree", tree, "-m", "")
        self._git(self._one, "push", "-q", str(self._hub), f"{commit}:refs/x/{self._number}")
        self._git(self._other, "fetch", "-q", str(self._hub), f"refs/x/{self._number}")


def bench_newcomer(count: int) -> list[Row]:
    """A machine that joins a plane of so many issues, against cloning the same and verified ingest of it."""
    with scratch() as path:
        first, second, third = town(path, 3)
        import_lines(first.replica, issue_lines(count))
        asyncio.run(first.round())
        taken = seconds(lambda: asyncio.run(second.round()))
        clone = seconds(
            lambda: subprocess.run(
                ["git", "clone", "-q", "--mirror", "--no-local", path / "hub.git", path / "clone.git"], check=True
            )
        )
        raw = asyncio.run(_raw_batches(third))
        bare = seconds(lambda: _ingest_raw(third, raw))
        floor = clone + bare
        commits, size = _one_event(first, path / "hub.git")
    return [
        Row(
            f"joining a plane of {count:,} issues through Git",
            f"{taken:,.1f} s",
            f"{floor:,.1f} s",
            taken / floor,
            1.5,
            "×",
        ),
        Row(f"commits of one event on a plane of {count:,} issues", f"{commits}", "", commits, 1, ""),
        Row(f"bytes of it on the remote, among {count:,} issues", f"{size:,} B", "", size, 2000, "B"),
    ]


def _one_event(machine: Machine, hub: Path) -> tuple[int, int]:
    """Commits, and bytes of all objects, that one event on a machine's plane adds to the remote."""
    asyncio.run(machine.round())
    before = _all_of(hub)
    machine.write(Create(actor="ada", project=PROJECT, fields=IssueFields(title="one")))
    asyncio.run(machine.round())
    new = _all_of(hub) - before
    checked = subprocess.run(
        ["git", "-C", hub, "cat-file", "--batch-check=%(objecttype) %(objectsize:disk)"],
        input="\n".join(new), capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    found = [line.split(" ") for line in checked.splitlines()]
    return sum(kind == "commit" for kind, _ in found), sum(int(size) for _, size in found)


def _all_of(hub: Path) -> set[str]:
    """The names of all objects of a repository."""
    asked: list[str | Path] = ["git", "-C", hub, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]
    return set(subprocess.run(asked, capture_output=True, check=True, text=True).stdout.split())


async def _raw_batches(machine: Machine) -> list[bytes]:
    tips = (await machine.remote.fetch([machine.plane.topic])).tips
    found: list[bytes] = []
    for tip in tips:
        after: str | None = None
        while after != tip.commit:
            frames, after = await machine.remote.read(tip, after, 2**62)
            for frame in frames:
                message = machine.plane.sealing.open(frame)
                if isinstance(message, Batches):
                    found += message.batches
    return found


def _ingest_raw(machine: Machine, raw: list[bytes]) -> None:
    ingest(machine.replica, raw)


# -- The session -------------------------------------------------------------------------------------------------
def bench_frontier() -> list[Row]:
    """The first message to everybody, however many authors there are."""
    authors = 10_000
    signer = SeedSigner(b"f" * 32)
    frontier = tuple(sorted((Entry(os.urandom(32), 7, os.urandom(32)) for _ in range(authors)), key=lambda e: e.author))
    body = FrontierBody(FORMAT, bytes(16), signer.public, bytes(32), 1, bytes(32), summary(frontier), Form.SUMMARY, ())
    size = len(build_frontier_message(signer, body))
    return [Row(f"first frontier message, {authors:,} authors", f"{size:,} B", "", size / 1024, 2, "KiB")]


def bench_rounds() -> list[Row]:
    """How often two replicas have to answer one another."""
    behind = 1000
    with scratch() as path:
        first, second = town(path, 2)
        # What each says of itself once it has met the other takes a round more to get around.
        for each in (first, second, first, second, first):
            asyncio.run(each.round())
        in_step = _rounds(first, second)
        _edit(first, None, behind)
        late = _rounds(first, second)
    return [
        Row("rounds of a session, in step", f"{in_step}", "", in_step, 1, ""),
        Row(f"rounds of a session, {behind:,} behind", f"{late}", "", late, 2, ""),
    ]


def _rounds(first: Machine, second: Machine) -> int:
    """Rounds until the second stands where the first does: messages to and fro."""
    sides = {machine.replica.id: machine for machine in (first, second)}
    exchanges = {
        name: Exchange(machine.replica, SharedPlane(machine.replica.ledger), machine.commit)
        for name, machine in sides.items()
    }
    mine, theirs = first.replica.id, second.replica.id
    rounds, waiting = 0, [(mine, each) for each in exchanges[theirs].start(mine)]
    while waiting:
        rounds += 1
        answers = []
        for to, outgoing in waiting:
            back = theirs if to == mine else mine
            answers += [(back, each) for each in exchanges[to].take(back, outgoing.message).outgoing]
        waiting = []
        for to, outgoing in answers:
            back = theirs if to == mine else mine
            waiting += [(back, each) for each in exchanges[to].take(back, outgoing.message).outgoing]
    if first.plane.summary() != second.plane.summary():
        raise SystemExit("the two are not in step")
    return rounds


def bench_exchange(count: int) -> list[Row]:
    """All of it."""
    return [
        *bench_rounds(),
        *bench_bytes(min(count, 10_000)),
        *bench_remote(min(2 * count, 20_000)),
        *bench_git_latency(),
        *bench_newcomer(count),
        *bench_frontier(),
    ]

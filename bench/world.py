"""What is measured: generated issues and events, and replicas to put them into."""

import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from moot_protocol.crypto import SeedSigner
from moot_protocol.log.batch import ZEROS, Batch, BatchBuilder
from moot_protocol.log.event import Dot, Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter import certificate_draft
from mootd.edges.clock import SystemClock
from mootd.edges.entropy import SystemEntropy
from mootd.edges.keys import MemoryKeyStore
from mootd.engine.membership.charter_writing import certify, found_town
from mootd.engine.replica import Replica
from mootd.engine.state import REPLICA_KEY
from mootd.store.lmdb_store import LmdbStore, LmdbWrite

PROJECT = "gen"
DESCRIPTION = "what is to be done, why it matters, and how one will know that it is done. " * 5


def folder() -> Path:
    """A new folder on the disk of the checkout: a tmpfs would make syncing free."""
    base = Path(__file__).resolve().parent.parent / ".bench"
    base.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(dir=base))


@contextmanager
def scratch() -> Iterator[Path]:
    path = folder()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def issue_lines(count: int, seed: int = 42) -> list[bytes]:
    """Lines of about 700 bytes: half open, a fifth of the tasks blocked by an earlier issue."""
    dice = random.Random(seed)
    lines = []
    for number in range(count):
        status = dice.choice(("open", "open", "in_progress", "closed"))
        issue: dict[str, Any] = {
            "id": f"{PROJECT}-{number:07}",
            "title": f"Issue {number}: {dice.choice(('mend', 'make', 'measure', 'write'))} the thing that matters",
            "description": DESCRIPTION,
            "status": status,
            "priority": dice.randint(0, 4),
            "issue_type": dice.choice(("task", "bug", "feature")),
            "created_at": f"2025-11-{number % 28 + 1:02}T21:58:07.295058-08:00",
            "created_by": "ada",
            "updated_at": f"2025-12-{number % 28 + 1:02}T20:56:22.700641-08:00",
        }
        if status == "closed":
            issue["closed_at"] = issue["updated_at"]
        if number and dice.random() < 0.1:
            to = f"{PROJECT}-{dice.randrange(max(0, number - 5000), number):07}"
            edge = {"issue_id": issue["id"], "depends_on_id": to, "type": "blocks", "created_at": issue["created_at"]}
            issue["dependencies"] = [edge]
        lines.append(json.dumps(issue).encode())
    return lines


class _TimedWrite(LmdbWrite):
    """A write transaction that notes how long its commit took: what it wrote out, and the sync."""

    __slots__ = ("commits",)

    commits: list[float]

    def __exit__(self, *exception: object) -> None:
        begun = time.perf_counter()
        super().__exit__(*exception)
        self.commits.append(time.perf_counter() - begun)


class TimedStore(LmdbStore):
    """A store on LMDB whose commits are timed."""

    __slots__ = ("commits",)

    def __init__(self, environment: lmdb.Environment, handles: list[Any], folder: Path, owner: int) -> None:
        super().__init__(environment, handles, folder, owner)
        self.commits: list[float] = []
        """Seconds of each."""

    def write(self) -> LmdbWrite:
        write = _TimedWrite(self._environment, self._handles, self._folder)
        write.commits = self.commits
        return write


def replica(store: LmdbStore) -> Replica:
    """A founded replica."""
    entropy = SystemEntropy()
    made = Replica(store, MemoryKeyStore(entropy), SystemClock(), entropy)
    with made.transaction() as unit:
        found_town(unit, SeedSigner(b"r" * 32).public)
    return made


class Peer:
    """Another replica of the same town, as the makers of its batches."""

    def __init__(self, home: Replica) -> None:
        self._signer = SeedSigner(b"p" * 32)
        self._plane = home.ledger.id
        self._n, self._prev = 1, ZEROS
        self._hlc = home.clock.last
        keys = MemoryKeyStore(home.entropy)
        keys.create(REPLICA_KEY)
        certificate = certify(home.signer("town"), self._plane, self._signer.public, keys, Role.WRITER)
        self.opening = self._batch([certificate_draft(certificate, self._signer.public, "")])[0][0]
        self.author = self._signer.public

    def _batch(self, drafts: list[Draft], size: int = 256) -> tuple[list[Batch], list[Dot]]:
        batches, dots = [], []
        queue = list(drafts)
        while queue:
            builder = BatchBuilder(self._plane, self._signer.public, self._n, self._prev)
            while queue and len(builder.events) < size:
                self._hlc += 1
                event = builder.add(queue[0], self._hlc, b"s" * 16)
                if event is None:
                    break
                dots.append(Dot(self._signer.public, event.n, event.leaf[:8]))
                queue.pop(0)
            batch = builder.seal(self._signer.sign)
            batches.append(batch)
            self._n, self._prev = batch.header.last + 1, batch.id
        return batches, dots

    def creates(self, count: int) -> tuple[list[Batch], list[Dot]]:
        """New issues with eight fields."""
        return self._batch([_create(number) for number in range(count)])

    def updates(self, dots: list[Dot]) -> list[Batch]:
        """A change of one field of each of these issues."""
        drafts = [
            Draft("issue", f"peer-{number:09}", "ada", [Write("priority", number % 5, [dot])])
            for number, dot in enumerate(dots)
        ]
        return self._batch(drafts)[0]


def _create(number: int) -> Draft:
    fields = {
        "title": f"Issue {number} of another replica", "status": "open", "priority": 2, "issue_type": "task",
        "project": PROJECT, "created_by": "ada", "owner": "ada@example.com", "assignee": f"agent-{number % 40}",
    }  # fmt: skip
    return Draft("issue", f"peer-{number:09}", "ada", [Write(key, value) for key, value in fields.items()])


def floor_append(sizes: list[int], commit_every: int) -> None:
    """Pack, hash and append as many bytes, synced as often."""
    blob = b"x" * max(sizes)
    with scratch() as path:
        environment = lmdb.open(str(path), map_size=1 << 36)
        for start in range(0, len(sizes), commit_every):
            with environment.begin(write=True) as txn:
                for number, size in enumerate(sizes[start : start + commit_every], start):
                    packed = msgspec.msgpack.encode((number, blob[:size]))
                    txn.put(number.to_bytes(8, "big"), packed + sha256(packed).digest(), append=True)
        environment.close()

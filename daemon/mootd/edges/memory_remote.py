"""The twin of the Git remote: refs and commits in memory, shared by the replicas of one process.

`MemoryRefs` is the remote, which tests and simulations may treat as badly as they like; each replica has a
`MemoryRefRemote` on it, which remembers what Moot's own repository would.
"""

from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

from moot_protocol.codec import encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from mootd.edges.git.names import Space, alarm, foreign_alarms, parse_name, ref_name, topic_names, went_missing
from mootd.edges.git.objects import check_push
from mootd.remotes import Fetched, Ref, RefAlarm, Tip


class Commit(NamedTuple):
    """One push."""

    parent: str | None
    frames: Sequence[bytes] | None
    """None for a commit that no sender pushes."""


class MemoryRefs:
    """What a remote holds. Everything may be changed by hand."""

    def __init__(self) -> None:
        self.tips: dict[str, str] = {}
        """A ref's name → the commit it leads to."""
        self.commits: dict[str, Commit] = {}
        self.is_reachable = True
        self.connections = 0
        """How often a replica has called."""

    def add(self, commit: Commit) -> str:
        """Keep a commit under the id that follows from it."""
        name = sha256(encode(tuple(commit))).hexdigest()
        self.commits[name] = commit
        return name

    def connect(self) -> None:
        """Count a call.

        Raises:
            RefusedError: `unreachable`.
        """
        if not self.is_reachable:
            raise RefusedError("the remote cannot be reached", code=Code.UNREACHABLE, retryable=True)
        self.connections += 1

    def history(self, tip: str | None) -> Iterator[str]:
        """A commit and those before it, latest first."""
        while tip is not None:
            yield tip
            tip = self.commits[tip].parent


class MemoryRefRemote:
    """One replica's side of a remote in memory."""

    def __init__(self, refs: MemoryRefs) -> None:
        self._refs = refs
        self._seen: dict[Ref, str] = {}
        self._own: dict[Ref, str] = {}

    async def fetch(self, topics: Collection[bytes]) -> Fetched:
        """As the port's."""
        if not topics:
            return Fetched((), ())
        self._refs.connect()
        spaces = tuple(topic_names(topic) for topic in topics)
        shown = {name: commit for name, commit in self._refs.tips.items() if name.startswith(spaces)}
        there = {ref: commit for name, commit in shown.items() if (ref := parse_name(name))}
        alarms = foreign_alarms(name for name in shown if not parse_name(name))
        tips: list[Tip] = []
        for ref, commit in sorted(there.items()):
            seen = self._seen.get(ref)
            if seen is None or seen in self._refs.history(commit):
                tips.append(Tip(ref, commit))
            else:
                alarms.append(alarm(ref, RefAlarm.WENT_BACK, f"it led to {seen} and leads to {commit}"))
        expected = [ref for ref in self._seen if ref_name(ref).startswith(spaces)]
        missing, replaced = went_missing(expected, there, (tip.ref for tip in tips))
        alarms += [alarm(ref, RefAlarm.MISSING) for ref in missing]
        self._seen.update(tips)
        for ref in replaced:
            del self._seen[ref]
        return Fetched(tips, sorted(alarms))

    async def read(self, tip: Tip, after: str | None, room: int) -> tuple[Sequence[bytes], str]:
        """As the port's."""
        if after == tip.commit:
            return (), tip.commit
        commits: list[str] = []
        for name in self._refs.history(tip.commit):
            if name == after:
                break
            commits.append(name)
        frames: list[bytes] = []
        last = ""
        for name in reversed(commits):
            pushed = self._refs.commits[name].frames
            if pushed is None and not last:
                raise MalformedError(f"commit {name} is none that a sender pushes")
            if pushed is None or (last and room <= 0):
                break
            frames += pushed
            room -= sum(map(len, pushed))
            last = name
        return frames, last

    async def push(self, ref: Ref, frames: Sequence[bytes]) -> Tip:
        """As the port's."""
        check_push(frames)
        self._refs.connect()
        own, stands = self._own.get(ref), self._refs.tips.get(ref_name(ref))
        commit = self._refs.add(Commit(own, tuple(frames)))
        if stands not in (commit, own, None):
            parent = self._settled(own, stands)
            commit = self._refs.add(Commit(parent, tuple(frames)))
        self._refs.tips[ref_name(ref)] = self._own[ref] = self._seen[ref] = commit
        return Tip(ref, commit)

    async def drop(self, ref: Ref) -> None:
        """As the port's."""
        self._refs.connect()
        for remembered in (self._own, self._seen):
            remembered.pop(ref, None)
        self._refs.tips.pop(ref_name(ref, Space.REMOTE), None)

    async def close(self) -> None:
        """As the port's."""

    def _settled(self, own: str | None, stands: str) -> str | None:
        if own is not None and stands in self._refs.history(own):
            return own
        later = list(self._refs.history(stands))
        if own is not None and own not in later:
            raise RefusedError("the remote's ref leads to another commit than our last", code=Code.CONFLICT)
        for name in later[: later.index(own) if own else None]:
            if self._refs.commits[name].frames is None:
                raise RefusedError("the remote's ref leads to what is no push of ours", code=Code.CONFLICT)
        return stands

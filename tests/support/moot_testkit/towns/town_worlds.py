"""Random worlds of several towns: admissions, invites, removals, re-admissions, forks, stolen keys, lists with gaps.

A charter may outlast its own end, and be ended on a branch that is a replica's under its key.
Everybody may write anything into their charter, whether it counts or not; a key may be certified by two towns, and be
a town's and a replica's.
"""

from typing import NamedTuple

from hypothesis import strategies as st

from moot_protocol.clock import from_ms
from moot_protocol.log.batch import ZEROS, Batch
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter import End, end_draft
from moot_testkit.bytes.feeds import START_MS, FeedWriter, Guest, Town, dot_of, note, seed, signer
from moot_testkit.towns.worlds import World

_ROLES = st.sampled_from([Role.ADMIN, Role.ADMIN, Role.WRITER, Role.READER])
_NAMES = ("ash", "birch", "cedar", "dogwood")
_STEPS = (
    ["write"] * 4
    + ["admit", "admit", "remove", "remove", "end", "end", "fork", "replica", "replica"]
    + ["invite", "bring", "close", "undo", "backdate", "end_own", "steal", "open", "outlast", "mistake"]
)


class _Ended(NamedTuple):
    """An end that may be taken back."""

    charter: FeedWriter
    batch: Batch
    at: int
    author: bytes
    end: End


class _Making:
    """A world being made."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.founder = Town()
        self.recovery = Guest(self.founder, "recovery", key=self.founder.recovery)
        self.towns: list[Town] = [self.founder, *(Guest(self.founder, name) for name in _NAMES[:2])]
        self.charters: list[tuple[Town, FeedWriter]] = [(town, town.charter) for town in (*self.towns, self.recovery)]
        self.replicas: list[tuple[Town, FeedWriter]] = []
        self.ended: list[_Ended] = []
        self.invites: list[tuple[Town, str]] = []
        self.founder.admit(self.towns[1], Role.ADMIN)
        by = draw(st.sampled_from(self.towns[:2]))
        by.admit(self.towns[2], draw(_ROLES))
        for town in self.towns:
            self.replicas.append((town, town.replica("one", draw(_ROLES), note())))

    # -- Choosing ----------------------------------------------------------------------------------------------------
    def town(self) -> Town:
        return self.draw(st.sampled_from(self.towns))

    def charter(self) -> tuple[Town, FeedWriter]:
        return self.draw(st.sampled_from(self.charters))

    def writer(self) -> tuple[Town, FeedWriter]:
        return self.draw(st.sampled_from([*self.replicas, *self.charters]))

    def end_of(self, town: Town, feed: FeedWriter) -> End:
        """An end of a feed at a batch of it, at none, at one that nobody has, or with a number that doesn't fit."""
        pinned = self.draw(st.sampled_from([feed.batches[-1], *feed.batches, None]))
        if self.draw(st.integers(0, 9)) == 0:
            return End(self.draw(st.integers(1, 4)), seed("nobody's batch"), town.key.public)
        if pinned is None:
            return End(0, ZEROS, town.key.public)
        last = pinned.header.last
        n = self.draw(st.sampled_from([last, last, last, pinned.header.first, last + 1]))
        return End(n, pinned.id, town.key.public)

    # -- Steps -------------------------------------------------------------------------------------------------------
    def write(self) -> None:
        _, feed = self.writer()
        drafts = (self.draw(st.sampled_from([note(f"{feed.n}"), rule(f"{feed.n}")])) for _ in range(2))
        feed.write(*drafts)

    def backdate(self) -> None:
        _, feed = self.writer()
        feed.write(note("earlier"), hlc=from_ms(START_MS - self.draw(st.integers(1, 5))))

    def admit(self) -> None:
        town, charter = self.charter()
        keys = [each.key.public for each in self.towns] + [self.replicas[0][1].author, self.founder.recovery.public]
        town.admit(self.draw(st.sampled_from(keys)), self.draw(_ROLES), by=charter)

    def remove(self) -> None:
        """End a town's charter, and most of its replicas."""
        _, charter = self.charter()
        removed, its_charter = self.charter()
        feeds = [feed for town, feed in self.replicas if town is removed and self.draw(st.integers(0, 3))]
        ends = [(feed.author, self.end_of(removed, feed)) for feed in (*feeds, its_charter)]
        batch = charter.write(*(end_draft(author, end, "admin") for author, end in ends))
        self.ended += [_Ended(charter, batch, at, *end) for at, end in enumerate(ends)]

    def end(self) -> None:
        _, charter = self.charter()
        town, feed = self.writer()
        self.write_end(charter, feed, self.end_of(self.draw(st.sampled_from([town, town, town, *self.towns])), feed))

    def write_end(self, charter: FeedWriter, feed: FeedWriter, end: End) -> None:
        batch = charter.write(end_draft(feed.author, end, "admin"))
        self.ended.append(_Ended(charter, batch, 0, feed.author, end))

    def undo(self) -> None:
        """Put another end in the place of one, in its charter or, in vain, in another."""
        if self.ended:
            charter, batch, at, author, end = self.draw(st.sampled_from(self.ended))
            _, other = self.charter()
            into = self.draw(st.sampled_from([charter, charter, other]))
            higher = end._replace(n=end.n + 1) if end.n else end
            over = [dot_of(batch.events[at], charter.author)]
            into.write(end_draft(author, self.draw(st.sampled_from([end, higher])), "admin", over))

    def end_own(self) -> None:
        town, charter = self.charter()
        town.end_charter(charter)

    def outlast(self) -> None:
        """A charter ends itself and goes on all the same, and is ended by another, or once more by itself."""
        town, charter = self.charter()
        town.end_charter(charter)
        charter.write(note("and on"))
        _, other = self.charter()
        self.write_end(other, charter, self.end_of(town, charter))

    def fork(self) -> None:
        town, feed = self.writer()
        twin = feed.fork(f"{feed.n} {len(self.replicas)}", self.draw(st.integers(1, len(feed.batches))))
        twin.write(note("fork"))
        (self.charters if (town, feed) in self.charters else self.replicas).append((town, twin))

    def replica(self) -> None:
        town = self.town()
        by = self.draw(st.sampled_from([None, None, *(signer(f"{of.name} {name}") for of, name in self.invites)]))
        feed = town.replica(self.draw(st.sampled_from(["two", "three"])), self.draw(_ROLES), by=by)
        feed.write(note(f"{len(self.replicas)}"))
        self.replicas.append((town, feed))

    def steal(self) -> None:
        """A town certifies a key that is another's: a replica's, or a town's."""
        _, stolen = self.writer()
        self.certify(stolen)

    def certify(self, stolen: FeedWriter) -> FeedWriter | None:
        town = self.town()
        if stolen.author == town.key.public:
            return None
        feed = FeedWriter(town.plane, stolen.key, f"stolen {len(self.replicas)}")
        feed.write(town.opening(stolen.author, self.draw(_ROLES)), note("stolen"))
        self.replicas.append((town, feed))
        return feed

    def mistake(self) -> None:
        """A town certifies another town's key, and that one's charter is ended at the branch that this began."""
        town, stolen = self.charter()
        feed = self.certify(stolen)
        if feed is not None:
            _, charter = self.charter()
            self.write_end(charter, feed, self.end_of(town, feed))

    def open(self) -> None:
        """A key opens a charter once more, or a replica's does."""
        town, feed = self.writer()
        guest = Guest(self.founder, f"{town.name} again", key=feed.key)
        self.towns.append(guest)
        self.charters.append((guest, guest.charter))

    def invite(self) -> None:
        town, charter = self.charter()
        name = f"invite {self.draw(st.integers(0, 1))}"
        named = [ZEROS, ZEROS, town.key.public, town.key.public, *(each.key.public for each in self.towns)]
        role = self.draw(st.sampled_from([Role.WRITER, Role.WRITER, Role.READER, Role.ADMIN]))
        town.invite(name, role, by=charter, town=self.draw(st.sampled_from(named)))
        self.invites.append((town, name))

    def bring(self) -> None:
        """A town comes with an invite."""
        if self.invites:
            of, name = self.draw(st.sampled_from(self.invites))
            guest = Guest(self.founder, self.draw(st.sampled_from(_NAMES)), signer(f"{of.name} {name}"))
            self.towns.append(guest)
            self.charters.append((guest, guest.charter))
            self.replicas.append((guest, guest.replica("one", self.draw(_ROLES), note())))

    def close(self) -> None:
        if self.invites:
            of, name = self.draw(st.sampled_from(self.invites))
            _, charter = self.draw(st.sampled_from([self.charter(), (of, of.charter)]))
            keys = [feed.author for _, feed in (*self.replicas, *self.charters)]
            of.close(signer(f"{of.name} {name}"), *self.draw(st.sets(st.sampled_from(keys))), by=charter)


def rule(text: str) -> Draft:
    """An event that only admins' replicas may write."""
    return Draft("role", "a role", "alice", (Write("document", text),))


@st.composite
def town_worlds(draw: st.DrawFn, most: int = 14) -> World:
    """A founder and two other towns with a replica each, after up to this many steps of any of them."""
    making = _Making(draw)
    for step in draw(st.lists(st.sampled_from(_STEPS), max_size=most)):
        getattr(making, step)()
    writers = [feed for _, feed in (*making.charters, *making.replicas)]
    return World(making.founder, tuple({batch.id: batch for writer in writers for batch in writer.batches}.values()))

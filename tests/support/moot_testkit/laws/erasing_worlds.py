"""Random worlds of two towns in which much is erased, by whoever may and whoever may not, and taken back again."""

from typing import NamedTuple

from hypothesis import strategies as st

from moot_protocol.log.batch import ZEROS, Batch
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter import End, end_draft
from moot_testkit.bytes.feeds import FeedWriter, Guest, Town, dot_of, note
from moot_testkit.laws.erasing import erasing

_ROLES = st.sampled_from([Role.WRITER, Role.WRITER, Role.ADMIN, Role.ADMIN, Role.READER])
_STEPS = ["write"] * 3 + ["erase"] * 6 + ["end", "end", "undo", "fork", "admit", "remove"]


class ErasingWorld(NamedTuple):
    """Everything that was ever signed on a plane. Each event of an issue says another text."""

    town: Town
    batches: tuple[Batch, ...]
    """All batches, whole, in the order in which they were made."""

    def __repr__(self) -> str:
        """Short: the bytes tell nobody anything."""
        return f"a world of {len(self.batches)} batches"


class _Making:
    """A world being made."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.said = 0
        self.founder = Town()
        self.guest: Guest = self.founder.guest("guest")
        self.founder.admit(self.guest, draw(_ROLES))
        self.writers = [
            self.founder.replica("one"),
            self.founder.replica("two", draw(_ROLES)),
            self.guest.replica("one", draw(_ROLES)),
            self.guest.replica("two"),
        ]
        self.made = [feed.batches[0] for feed in (self.founder.charter, self.guest.charter, *self.writers)]
        self.made.append(self.founder.charter.batches[1])
        self.written: list[Batch] = []
        self.ends: list[tuple[Batch, bytes, End]] = []
        for _ in range(3):
            self.write()

    def _text(self) -> str:
        self.said += 1
        return f"what is said, number {self.said}, and nowhere else"

    def _writer(self) -> FeedWriter:
        return self.writers[self.draw(st.integers(0, len(self.writers) - 1))]

    def _note(self, batch: Batch) -> None:
        self.made.append(batch)

    # -- Steps ---------------------------------------------------------------------------------------------------
    def write(self) -> None:
        """Say one thing or several, of one issue or two."""
        keys = self.draw(st.lists(st.sampled_from(["title", "description", "comments"]), min_size=1, max_size=3))
        drafts = (note(self._text(), key=key, entity=f"mt-{len(key)}") for key in keys)
        self.written.append(self._writer().write(*drafts))
        self._note(self.written[-1])

    def erase(self) -> None:
        """Erase some events of a batch, or all; in a batch by itself or beside something else."""
        among = self.draw(st.sampled_from([self.written, self.written, self.made]))
        batch = among[self.draw(st.integers(0, len(among) - 1))]
        numbers = self.draw(st.sets(st.integers(batch.header.first, batch.header.last)))
        beside = [note(self._text())] if self.draw(st.booleans()) else []
        self._note(self._writer().write(*beside, erasing(batch, *numbers)))

    def end(self) -> None:
        """End a feed somewhere, sometimes within a batch or before all of it."""
        feed = self._writer()
        town = self.guest if self.writers.index(feed) in (2, 3) else self.founder
        pinned = self.draw(st.integers(-1, len(feed.batches) - 1))
        end = End(0, ZEROS, town.key.public)
        if pinned >= 0:
            header = feed.batches[pinned].header
            n = self.draw(st.integers(header.first, header.last))
            end = End(n, feed.batches[pinned].id, town.key.public)
        batch = self.founder.charter.write(end_draft(feed.author, end, "admin"))
        self.ends.append((batch, feed.author, end))
        self._note(batch)

    def undo(self) -> None:
        """Let an end give way to a later one: at the end of the feed, as far as it goes now."""
        if self.ends:
            batch, author, end = self.ends.pop()
            feed = next(feed for feed in self.writers if feed.author == author)
            later = End(feed.n, feed.head, end.town)
            over = [dot_of(batch.events[0], self.founder.key.public)]
            self._note(self.founder.charter.write(end_draft(author, later, "admin", over)))

    def fork(self) -> None:
        """Go on with a feed twice."""
        feed = self._writer()
        twin = feed.fork(f"twin {self.said}", self.draw(st.integers(1, len(feed.batches))))
        self._note(twin.write(note(self._text()), note(self._text())))
        if self.draw(st.booleans()):
            self.writers.append(twin)

    def admit(self) -> None:
        """Let the other town in once more, perhaps as more than it was."""
        self._note(self.founder.admit(self.guest, self.draw(_ROLES)))

    def remove(self) -> None:
        """Remove the other town; what its replicas have written stays."""
        self._note(self.founder.remove(self.guest, *self.writers[2:4]))


@st.composite
def erasing_worlds(draw: st.DrawFn, most: int = 12) -> ErasingWorld:
    """A founder's town and another with two replicas each, after up to this many steps of any of them."""
    making = _Making(draw)
    making.erase()
    for _ in range(draw(st.integers(0, most))):
        getattr(making, draw(st.sampled_from(_STEPS)))()
    return ErasingWorld(making.founder, tuple({batch.id: batch for batch in making.made}.values()))

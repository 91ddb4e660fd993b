"""What everybody on a simulated plane may know: all that anyone has signed, and the names of all writes."""

from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Dot
from moot_testkit.naive.erasure import Name, names_of


class Knowledge:
    """Everything that anyone has signed, and the names of all writes: a hostile replica may know all of it."""

    def __init__(self) -> None:
        self.batches: dict[bytes, Batch] = {}
        self.issues: list[str] = []
        self.dots: list[tuple[Dot, str, str]] = []
        """(write, entity, key)."""
        self.authors: list[bytes] = []
        self.erased: set[Name] = set()
        """The events that any erasure names, whether it counts or not."""

    def learn(self, batch: Batch) -> None:
        """Take note of a batch."""
        if batch.id in self.batches:
            return
        self.batches[batch.id] = batch
        author = batch.header.author
        if author not in self.authors:
            self.authors.append(author)
        for event in batch.events:
            skeleton = event.skeleton
            if skeleton.kind == "issue" and skeleton.entity not in self.issues:
                self.issues.append(skeleton.entity)
            for change in skeleton.changes:
                self.dots.append((Dot(author, event.n, event.leaf[:8]), skeleton.entity, change.key))
            self.erased |= names_of(event)

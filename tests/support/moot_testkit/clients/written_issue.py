"""An issue written to register by register, as a writer would, and what is shown of it then."""

from typing import Any

from moot_protocol.clock import from_ms
from moot_protocol.issues.issue import IssueReading, read_issue
from moot_protocol.issues.issue_document import document
from moot_protocol.log.event import Write
from moot_protocol.times import format_ms
from moot_testkit.naive.entity_map import EntityMap

ALICE, BOB = b"a" * 32, b"b" * 32
T0 = 1_767_225_600_000
"""2026-01-01, in milliseconds."""


class Issue(EntityMap):
    """An issue written to by name and value, a second apart."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self.seconds = 0
        self.write(title="A title", **fields)

    def write(self, author: bytes = ALICE, actor: str = "alice", **fields: Any) -> None:
        """Write registers over what is live, set-like elements over nothing."""
        self.seconds += 1
        sets = ("labels", "edges", "comments", "metadata", "extra")
        writes = [Write(key, value, () if key in sets else self.over(key)) for key, value in fields.items()]
        self.apply(author, from_ms(T0 + 1000 * self.seconds), writes, actor)

    def fork(self, key: str, ours: Any, theirs: Any) -> None:
        """Two writes that didn't see one another."""
        over = self.over(key)
        for author, value in ((ALICE, ours), (BOB, theirs)):
            self.seconds += 1
            self.apply(author, from_ms(T0 + 1000 * self.seconds), [Write(key, value, over)])

    def read(self) -> IssueReading:
        return read_issue("bd-1", self.live, self.created_hlc, self.updated_hlc, self.lineage_of)

    def document(self, *, exact: bool = False) -> dict[str, Any]:
        return document(self.read(), exact=exact)


def at(seconds: int) -> str:
    return format_ms(T0 + 1000 * seconds)

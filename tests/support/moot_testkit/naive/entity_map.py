"""A multi-value map of one entity, small enough to be seen to be right: for tests of what reads and writes it."""

from collections.abc import Iterable, Sequence
from typing import Any

from moot_protocol.log.event import Dot, Write
from moot_protocol.merge.lineage import Name
from moot_protocol.merge.register import MISSING, Sibling

LEAF8 = bytes(8)


class EntityMap:
    """Applies writes of several authors in the order given; keeps what they superseded."""

    def __init__(self) -> None:
        self.live: dict[str, list[Sibling]] = {}
        self.created_hlc = 0
        self.updated_hlc = 0
        self._written: dict[bytes, int] = {}
        self._writes: dict[str, dict[Name, tuple[Sibling, list[Name]]]] = {}

    def apply(self, author: bytes, hlc: int, writes: Iterable[Write], actor: str = "") -> None:
        """Apply one event."""
        n = self._written[author] = self._written.get(author, 0) + 1
        self.created_hlc = self.created_hlc or hlc
        self.updated_hlc = max(self.updated_hlc, hlc)
        keys = set()
        for write in writes:
            assert write.key not in keys, "a key stands once in an event"
            keys.add(write.key)
            over = [(dot.author, dot.n) for dot in write.over]
            live = [s for s in self.live.get(write.key, []) if (s.author, s.n) not in over]
            if not write.removes:
                sibling = Sibling(write.value, hlc, author, n, actor, LEAF8)
                live.append(sibling)
                self._writes.setdefault(write.key, {})[author, n] = (sibling, over)
            self.live[write.key] = live
            if not live:
                del self.live[write.key]

    def dot_of(self, key: str, sibling: Sibling) -> Dot:
        """The dot of a live write."""
        assert sibling in self.live[key]
        return Dot(sibling.author, sibling.n, LEAF8)

    def over(self, key: str) -> list[Dot]:
        """Everything live in a key."""
        return [self.dot_of(key, sibling) for sibling in self.live.get(key, [])]

    def lineage_of(self, key: str) -> "KeyHistory":
        """The history of a key."""
        return KeyHistory(self._writes.get(key, {}))

    def erase(self, key: str) -> None:
        """Make the values of a key's live writes missing."""
        self.live[key] = [sibling._replace(value=MISSING) for sibling in self.live[key]]


class KeyHistory:
    """A lineage out of a dict: name → (write, names it superseded)."""

    def __init__(self, writes: dict[Name, tuple[Sibling, list[Name]]]) -> None:
        self._writes = writes

    def over(self, name: Name) -> Sequence[Name]:
        """What a write superseded."""
        return self._writes[name][1] if name in self._writes else ()

    def value(self, name: Name) -> Any:
        """What a write wrote."""
        return self._writes[name][0].value if name in self._writes else MISSING

    def hlc(self, name: Name) -> int:
        """When it was made."""
        return self._writes[name][0].hlc if name in self._writes else 0

"""What a write transaction changes of what a replica keeps at hand: taken over with its commit, forgotten without it.

Invariant: all of it is restored when a part of the transaction is taken back, for nothing else is a field here.
"""

from copy import copy
from typing import Any

from moot_protocol.trust.towns import Towns
from mootd.engine.state import State
from mootd.engine.stored.log import FeedRow, PlaneRow


class Learnt:
    """What one transaction has learnt so far.

    Args:
        replica: the replica, as it is before the commit.
    """

    __slots__ = (
        "arrival", "changed_planes", "changes_remotes", "cuts", "feeds", "is_disowned", "is_original", "new_feeds",
        "new_keys", "new_planes", "new_projects", "settled",
    )  # fmt: skip

    def __init__(self, replica: State) -> None:
        self.arrival = replica.arrival
        """The next arrival number."""
        self.cuts = replica.cuts
        self.feeds: dict[int, FeedRow] = {}
        """Feeds changed."""
        self.new_feeds: dict[tuple[int, bytes], int] = {}
        """(plane, author) → the numbers given to feeds."""
        self.new_planes: list[PlaneRow] = []
        self.changed_planes: dict[int, PlaneRow] = {}
        self.new_projects: dict[tuple[int, str], int] = {}
        """(plane, prefix) → the numbers given to projects."""
        self.new_keys: dict[str, int] = {}
        """Names that stand for other private keys from the commit on."""
        self.settled: dict[int, Towns] = dict(replica.settled)
        """plane → the towns by which all its feeds are settled."""
        self.is_disowned = False
        """Whether the town's keys are left to another machine."""
        self.is_original = False
        """Whether somebody has said that the data directory is in use nowhere else, though it was found elsewhere."""
        self.changes_remotes = False
        """Whether remotes come or go."""

    def kept(self) -> dict[str, Any]:
        """All of it as it is now, for `take_back`."""
        return {name: copy(getattr(self, name)) for name in Learnt.__slots__}

    def take_back(self, kept: dict[str, Any]) -> None:
        """Be as when `kept` was asked for."""
        for name, value in kept.items():
            setattr(self, name, value)

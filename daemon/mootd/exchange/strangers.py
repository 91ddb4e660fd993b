"""Peers on a live plane of whose feeds nothing counts here, and how few of them are remembered.

Whoever has had a key of the plane's can sign and seal as anybody, and as often as they like. So of all strangers only
the latest are remembered. That is enough for newcomers, whose certificate comes over the same line: a peer that was
forgotten begins anew with what it says next, and batches are taken in from whomever they come.
"""

from collections.abc import Callable
from typing import Final

from moot_protocol.exchange.frontier import FrontierBody
from moot_protocol.limits import EPOCH_RECIPIENTS
from mootd.engine.commit import Committer
from mootd.engine.machine.members import forget_strangers, strangers
from mootd.engine.replica import Replica

MOST: Final = 32
"""Strangers that are remembered on one plane."""


class Strangers:
    """Of one plane on one line.

    Args:
        replica: this replica.
        plane: the plane's number.
        commit: carries out work in a write transaction.
        forget: lets go of what was heard of a peer.
        dismiss: lets go of that it listens.
    """

    def __init__(
        self,
        replica: Replica,
        plane: int,
        commit: Committer,
        forget: Callable[[bytes], None],
        dismiss: Callable[[bytes], None],
    ) -> None:
        self._replica = replica
        self._plane = plane
        self._commit = commit
        self._forget = forget
        self._dismiss = dismiss
        self._latest: dict[bytes, FrontierBody | None] = {}
        """Stranger → where it said last that it stands; the one heard last at the end."""
        self._listening: dict[bytes, None] = {}
        """Strangers that say that they listen, who say so only once: as many as a plane has members."""
        self._is_tidy = False

    def __contains__(self, peer: bytes) -> bool:
        """Whether nothing of a peer's feed counts here."""
        number = self._replica.feed_numbers.get((self._plane, peer))
        return not (number and self._replica.feeds[number].n)

    def meet(self, peer: bytes) -> None:
        """Remember who speaks, if it is a stranger, in place of the one that was silent longest."""
        said = self._latest.pop(peer, None)
        if peer in self:
            self._latest[peer] = said
            if len(self._latest) > MOST:
                oldest = next(each for each in self._latest if each in self)  # who came to count is `admitted` yet
                del self._latest[oldest]
                self._forget(oldest)

    def listen(self, peer: bytes) -> None:
        """Remember who says whether it listens, if it is a stranger: nobody says that again when it comes to count."""
        self._listening.pop(peer, None)
        if peer in self:
            self._listening[peer] = None
            if len(self._listening) > EPOCH_RECIPIENTS:
                oldest = next(iter(self._listening))
                del self._listening[oldest]
                if oldest in self:
                    self._dismiss(oldest)

    def keep(self, said: FrontierBody) -> None:
        """Keep where a stranger that was met says that it stands, for when it comes to count."""
        self._latest[said.sender] = said

    def admitted(self) -> list[FrontierBody]:
        """Where those said last that they stand who have come to count since they were met; each is told once."""
        come = [peer for peer in self._latest if peer not in self]
        return [said for peer in come if (said := self._latest.pop(peer)) is not None]

    def tidy(self) -> None:
        """Drop, once, what is noted of strangers in the store: an earlier release noted it."""
        if self._is_tidy:
            return
        with self._replica.read() as reader:
            are_noted = bool(strangers(reader, self._plane))
        if are_noted:
            self._commit(lambda unit: forget_strangers(unit, self._plane))
        self._is_tidy = True

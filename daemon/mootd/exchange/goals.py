"""What an exchange that somebody asked for has to reach on a live plane, where others never stop writing.

Invariant: a peer counts as reached once both were in step at some moment since, or once this replica covers where the
peer said that it stands, and the peer has said that it holds what this replica had written by then. What is written
later belongs to a later exchange: else an exchange would last for as long as others work. What is heard right after
somebody asked counts for nothing, since it may have been on its way for a while.
"""

from typing import Final

from moot_protocol.exchange.frontier import Form, Frontier, FrontierBody

UNDER_WAY_MS: Final = 1000
"""How long what a peer has said may take to come; whoever goes on writing says something new soon after that."""


class Goals:
    """Of one plane.

    Args:
        me: this replica's key.
    """

    def __init__(self, me: bytes) -> None:
        self._me = me
        self._own_n = 0
        self._asked_ms = 0
        self._theirs: dict[bytes, dict[bytes, int]] = {}
        """peer → author → the last event that the peer said first to hold."""
        self._holds_mine: set[bytes] = set()
        """Peers that hold what this replica had written."""
        self.reached: set[bytes] = set()
        """Peers with whom everything is exchanged that was known."""

    def begin(self, own_n: int, now_ms: int) -> None:
        """Somebody asks: whatever was reached before is forgotten.

        Args:
            own_n: the number of this replica's last event.
            now_ms: the time.
        """
        self._own_n, self._asked_ms = own_n, now_ms
        self._theirs.clear()
        self._holds_mine.clear()
        self.reached.clear()

    def hear(self, peer: bytes, message: FrontierBody, now_ms: int, *, is_in_step: bool) -> None:
        """Note what a peer says of where it stands."""
        if 0 <= now_ms - self._asked_ms < UNDER_WAY_MS:
            return
        if is_in_step:
            self.reached.add(peer)
        if message.form not in (Form.ALL, Form.SOME):
            return
        told = {entry.author: entry.n for entry in message.entries}
        # Of some entries those are left out that are as this replica had told them.
        mine = told.get(self._me, self._own_n if message.form is Form.SOME else 0)
        if mine >= self._own_n:
            self._holds_mine.add(peer)
        self._theirs.setdefault(peer, told)

    @property
    def is_open(self) -> bool:
        """Whether a peer has said where it stands that isn't reached."""
        return not self._theirs.keys() & self._holds_mine <= self.reached

    def look(self, frontier: Frontier) -> None:
        """Find out whom this replica covers where it stands."""
        held = {entry.author: entry.n for entry in frontier}
        for peer in self._theirs.keys() & self._holds_mine:
            if all(held.get(author, 0) >= n for author, n in self._theirs[peer].items()):
                self.reached.add(peer)

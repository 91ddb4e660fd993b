"""The secrets of one plane on this machine: its topic key, and the keys of the epochs that this replica can open.

Invariant: a key is kept before anything is sealed under it, and never goes away: what lies on remotes may be old.
"""

from typing import Final

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.sealing.epoch import WRAP_DOMAIN, EpochValue, open_epoch, predecessors
from moot_protocol.sealing.frame import epoch_id
from moot_protocol.sealing.topics import charter_key, sender_of, topic_of
from moot_protocol.trust.ticket import invite_hpke_private, invite_signer
from mootd.engine.state import REPLICA_KEY
from mootd.ports import KeyStore

_INVITE_CHARS: Final = 48


class PlaneKeys:
    """A plane's keys.

    Args:
        keys: the machine's key store.
        plane: the plane's 16 bytes.
    """

    def __init__(self, keys: KeyStore, plane: bytes) -> None:
        self._keys: Final = keys
        self.plane: Final = plane
        self._topic_name: Final = f"topic-{plane.hex()}"
        self._known: dict[bytes, bytes] = {}
        self._shut: set[bytes] = set()
        """Epochs that no invite's seed opens."""
        self._topic: bytes | None = None
        self._charter_key: bytes | None = None

    # -- Names on remotes ----------------------------------------------------------------------------------------
    @property
    def has_topic(self) -> bool:
        """Whether this plane was ever made ready for an exchange here."""
        return self._keys.has(self._topic_name)

    @property
    def topic_key(self) -> bytes:
        """The 32 bytes that names on remotes are made with.

        Raises:
            RefusedError: `not_found`: there is none yet.
        """
        return self._keys.secret(self._topic_name)

    def keep_topic_key(self, secret: bytes) -> None:
        """Keep the topic key.

        Raises:
            RefusedError: `exists`: there is another one already.
        """
        self._keys.keep(self._topic_name, secret)

    @property
    def topic(self) -> bytes:
        """The plane's name on remotes (16 bytes)."""
        if self._topic is None:
            self._topic = topic_of(self.topic_key, self.plane)
        return self._topic

    def sender(self, author: bytes) -> bytes:
        """An author's name on remotes (16 bytes)."""
        return sender_of(self.topic_key, author)

    @property
    def charter_key(self) -> bytes:
        """The 32 bytes that the plane's charters are sealed under."""
        if self._charter_key is None:
            self._charter_key = charter_key(self.topic_key, self.plane)
        return self._charter_key

    # -- Invites that this replica came with ---------------------------------------------------------------------
    def keep_invite(self, seed: bytes) -> None:
        """Keep the seed of an invite: it opens what was wrapped for the invite before anybody knew this replica."""
        self._keys.keep(_invite_name(invite_signer(seed).public), seed)

    # -- Keys of epochs ------------------------------------------------------------------------------------------
    def key_of(self, epoch: bytes) -> bytes | None:
        """The plane key of an epoch (8 bytes), or None where it isn't known here."""
        known = self._known.get(epoch)
        if known is None and self.has_topic and epoch == epoch_id(self.charter_key):
            known = self._known[epoch] = self.charter_key
        elif known is None and self._keys.has(self._name(epoch)):
            known = self._known[epoch] = self._keys.secret(self._name(epoch))
        return known

    def keep(self, key: bytes) -> bytes:
        """Keep a plane key; returns its epoch."""
        epoch = epoch_id(key)
        self._keys.keep(self._name(epoch), key)
        return epoch

    def learn(self, epoch: bytes, value: EpochValue, me: bytes) -> bool:
        """Open an epoch that is wrapped for this replica, and those before it; whether its key is known now.

        Args:
            epoch: its 8 bytes.
            value: what a charter says of it.
            me: this replica's 32-byte key.
        """
        key = self.key_of(epoch) or self._unwrapped(epoch, value, me)
        if key is None:
            return False
        for each in self._before(key, value):  # also where the key itself came with a ticket
            if self.key_of(epoch_id(each)) is None:
                self.keep(each)
        if self.key_of(epoch) is None:
            self.keep(key)
        return True

    def _unwrapped(self, epoch: bytes, value: EpochValue, me: bytes) -> bytes | None:
        wrap = value.wraps.get(me)
        if wrap is None:
            return self._unwrapped_for_invite(epoch, value)
        try:
            key = self._keys.hpke_open(REPLICA_KEY, wrap, WRAP_DOMAIN + self.plane + epoch)
        except MalformedError:
            return None  # whoever wrote it wrote nothing that could be opened; the charter's next epoch may
        return key if epoch_id(key) == epoch else None

    def _unwrapped_for_invite(self, epoch: bytes, value: EpochValue) -> bytes | None:
        """The key of an epoch that is wrapped for an invite with which this replica came."""
        if epoch in self._shut:
            return None
        for invite in value.wraps:
            if self._keys.has(_invite_name(invite)):
                seed = self._keys.secret(_invite_name(invite))
                try:
                    return open_epoch(self.plane, epoch, value, invite, invite_hpke_private(seed))
                except MalformedError:
                    continue  # not wrapped well, or for another seed of its name: another invite's may open
        self._shut.add(epoch)
        return None

    def _before(self, key: bytes, value: EpochValue) -> tuple[bytes, ...]:
        try:
            return predecessors(self.plane, key, value)
        except MalformedError:
            return ()  # what was sealed before stays shut; what is sealed now need not

    def sealing_key(self, epoch: bytes) -> bytes:
        """The key to seal with.

        Raises:
            RefusedError: `not_ready`: the epoch's key hasn't come.
        """
        key = self.key_of(epoch)
        if key is None:
            raise RefusedError(
                "the key that this plane is sealed under now hasn't come here", code=Code.NOT_READY, retryable=True
            )
        return key

    def _name(self, epoch: bytes) -> str:
        return f"plane-{self.plane.hex()}-{epoch.hex()}"


def _invite_name(invite: bytes) -> str:
    """The name of an invite's seed among the keys, which is at most 63 characters long."""
    return f"invite-{invite.hex()[:_INVITE_CHARS]}"

"""The frames of one plane for one remote: what this replica says sealed, and what others said opened.

Invariant: nothing is sealed under an epoch that no accepted event confirms, but what a newcomer asks before the charter
has come; what has been opened stood under this plane's topic and one of its keys, and is of this plane. Nothing is
sealed, and no message opened, while the plane is isolated from the remote: that is asked anew each time.
"""

from collections.abc import Callable

from moot_protocol.crypto import Signer
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.exchange.frontier import Form
from moot_protocol.exchange.messages import Message, decode_message
from moot_protocol.exchange.presence import FORMAT, Presence, build_presence, decode_presence
from moot_protocol.merge.kinds import CHARTER
from moot_protocol.sealing.frame import epoch_id, frame_epoch, open_frame, seal
from moot_protocol.sealing.siv import NONCE_BYTES
from mootd.engine.exchange.stored_log import StoredLog
from mootd.engine.machine.remotes import check_allowed, is_allowed
from mootd.engine.membership.joining import joining_key, present_epoch
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.replica import Replica


class Sealing:
    """Seals and opens a plane's frames.

    Args:
        replica: this replica.
        log: the plane's.
        keys: the plane's.
        signer: signs what this replica says of itself.
        remote: the remote's number.
        frame_bytes: the most that the remote carries in one frame.
    """

    def __init__(
        self, replica: Replica, log: StoredLog, keys: PlaneKeys, signer: Signer, remote: int, *, frame_bytes: int
    ) -> None:
        self._replica = replica
        self._log = log
        self._plane = log.plane
        self._keys = keys
        self._signer = signer
        self._remote = remote
        self._frame_bytes = frame_bytes
        self._epoch_at: tuple[tuple[bytes, ...], bytes | None] | None = None
        """(heads of the charters, the epoch that they say is the present one)."""

    # -- Isolation -----------------------------------------------------------------------------------------------
    def is_allowed(self) -> bool:
        """Whether the plane may be exchanged with this remote."""
        with self._replica.read() as reader:
            return is_allowed(reader, self._remote, self._plane.number)

    def check_allowed(self) -> None:
        """Refuse to go on where the plane was isolated from this remote.

        Raises:
            RefusedError: `denied`.
        """
        with self._replica.read() as reader:
            check_allowed(reader, self._remote, self._plane.number)

    # -- Opening -------------------------------------------------------------------------------------------------
    def open(self, frame: bytes) -> Message:
        """Open a frame and decode its message.

        Raises:
            MalformedError: with the code of the first check that fails; `unknown_epoch` where the key isn't here.
            RefusedError: `denied`: the plane is isolated from this remote.
        """
        self.check_allowed()
        message = decode_message(self._opened(frame))
        if message.plane != self._plane.id:
            raise MalformedError("a message of another plane", code=Code.WRONG_PLANE)
        return message

    def open_presence(self, frame: bytes) -> Presence:
        """Open what a member says of itself on a live remote.

        Raises:
            MalformedError: with the code of the first check that fails.
        """
        presence = decode_presence(self._opened(frame))
        if presence.plane != self._plane.id:
            raise MalformedError("a presence of another plane", code=Code.WRONG_PLANE)
        return presence

    def _opened(self, frame: bytes) -> bytes:
        return open_frame(self._keys.key_of, self._keys.topic, frame)

    # -- Sealing -------------------------------------------------------------------------------------------------
    def seal(self, message: bytes, *, is_charter: bool = False) -> bytes:
        """Seal a message; one with batches of the charter alone under the charter's key.

        Raises:
            RefusedError: `not_ready`: nothing can be sealed yet; `denied`: the plane is isolated from this remote;
                `limit`: it is too large for the remote.
        """
        sealer = self.charter_sealer() if is_charter else self.sealer()
        if sealer is None:
            name = self._replica.planes[self._plane.number].name
            raise RefusedError(f"plane {name} can't be sealed yet", code=Code.NOT_READY, retryable=True)
        return sealer(message)

    def sealer(self) -> Callable[[bytes], bytes] | None:
        """Seals messages under the plane's present epoch; None where no accepted event has confirmed one yet."""
        epoch = self._epoch()
        return None if epoch is None else self._sealer(self._keys.key_of(epoch))

    def ticket_sealer(self) -> Callable[[bytes], bytes] | None:
        """Seals what a newcomer asks before the charter has come: under the key of its ticket, if it is one."""
        return self._sealer(joining_key(self._replica, self._plane.number, self._keys))

    def charter_sealer(self) -> Callable[[bytes], bytes]:
        """Seals messages of the charter: under the key that everybody has who was ever let in."""
        return self._sealer_with(self._keys.charter_key)

    def _sealer(self, key: bytes | None) -> Callable[[bytes], bytes] | None:
        return None if key is None else self._sealer_with(key)

    def _sealer_with(self, key: bytes) -> Callable[[bytes], bytes]:
        entropy = self._replica.entropy

        def sealed(message: bytes) -> bytes:
            self.check_allowed()
            return seal(key, self._keys.topic, entropy.bytes(NONCE_BYTES), message, room=self._frame_bytes)

        return sealed

    def is_outdated(self, *frames: bytes) -> bool:
        """Whether one of these frames, which could all be opened, is sealed under a key whose time is over."""
        present = self._epoch() if frames else None
        if present is None:
            return False
        valid = (present, epoch_id(self._keys.charter_key))
        return any(frame_epoch(frame) not in valid for frame in frames)

    def _epoch(self) -> bytes | None:
        """The present epoch, read anew only when a charter has changed."""
        row = self._replica.planes[self._plane.number]
        feeds = list(self._replica.feeds.values())
        # Beside the charters it depends on which of those that were ended are held, and so how they came in.
        heads = tuple(
            feed.head if feed.kind == CHARTER else feed.author
            for feed in feeds
            if feed.plane == row.number and (feed.kind == CHARTER or (feed.ended and feed.n))
        )
        if self._epoch_at is None or self._epoch_at[0] != heads:
            self._epoch_at = (heads, present_epoch(self._replica, row))
        return self._epoch_at[1]

    # -- What this replica says of itself --------------------------------------------------------------------------
    def presence(self, *, is_there: bool) -> bytes | None:
        """Whether this replica listens on a live remote, sealed; None where nothing can be sealed yet."""
        sealer = self.sealer() or self.ticket_sealer()
        if sealer is None:
            return None
        body = Presence(FORMAT, self._plane.id, self._signer.public, self._log.next_counter(), is_there)
        return sealer(build_presence(self._signer, body))

    def frontier_message(self, form: Form = Form.ALL) -> bytes:
        """Where this replica stands, for everybody: signed, and not sealed yet."""
        position = self._log.position()
        return position.message(self._signer, self._plane.id, self._log.next_counter(), form)

"""One plane as it is exchanged with one remote: what comes is taken in, what the remote lacks is queued.

Invariant: a frame is acted on only after it has been opened (`sealing.py`), and a message only after its signatures
have been verified. Only sealed frames are queued, and none while the plane is isolated from the remote. What was read
from the log before it was erased is not queued after it: it is read and sealed anew, and nothing else is.
All of it blocks, and belongs into a worker thread; one caller at a time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice, takewhile
from typing import Final, NamedTuple

from msgspec.structs import replace

from moot_protocol.errors import Code, MalformedError
from moot_protocol.exchange.frontier import FrontierBody, summary
from moot_protocol.exchange.messages import Batches, ForkProof, Message, Want, build_batches, decode_message
from moot_protocol.limits import FRAME_BYTES
from moot_protocol.log.batch import Link, batch_link
from moot_protocol.sealing.frame import frame_epoch
from mootd.engine.commit import Committer
from mootd.engine.exchange import carried as carrying
from mootd.engine.exchange.carried import NOTHING, Carried
from mootd.engine.exchange.filling import Portion, portions, queue, repack
from mootd.engine.exchange.outbox import Outbox, OutboxReader, OutFrame
from mootd.engine.exchange.plane_exchange import take_in
from mootd.engine.exchange.receive import keep_proof
from mootd.engine.exchange.stored_log import StoredLog
from mootd.engine.machine.members import is_member, note_seen
from mootd.engine.machine.remotes import check_allowed, check_is_there
from mootd.engine.membership.joining import advance
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.replica import Replica
from mootd.engine.state import REPLICA_KEY
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.engine.versions import tell_version
from mootd.exchange.sealing import Sealing
from mootd.store.port import Reader

AT_ONCE: Final = 8
"""Messages queued by one transaction."""
TRIES: Final = 64
"""Readings of which nothing could be queued, after which it is left for later."""


class Took(NamedTuple):
    """What came of frames."""

    batches: int
    """Batches that were new here."""
    problems: list[MalformedError]
    """What was wrong with frames, messages or batches that were not taken in."""
    unopened: Sequence[bytes]
    """Of each frame whose key isn't known here (yet), its epoch."""


class Ready(NamedTuple):
    """A message that a remote lacks, sealed, and not queued yet."""

    portion: Portion
    frame: bytes
    cuts: int
    """How often the replica had cut or erased anything before the log was read for it (`State.cuts`)."""


class PlaneOnRemote:
    """One plane on one remote.

    Args:
        replica: this replica.
        plane: the plane.
        remote: the remote's number.
        commit: carries out work in a write transaction.
        message_bytes: about the most that a message takes before it is sealed.
        frame_bytes: the most that the remote carries in one frame.
        relay_ms: how long others' batches wait for their authors to bring them to the remote.
    """

    def __init__(
        self,
        replica: Replica,
        plane: PlaneRow,
        remote: int,
        commit: Committer,
        *,
        message_bytes: int,
        frame_bytes: int = FRAME_BYTES,
        relay_ms: int = 0,
    ) -> None:
        self.plane: Final = SharedPlane(plane)
        self.keys: Final = PlaneKeys(replica.keys, plane.id)
        self.log: Final = StoredLog(replica, self.plane, commit)
        # One look: a transaction that gives this replica another key may fall between two.
        signer = replica.signer(REPLICA_KEY)
        self.me: Final = signer.public
        self.sealing: Final = Sealing(replica, self.log, self.keys, signer, remote, frame_bytes=frame_bytes)
        self._replica = replica
        self._remote = remote
        self._commit = commit
        self._message_bytes = message_bytes
        self._relay_ms = relay_ms
        self._lacked: dict[bytes, tuple[int, int]] = {}
        """Another author → an event of its feed that the remote didn't carry, and since when that is known."""
        self.apart: Final[set[bytes]] = set()
        """Members that told the same frontier with another digest, until they agree again."""

    @property
    def topic(self) -> bytes:
        """The plane's name on remotes."""
        return self.keys.topic

    @property
    def sender(self) -> bytes:
        """This replica's name on remotes."""
        return self.keys.sender(self.me)

    def is_own_forked(self) -> bool:
        """Whether two histories of this replica's own feed are known, which nobody has chosen from."""
        number = self._replica.feed_numbers.get((self.plane.number, self.me), 0)
        row = self._replica.feeds.get(number)
        return row is not None and bool(row.forked_at) and not row.ended

    # -- Coming in -----------------------------------------------------------------------------------------------
    def take(self, frames: Iterable[bytes]) -> Took:
        """Take in frames in the order in which a sender put them."""
        new = 0
        problems: list[MalformedError] = []
        unopened: list[bytes] = []
        for frame in frames:
            try:
                message = self.sealing.open(frame)
            except MalformedError as error:
                if error.code is Code.UNKNOWN_EPOCH:
                    unopened.append(frame_epoch(frame))
                else:
                    problems.append(error)
                continue
            new += self._act(message, problems)
        return Took(new, problems, unopened)

    def act(self, message: Message) -> Took:
        """Act on a message that has been opened."""
        problems: list[MalformedError] = []
        return Took(self._act(message, problems), problems, ())

    def _act(self, message: Message, problems: list[MalformedError]) -> int:
        """Act on a message; how many batches were new."""
        match message:
            case Batches():
                return self._take_batches(message.batches, problems)
            case ForkProof():
                self._commit(lambda unit: self._keep(unit, message))
            case FrontierBody():
                self._take_frontier(message)
            case Want():
                pass  # a remote that keeps frames has no one to ask
        return 0

    def _take_batches(self, batches: Sequence[bytes], problems: list[MalformedError]) -> int:
        unknown = self.unknown(batches, problems)
        # What is no batch carries nothing: whoever reads only this remote still lacks what it claims to be.
        stored = take_in(self._commit, self.plane, unknown, self.note_carried)
        problems.extend(stored.malformed)
        advance(self._replica, self.plane.number, self.keys, self._commit)
        tell_version(self._replica, self.plane.number, self._commit)
        return len(stored.outcomes)

    def unknown(self, batches: Iterable[bytes], problems: list[MalformedError]) -> list[bytes]:
        """Those of some batches that aren't held here; that the remote carries the others is noted.

        Args:
            batches: packed, as they came.
            problems: gets an error for each that is no batch; such a one isn't among those given back.
        """
        held: list[Link] = []
        found: list[bytes] = []
        for batch in batches:
            try:
                link = batch_link(batch)
            except MalformedError as error:
                problems.append(error)
                continue
            if self._has(link):
                held.append(link)
            else:
                found.append(batch)
        if news := self._uncarried(held):
            self._commit(partial(self.note_carried, links=news))
        return found

    def _uncarried(self, links: Sequence[Link]) -> list[Link]:
        """Those of some batches that the remote isn't known to carry: noting others is a commit for nothing."""
        number = self.plane.number
        with self._replica.read() as reader:
            known = {
                author: carrying.carried_of(reader, self._remote, number, author).places
                for author in {link.author for link in links}
            }
        return [link for link in links if all(n < link.last for n, _ in known[link.author])]

    def forget_carried(self) -> None:
        """Take for granted no more what the remote carries; `count` follows."""

        def forget(unit: Unit) -> None:
            check_is_there(unit.transaction, self._remote)
            carrying.forget(unit.transaction, self._remote, self.plane.number)

        self._commit(forget)

    def count(self, frames: Iterable[bytes]) -> None:
        """Note what frames carry that stand on the remote, whoever put them there."""
        for frame in frames:
            with suppress(MalformedError):  # whoever reads it first reports it
                message = self.sealing.open(frame)
                if isinstance(message, Batches | ForkProof):
                    self._act(message, [])

    def _has(self, link: Link) -> bool:
        """Whether a batch is accepted here with all its values, so that it need not be looked at."""
        return self.log.has_whole(link.author, link.first, link.id)

    def note_carried(self, unit: Unit, links: Sequence[Link]) -> None:
        """Note that the remote carries batches that were read from it."""
        check_is_there(unit.transaction, self._remote)
        by_author: dict[bytes, list[Link]] = {}
        for link in links:
            by_author.setdefault(link.author, []).append(link)
        for author, sent in by_author.items():
            known = carrying.carried_of(unit.transaction, self._remote, self.plane.number, author)
            carrying.put(unit.transaction, self._remote, self.plane.number, author, carrying.extend(known, sent))

    def _keep(self, unit: Unit, proof: ForkProof) -> None:
        check_is_there(unit.transaction, self._remote)
        keep_proof(unit, proof)
        number, remote = self.plane.number, self._remote
        known = carrying.carried_of(unit.transaction, remote, number, proof.author)
        forked_at = min(known.forked_at or proof.first, proof.first)
        carrying.put(unit.transaction, remote, number, proof.author, replace(known, forked_at=forked_at))

    def _take_frontier(self, message: FrontierBody) -> None:
        with self._replica.read() as reader:
            if not is_member(reader, self.plane.number, message.sender):
                return  # who has an old key can sign as anybody: of strangers nothing is noted
        position = self.log.position()
        if summary(position.frontier) == message.summary:
            note = self.apart.discard if position.digest == message.digest else self.apart.add
            note(message.sender)
        self._commit(lambda unit: note_seen(unit, self.plane.number, message))

    # -- Going out -----------------------------------------------------------------------------------------------
    def fill(self, most_bytes: int, *, at_once: bool = True) -> int:
        """Queue what the remote lacks, until so many bytes of this plane wait; how many frames were queued.

        What is queued where something is erased meanwhile should go before more is: then the rest is left for later.

        Args:
            most_bytes: the bytes.
            at_once: whether others' batches go, too, that their authors may be about to bring.
        """
        queued = 0
        lacking = self._lacking(at_once=at_once)
        room: int | None = None
        cuts, tries, step = self._replica.cuts, 0, AT_ONCE
        while some := list(islice(lacking, step)):
            room = most_bytes - self.waiting_bytes() if room is None else room
            if room <= 0:
                break
            count = self._commit(partial(self.queue, some=some))
            queued += count
            room -= sum(len(ready.portion.message) for ready in some[:count])
            if count < len(some):
                tries += 1
                lacking, step = self._lacking(at_once=at_once), 1
            if tries == TRIES or (queued and self._replica.cuts != cuts):
                break
        return queued

    def prepare(self, most: int) -> list[Ready]:
        """Seal some of what the remote lacks without queueing it; `queue` follows, however far it got meanwhile."""
        return list(islice(self._lacking(at_once=True), most))

    def _lacking(self, *, at_once: bool) -> Iterator[Ready]:
        """What the remote lacks, sealed as it is asked for; of charters alone where there is no epoch to seal under.

        Else nobody would hear why there is none: who was removed, and by whom.
        """
        if not self.keys.has_topic:
            return
        sealer = self.sealing.sealer()
        cuts = self._replica.cuts
        with self._replica.read() as reader:
            known = carrying.carried(reader, self._remote, self.plane.number)
        held = () if at_once else self._held_back(known)
        for portion in portions(self.log, known, self._message_bytes, held):
            seal = self.sealing.charter_sealer() if portion.is_charter else sealer
            if seal is None:
                return
            yield Ready(portion, seal(portion.message), cuts)

    def _held_back(self, known: Mapping[bytes, Carried]) -> set[bytes]:
        """The others whose batches the remote has lacked for a short time only.

        Several machines may have got them over another remote, and each would bring them here.
        """
        now_ms = self._replica.wall.now_ms()
        lacked: dict[bytes, tuple[int, int]] = {}
        for entry in self.log.position().frontier:
            carried_n = max((n for n, _ in known.get(entry.author, NOTHING).places), default=0)
            if entry.author != self.me and carried_n < entry.n:
                noted = self._lacked.get(entry.author)
                lacked[entry.author] = noted if noted is not None and carried_n < noted[0] else (entry.n, now_ms)
        self._lacked = lacked
        return {author for author, (_, since_ms) in lacked.items() if 0 <= now_ms - since_ms < self._relay_ms}

    def queue(self, unit: Unit, some: Sequence[Ready], published: int = 0) -> int:
        """Queue sealed messages, the first so many of which a remote without memory has acknowledged already.

        One that holds what was erased meanwhile is left out, and so counts as never sent: it is read anew. So is one
        before which something has to go again.

        Returns:
            How many were queued; those after them weren't.

        Raises:
            RefusedError: `not_found`: the remote was removed; `denied`: the plane is isolated from it.
        """
        check_is_there(unit.transaction, self._remote)
        check_allowed(unit.transaction, self._remote, self.plane.number)
        for at, ready in enumerate(some):
            if not self._follows(unit, ready.portion) or self._is_stale(unit.transaction, ready, unit.cuts):
                return at
            published_ms = unit.now_ms if at < published else 0
            queue(unit, self._remote, self.plane, ready.frame, ready.portion, published_ms=published_ms)
        return len(some)

    def _follows(self, unit: Unit, portion: Portion) -> bool:
        """Whether the remote still counts as carrying all that a portion comes after; else what is between is lost."""
        before = portion.before.items()
        return all(carrying.carries(unit.transaction, self._remote, self.plane.number, *each) for each in before)

    def _is_stale(self, reader: Reader, ready: Ready, cuts: int) -> bool:
        """Whether a message holds what is erased in a state in which there have been so many cuts."""
        portion = ready.portion
        return ready.cuts != cuts and self.log.tells_erased(reader, portion.message, portion.spans)

    def is_stale(self, ready: Ready) -> bool:
        """Whether a message that isn't queued yet holds what was erased since it was read."""
        cuts = self._replica.cuts
        with self._replica.read() as reader:
            return self._is_stale(reader, ready, cuts)

    def tells_erased(self, message: bytes) -> bool:
        """Whether a message holds what is erased by now."""
        with self._replica.read() as reader:
            return self.log.tells_erased(reader, message)

    def summary(self) -> bytes:
        """The 32 bytes that tell where this replica stands."""
        return summary(self.log.position().frontier)

    def may_speak(self) -> bool:
        """Whether this replica has entered the plane, so that others know whose word it is."""
        return self._replica.feed_numbers.get((self.plane.number, self.me), 0) > 0

    def rewind(self) -> int:
        """Go back to before what the queue had no room for; how many feeds do."""
        number = self.plane.number
        with self._replica.read() as reader:
            if not carrying.has_rewinds(reader, self._remote, number):
                return 0  # a commit would wake whoever waits for one
        return self._commit(lambda unit: carrying.apply_rewinds(unit.transaction, self._remote, number))

    def waiting_bytes(self) -> int:
        """Bytes of this plane's frames that the remote hasn't been given yet."""
        with self._replica.read() as reader:
            frames = OutboxReader(reader, self._remote).frames()
            return sum(
                len(frame.frame) for _, frame in frames if frame.plane == self.plane.number and not frame.published_ms
            )

    def everything(self) -> list[bytes]:
        """Frames that hold all that is accepted here of this plane, but for what was erased before it was sealed."""
        cuts = self._replica.cuts
        found = portions(self.log, {}, self._message_bytes)
        return self.fresh([Ready(each, self._sealed(each), cuts) for each in found])

    def fresh(self, sealed: Sequence[Ready]) -> list[bytes]:
        """The frames of messages; those that hold what was erased since they were read are sealed anew without it."""
        return [self._without_erased(ready.portion) if self.is_stale(ready) else ready.frame for ready in sealed]

    def repacked(self, batches: Iterable[bytes], proofs: Iterable[bytes]) -> list[bytes]:
        """Frames that hold what stands on a remote already, but for what was erased before it was sealed.

        Args:
            batches: the batches.
            proofs: messages with proofs of forks.
        """
        cuts, charters = self._replica.cuts, self.log.charters()
        kept = self.log.without_erased(batches)
        charter = [batch for batch in kept if batch_link(batch).author in charters]
        others = [batch for batch in kept if batch_link(batch).author not in charters]
        found = [
            *repack(self.plane.id, charter, self._message_bytes, is_charter=True),
            *(Portion(proof, {}, {}, {}) for proof in proofs),
            *repack(self.plane.id, others, self._message_bytes),
        ]
        return self.fresh([Ready(each, self._sealed(each), cuts) for each in found])

    def _sealed(self, portion: Portion) -> bytes:
        return self.sealing.seal(portion.message, is_charter=portion.is_charter)

    def _without_erased(self, portion: Portion) -> bytes:
        message = decode_message(portion.message)
        batches = self.log.without_erased(message.batches if isinstance(message, Batches) else ())
        left = build_batches(self.plane.id, tuple(batches), (), ())
        return self.sealing.seal(left, is_charter=portion.is_charter)

    def charter_frames(self) -> list[bytes]:
        """Frames that hold the plane's charter, for those who have missed a new key."""
        found = takewhile(lambda portion: portion.is_charter, portions(self.log, {}, self._message_bytes))
        return [self.sealing.seal(portion.message, is_charter=True) for portion in found]

    def renew(self, waiting: Iterable[OutFrame]) -> bool:
        """Empty the queue, to be filled again, where one of these frames' key is outdated; whether it was.

        A new epoch empties it in its own transaction; what was sealed before that may be queued a moment later.
        """
        if not self.sealing.is_outdated(*(frame.frame for frame in waiting)):
            return False
        self._commit(lambda unit: Outbox(unit.transaction, self._remote).clear(self.plane.number))
        return True

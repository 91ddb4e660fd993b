"""Messages: between actors of a town on its ledger, between towns over a plane that both are on.

A message says whom it is for by a town's key (none: the writer's own) and an actor's name (none: everybody there). Who
wrote it is who wrote the text that is shown, by the key of that feed: whoever writes over it becomes its sender.
A nudge has an id that begins with the time it expires, so that those that count are found by one look.
Invariant: an acknowledgement counts only from the town of whom the message is for; what was told once on this machine
is bookkeeping of this machine.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from moot_protocol.codec import encode
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import ID_CHARS, ID_ENTROPY_BYTES, base32, key_begins
from moot_protocol.limits import ACTOR_BYTES, NUDGE_CHARS, TEXT_BYTES, TITLE_CHARS
from moot_protocol.merge import policies
from moot_protocol.merge.kinds import MESSAGE, NUDGE, field_of
from moot_protocol.merge.register import MISSING, Sibling
from moot_protocol.requests.mail import AckMail, Nudge, NudgesTold, SendMail
from moot_protocol.time_units import DAY_MS, MINUTE_MS
from moot_protocol.trust.genesis import PlaneKind
from mootd.engine.editor import Editor
from mootd.engine.membership.charters import towns_of
from mootd.engine.membership.former import OwnTown
from mootd.engine.membership.towns import is_called, own_name
from mootd.engine.planes import issue_plane_meant, issue_planes
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow, event_feed, said_in
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Group, Record, groups_of, pairs_of
from mootd.store.port import Reader, Table

_AHEAD_MS: Final = 10 * MINUTE_MS
"""How far another machine's clock may be ahead: nudges that end later than a day from there are none."""
_TIME_CHARS: Final = 12
"""Hexadecimal characters of a time: 48 bits of milliseconds."""
_ID_CHARS: Final = 4
"""Least characters that stand for a message."""
_LOOKED_AT: Final = 20_000
"""The newest events that are looked through for somebody's name: a few hundredths of a second, for a new name only."""


class Message(NamedTuple):
    """A message as it stands."""

    plane: PlaneRow
    kind: str
    id: str
    town: bytes
    """The key of the town it is for; empty: its writer's own."""
    to: str
    """The actor it is for; empty: everybody there."""
    subject: str
    text: str
    said: Sibling
    """The write of the text that is shown: who wrote it, and when."""
    is_own: bool
    """Whether this town wrote it."""
    reply_to: str
    acks: tuple[tuple[str, bytes], ...]
    """(actor, author) of those who acknowledged it."""

    @property
    def expires_ms(self) -> int:
        """When a nudge is gone; 0 for a message."""
        return _expiry(self.id) if self.kind == NUDGE else 0


def _expiry(name: str) -> int:
    try:
        return int(name[:_TIME_CHARS], 16)
    except ValueError:
        return 0


# -- Reading -----------------------------------------------------------------------------------------------------
class _Own:
    """The keys of a machine's town: by the plane's charters, and those that were kept here."""

    def __init__(self, town: OwnTown, kept: frozenset[bytes]) -> None:
        self._town = town
        self._kept = kept

    def __contains__(self, key: object) -> bool:
        return key in self._kept or key in self._town


class Post:
    """The messages of a machine, inside a transaction.

    Args:
        replica: the replica.
        entities: the transaction.
        now_ms: the wall clock.
    """

    def __init__(self, replica: State, entities: Entities, now_ms: int) -> None:
        self._replica = replica
        self._entities = entities
        self._now_ms = now_ms
        self._planes = issue_planes(replica.planes)
        self._own: dict[int, _Own] = {}

    def own(self, plane: PlaneRow) -> Container[bytes]:
        """The keys that this machine's town has, or had, on a plane, whether they are kept here or not."""
        if plane.number not in self._own:
            self._own[plane.number] = _Own(OwnTown(self._entities.reader, plane), self._replica.own_towns())
        return self._own[plane.number]

    def all(self, wanted: Callable[[Record], bool] = lambda _: True, prefix: str = "") -> Iterator[Message]:
        """The messages that haven't expired.

        Args:
            wanted: whether a message, by its record, may be one that is asked for; only those are read.
            prefix: what their ids begin with; of a nudge's, what stands behind the time.
        """
        for plane in self._planes:
            start = layout.id_key(plane.number, MESSAGE, prefix)
            yield from self._between(plane, start, layout.after(start), wanted)
        for each in self.nudges():
            if each.id.startswith(prefix) or each.id[_TIME_CHARS:].startswith(prefix):
                yield each

    def received(self, actor: str, *, acked: bool) -> Iterator[Message]:
        """The messages for an actor of this town; with or without those that the actor has acknowledged."""
        found = self.all(lambda record: _may_be_for(record, actor))
        for message in found:
            if self.is_for(message, actor) and (acked or not self.is_acked(message, actor)):
                yield message

    def sent(self, actor: str) -> Iterator[Message]:
        """The messages that an actor of this town wrote."""
        found = self.all(lambda record: any(self._is_own(record, group) for group in groups_of(record, "text")))
        return (each for each in found if each.is_own and each.said.actor == actor)

    def around(self, message: Message) -> Iterator[Message]:
        """What answers a message, and what it answers."""
        found = self.all(lambda record: record.entity == message.reply_to or message.id in _values(record, "reply_to"))
        return (
            each
            for each in found
            if each.plane == message.plane and (each.reply_to == message.id or each.id == message.reply_to)
        )

    def _is_own(self, record: Record, group: Group) -> bool:
        plane = self._replica.planes[record.plane]
        return self.town_of(plane, self._entities.author_of(group.feed)) in self.own(plane)

    def nudges(self) -> Iterator[Message]:
        """The nudges that haven't expired; where there are none, that is found out by one look at each plane."""
        for plane in self._planes:
            first, last = (
                layout.id_key(plane.number, NUDGE, f"{ms:0{_TIME_CHARS}x}")
                for ms in (self._now_ms, self._now_ms + DAY_MS + _AHEAD_MS)
            )
            yield from self._between(plane, first, last)

    def _between(
        self, plane: PlaneRow, start: bytes, stop: bytes, wanted: Callable[[Record], bool] = lambda _: True
    ) -> Iterator[Message]:
        for eid in [eid for _, eid in self._entities.reader.scan(self._entities.views.ids, start, stop)]:
            record = self._entities.record(int.from_bytes(eid, "big"))
            message = None if record is None or not wanted(record) else self._read(plane, record)
            if message is not None:
                yield message

    def _read(self, plane: PlaneRow, record: Record) -> Message | None:
        live = self._entities.live(record)
        shown: dict[str, Any] = {}
        said: Sibling | None = None
        for key in ("to", "text", "title", "reply_to"):
            lineage = self._entities.lineage(record, key)
            reading = policies.read(field_of(record.kind, key).policy, live.get(key, ()), lineage)
            shown[key] = reading.value
            if key == "text":
                said = reading.shown or max(live.get(key, ()), key=policies.rank, default=None)
        to = shown["to"]
        if said is None or not isinstance(shown["text"], str) or not shown["text"]:
            return None
        if not (isinstance(to, list) and len(to) == 2 and isinstance(to[0], bytes) and isinstance(to[1], str)):
            return None
        title, reply = (shown[key] if isinstance(shown[key], str) else "" for key in ("title", "reply_to"))
        acks = tuple(
            (actor, self._entities.author_of(group.feed))
            for group in groups_of(record, "acks")
            if isinstance(actor := self._entities.load(group, "acks")[0], str)
        )
        is_own = self.town_of(plane, said.author) in self.own(plane)
        return Message(plane, record.kind, record.entity, to[0], to[1], title, shown["text"], said, is_own, reply, acks)

    def town_of(self, plane: PlaneRow, author: bytes) -> bytes:
        """The town of an author; empty where that isn't known."""
        number = self._replica.feed_numbers.get((plane.number, author), 0)
        row = self._replica.feeds.get(number)
        return b"" if row is None else row.town

    def is_for(self, message: Message, actor: str) -> bool:
        """Whether a message is for an actor of this town."""
        here = message.is_own if not message.town else message.town in self.own(message.plane)
        return here and message.to in ("", actor)

    def is_acked(self, message: Message, actor: str) -> bool:
        """Whether an actor of this town has acknowledged a message."""
        own = self.own(message.plane)
        return any(who == actor and self.town_of(message.plane, author) in own for who, author in message.acks)

    def acked_by(self, message: Message) -> list[str]:
        """Who has acknowledged a message, of the town that it is for."""
        town = message.town or self.town_of(message.plane, message.said.author)
        return sorted({who for who, author in message.acks if self.town_of(message.plane, author) == town})

    def find(self, typed: str) -> Message:
        """The message that is meant, by the beginning of its id.

        Raises:
            RefusedError: `not_found` or `ambiguous`.
        """
        found = list(self.all(prefix=typed)) if len(typed) >= _ID_CHARS else []
        exact = [message for message in found if message.id == typed]
        if len(exact or found) != 1:
            code = Code.AMBIGUOUS if found else Code.NOT_FOUND
            what = f"{len(found)} messages begin" if found else "no message begins"
            raise RefusedError(f"{what} with {typed!r}", code=code, hint="see `moot mail inbox`")
        return (exact or found)[0]


def _values(record: Record, key: str) -> list[Any]:
    """The live values of a key that stand in a record itself; MISSING for those that don't."""
    return [value for _, name, value in pairs_of(record) if name == key]


def _may_be_for(record: Record, actor: str) -> bool:
    return any(
        value is MISSING or (isinstance(value, list) and len(value) == 2 and value[1] in ("", actor))
        for value in _values(record, "to")
    )


def is_known(unit: Unit, message: Message) -> bool:
    """Whether somebody of the name that a message is for wrote anything in the town it is for, or was assigned to.

    Only the newest events are looked at: it is for a word about a name that may be mistyped, never for a refusal.
    """
    if not message.to:
        return True
    name, post = encode(message.to), Post(unit.replica, unit.entities(), unit.now_ms)
    towns: Container[bytes] = {message.town} if message.town else post.own(message.plane)
    for key, data in islice(unit.transaction.scan(Table.EVENTS, b"", reverse=True), _LOOKED_AT):
        if name not in data:
            continue  # nothing is decoded for most of them, nor for those where it is a word of a text
        values, actor = said_in(int.from_bytes(key, "big"), data)
        if values.get("assignee") == message.to:
            return True
        if actor == message.to and unit.feed(event_feed(data)[0]).town in towns:
            return True
    return False


def told_here(reader: Reader) -> dict[str, list[str]]:
    """Nudge → who was told it on this machine: nothing is known here of others."""
    found: dict[str, list[str]] = {}
    for key, _ in reader.scan(Table.META, layout.TOLD, layout.after(layout.TOLD)):
        actor, _, nudge = key[len(layout.TOLD) :].rpartition(b"\0")
        found.setdefault(nudge.decode(), []).append(actor.decode(errors="replace"))
    return found


def untold(reader: Reader, post: Post, actor: str) -> list[Message]:
    """The nudges for an actor that weren't told on this machine, oldest first."""
    found = [
        message
        for message in post.nudges()
        if post.is_for(message, actor)
        and (message.said.actor != actor or not message.is_own)
        and not post.is_acked(message, actor)
        and reader.get(Table.META, layout.told_key(message.id, actor)) is None
    ]
    return sorted(found, key=lambda message: message.said.hlc)


# -- Whom it is for ----------------------------------------------------------------------------------------------
class _Address(NamedTuple):
    plane: PlaneRow
    town: bytes
    actor: str


def _address(unit: Unit, typed: str, plane: str) -> _Address:
    """Whom a message is for, and over which plane it goes.

    Raises:
        RefusedError: `not_found` or `ambiguous`: the town.
    """
    actor, at, town = typed.rpartition("@")
    if at and not town:
        return _Address(unit.replica.ledger, b"", _checked(actor))
    found = _towns_called(unit, town, plane)
    if not at and not found:
        return _Address(unit.replica.ledger, b"", _checked(typed))
    keys = {key for _, key in found}
    if len(keys) != 1:
        code = Code.AMBIGUOUS if keys else Code.NOT_FOUND
        hint = f"see `moot town list`; for somebody here whose name is {typed} write {typed}@"
        several = f"{len(keys)} towns are called {town}"
        raise RefusedError(several if keys else f"no town is called {town}", code=code, hint=hint)
    row, key = found[0]
    if key in Post(unit.replica, unit.entities(), unit.now_ms).own(row):
        return _Address(unit.replica.ledger, b"", _checked(actor) if actor else "")
    return _Address(row, key, _checked(actor) if actor else "")


def _towns_called(unit: Unit, typed: str, plane: str) -> list[tuple[PlaneRow, bytes]]:
    """(plane, key) of the towns that are called so and can read what is written now, on federation planes first."""
    planes = issue_planes(unit.replica.planes)
    planes = [issue_plane_meant(unit.replica.planes, plane)] if plane else planes
    found = []
    for row in sorted(planes, key=lambda each: (each.kind != PlaneKind.FEDERATION, each.number)):
        for key, standing in towns_of(unit, row).items():
            names = {standing.name, own_name(unit.transaction, key)} - {""}
            is_there = standing.role is not None and not standing.ended
            if is_there and (is_called(key, names, typed) or key_begins(key, typed)):
                found.append((row, key))
    return found


def _checked(actor: str) -> str:
    if not actor.strip() or len(actor.encode()) > ACTOR_BYTES:
        raise RefusedError(f"{actor!r} can't be an actor")
    return actor


# -- Writing -----------------------------------------------------------------------------------------------------
def send(unit: Unit, request: SendMail) -> Message:
    """Send a message."""
    post = post_of(unit)
    answered = post.find(request.reply_to) if request.reply_to else None
    if not request.text.strip() or len(request.text.encode()) > TEXT_BYTES:
        raise RefusedError(f"a message has a text, of at most {TEXT_BYTES} bytes")
    if request.to:
        address = _address(unit, request.to, request.plane)
    elif answered is not None:
        town = b"" if answered.is_own else post.town_of(answered.plane, answered.said.author)
        address = _Address(answered.plane, town, answered.said.actor)
    else:
        raise RefusedError("whom is it for?", code=Code.USAGE, hint="name an actor, ACTOR@TOWN or a town")
    subject = request.subject or (f"Re: {answered.subject}" if answered is not None and answered.subject else "")
    if len(subject) > TITLE_CHARS:
        raise RefusedError(f"a subject of {len(subject)} characters; at most {TITLE_CHARS}", code=Code.LIMIT)
    name = base32(unit.replica.entropy.bytes(ID_ENTROPY_BYTES), ID_CHARS)
    values = {"to": [address.town, address.actor], "title": subject, "text": request.text}
    values["reply_to"] = "" if answered is None else answered.id
    return _write(unit, address.plane, MESSAGE, name, request.actor, values)


def nudge(unit: Unit, request: Nudge) -> Message:
    """Send what is told once."""
    text = request.text.strip()
    if not text or len(text) > NUDGE_CHARS:
        raise RefusedError(
            f"a nudge has a text, of at most {NUDGE_CHARS} characters", hint="`moot mail send` takes more"
        )
    here = _Address(unit.replica.ledger, b"", "")
    address = _address(unit, request.to, request.plane) if request.to else here
    expires = f"{unit.now_ms + DAY_MS:0{_TIME_CHARS}x}"
    name = expires + base32(unit.replica.entropy.bytes(ID_ENTROPY_BYTES), ID_CHARS)
    values = {"to": [address.town, address.actor], "text": text}
    return _write(unit, address.plane, NUDGE, name, request.actor, values)


def _write(unit: Unit, plane: PlaneRow, kind: str, name: str, actor: str, values: Mapping[str, Any]) -> Message:
    editor = Editor(unit, plane.number, kind, name, actor)
    for key, value in values.items():
        editor.set(key, value)
    editor.save()
    return post_of(unit).find(name)


def post_of(unit: Unit) -> Post:
    """The messages as a unit has left them so far."""
    unit.flush()
    return Post(unit.replica, unit.entities(), unit.now_ms)


def acknowledge(unit: Unit, request: AckMail) -> list[tuple[Message, bool]]:
    """Say that messages were read; each message once, and whether that was said only now."""
    post = post_of(unit)
    found = {message.id: message for message in map(post.find, request.ids)}
    for message in found.values():
        if not post.is_for(message, request.actor):
            raise RefusedError(f"message {message.id} isn't for {request.actor}", code=Code.NOT_FOUND)
    unread = {name: message for name, message in found.items() if not post.is_acked(message, request.actor)}
    for message in unread.values():
        editor = Editor(unit, message.plane.number, message.kind, message.id, request.actor)
        editor.add("acks", request.actor)
        editor.save()
    post = post_of(unit)
    return [(post.find(name), name in unread) for name in found]


def note_told(unit: Unit, request: NudgesTold) -> int:
    """Note which nudges were told on this machine, and forget those that have expired; how many are new."""
    start = layout.TOLD
    for key, value in list(unit.transaction.scan(Table.META, start, layout.after(start))):
        if int.from_bytes(value, "big") < unit.now_ms:
            unit.transaction.delete(Table.META, key)
    told = [name for name in request.ids if unit.now_ms <= _expiry(name) <= unit.now_ms + DAY_MS + _AHEAD_MS]
    for name in told:
        unit.transaction.put(Table.META, layout.told_key(name, request.actor), _expiry(name).to_bytes(8, "big"))
    return len(told)

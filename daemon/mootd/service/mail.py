"""Requests about messages: sending and acknowledging inside a unit, and reading.

Invariant: whatever is told of a message from another town says so beside it, and the text of a nudge from there isn't
told unasked: it would stand before every agent here.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from moot_protocol.clock import to_ms
from moot_protocol.errors import RefusedError
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import NUDGE
from moot_protocol.requests.base import Request
from moot_protocol.requests.mail import BOXES, AckMail, Mail, Nudge, NudgesTold, ReadMail, SendMail
from mootd.engine.issues.mutations import UNCHANGED
from mootd.engine.issues.origins import KEY_CHARS, ORIGIN, Origins
from mootd.engine.messages import (
    Message,
    Post,
    acknowledge,
    is_known,
    note_told,
    nudge,
    post_of,
    send,
    told_here,
    untold,
)
from mootd.engine.planes import issue_planes, labels_of
from mootd.engine.unit import Unit
from mootd.service.snapshot import Snapshot
from mootd.store.port import Reader


def _document(post: Post, origins: Origins, labels: dict[int, str], message: Message, actor: str) -> dict[str, Any]:
    town = ""
    if message.town:
        town = origins.town_name(message.plane.number, message.town) or key_text(message.town)[:KEY_CHARS]
    origin = origins.of_author(message.plane.number, message.said.author)
    return {
        "id": message.id,
        "plane": labels.get(message.plane.number, message.plane.name),
        "actor": message.said.actor,
        "to": f"{message.to}@{town}" if town else message.to,
        "subject": message.subject,
        "at": to_ms(message.said.hlc),
        "is_nudge": message.kind == NUDGE,
        "expires_at": message.expires_ms,
        "reply_to": message.reply_to,
        "is_acked": post.is_acked(message, actor),
        "acks": post.acked_by(message),
    } | ({} if origin is None else {ORIGIN: origin})


def _told(reader: Reader, messages: Sequence[Message]) -> dict[str, list[str]]:
    """Nudge → who was told it here, looked through once for all these messages, and only where one is a nudge."""
    return told_here(reader) if any(message.kind == NUDGE for message in messages) else {}


# -- Writing -----------------------------------------------------------------------------------------------------
def _answered(unit: Unit, message: Message, actor: str) -> dict[str, Any]:
    labels = labels_of(issue_planes(unit.replica.planes))
    shown = _document(post_of(unit), Origins(unit.replica, unit.transaction), labels, message, actor)
    return shown | {"told": _told(unit.transaction, [message]).get(message.id, [])}


def _sent(unit: Unit, message: Message, actor: str) -> dict[str, Any]:
    return _answered(unit, message, actor) | {"is_known": is_known(unit, message)}


def _ack(unit: Unit, request: AckMail) -> list[dict[str, Any]]:
    return [
        _answered(unit, message, request.actor) | ({} if is_new else UNCHANGED)
        for message, is_new in acknowledge(unit, request)
    ]


# -- Reading -----------------------------------------------------------------------------------------------------
def _post(snapshot: Snapshot) -> Post:
    return Post(snapshot.replica, snapshot.entities, snapshot.now_ms)


def _shown(snapshot: Snapshot, post: Post, messages: list[Message], actor: str) -> list[dict[str, Any]]:
    told = _told(snapshot.reader, messages)
    documents = zip(_documents(snapshot, post, messages, actor), messages, strict=True)
    return [document | {"told": told.get(message.id, [])} for document, message in documents]


def _documents(snapshot: Snapshot, post: Post, messages: list[Message], actor: str) -> list[dict[str, Any]]:
    labels = labels_of(issue_planes(snapshot.replica.planes))
    return [_document(post, snapshot.origins, labels, message, actor) for message in messages]


def _mail(snapshot: Snapshot, request: Mail) -> list[dict[str, Any]]:
    if request.box not in BOXES:
        raise RefusedError(f"{request.box!r} is no box", hint=f"there are {', '.join(BOXES)}")
    post, actor = _post(snapshot), request.actor
    found = list(post.sent(actor) if request.box == "sent" else post.received(actor, acked=request.all))
    found.sort(key=lambda message: (-message.said.hlc, message.id))
    return _shown(snapshot, post, found, actor)


def _read(snapshot: Snapshot, request: ReadMail) -> dict[str, Any]:
    post = _post(snapshot)
    message = post.find(request.id)
    around = sorted(post.around(message), key=lambda each: each.said.hlc)
    (shown,) = _shown(snapshot, post, [message], request.actor)
    return shown | {"text": message.text, "thread": _shown(snapshot, post, around, request.actor)}


def nudges_for(snapshot: Snapshot, actor: str) -> list[dict[str, Any]]:
    """The nudges that an actor hasn't been told: with their text where this town wrote them.

    Every command asks for them, so nothing is looked up that only who reads mail is told: to whom else they were told.
    """
    post = _post(snapshot)
    found = untold(snapshot.reader, post, actor)
    shown = _documents(snapshot, post, found, actor)
    return [document | {"text": each.text if each.is_own else ""} for document, each in zip(shown, found, strict=True)]


MAIL_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {Mail: _mail, ReadMail: _read}
"""What each reading request about messages is answered with."""
MAIL_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {
    SendMail: lambda unit, request: _sent(unit, send(unit, request), request.actor),
    Nudge: lambda unit, request: _sent(unit, nudge(unit, request), request.actor),
    AckMail: _ack,
    NudgesTold: lambda unit, request: {"told": note_told(unit, request)},
}
"""What each writing one does."""

"""Writing documents: beginning, publishing, adopting, settling.

Invariant: a write is over the writes its writer saw and no others, so nothing that came meanwhile is lost; only text
that its kind accepts is written, and a version of a formula never stands for two texts by a write of this machine.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from moot_protocol.documents.document import (
    DOCUMENT,
    DOCUMENT_KINDS,
    FORMULA,
    Content,
    check_name,
    check_text,
    content_hash,
    is_set,
    text_in,
    value_of,
    version_in,
)
from moot_protocol.documents.formula import BUMPS, bumped, with_version
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_from_text
from moot_protocol.issues.picks import picked
from moot_protocol.log.event import Dot, Draft, Write
from moot_protocol.merge.kinds import Role, field_of
from moot_protocol.requests.documents import AdoptDocument, NewDocument, PublishDocument, ResolveDocument
from moot_protocol.text.semver import UNVERSIONED, Precedence, precedence
from mootd.engine.documents.addressing import find_document, meant_version, plane_for
from mootd.engine.documents.adopted import (
    ADOPTION,
    CONTENT,
    Decisions,
    Standing,
    adoption_entity,
    own_ledger,
)
from mootd.engine.documents.conflicts import disputed, rivals
from mootd.engine.documents.reading import Document, Documents, Version
from mootd.engine.documents.telling import problem_with, replaced_by, told_in_full
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit


def documents_of(unit: Unit) -> Documents:
    """The documents as a unit sees them, what it has written included."""
    unit.seal()  # what a write is over is read from its batch
    unit.flush()
    planes = {**unit.replica.planes, **{row.number: row for row in unit.new_planes}}
    return Documents(unit.entities(), unit.feed, planes)


# -- Beginning and publishing ------------------------------------------------------------------------------------
def new_document(unit: Unit, request: NewDocument) -> dict[str, Any]:
    """Begin a document."""
    if request.kind not in DOCUMENT_KINDS:
        raise RefusedError(f"{request.kind!r} is no kind of document; there are {', '.join(DOCUMENT_KINDS)}")
    name = check_name(request.name)
    documents = documents_of(unit)
    plane = plane_for(documents, request.plane, request.home)
    _check_may_write(unit, plane, request.kind)
    there = documents.find(plane, request.kind, name)
    if there is not None:
        raise RefusedError(
            f"there is a {there.id} on plane {plane.name} already", code=Code.EXISTS, hint="`moot doc edit` changes it"
        )
    content = check_text(request.kind, name, request.text)
    _write(unit, plane, (request.kind, name, request.actor), content, request.text, ())
    return _told(unit, plane, request.kind, name, request.text) | {"changed": True}


def publish_document(unit: Unit, request: PublishDocument) -> dict[str, Any]:
    """Write a new version of a document."""
    documents = documents_of(unit)
    plane = plane_for(documents, request.plane, request.home)
    document = find_document(documents, plane, request.name)
    _check_may_write(unit, plane, document.kind)
    over = [_dot_named(unit, plane, each) for each in request.over] or _all_seen(document, request.name)
    if document.in_conflict and all(version.dot in over for version in document.live):
        raise RefusedError(
            f"{document.id} is in conflict", code=Code.CONFLICT, hint="settle it first: see `moot conflicts`"
        )
    text = request.text
    content = check_text(document.kind, document.name, text)
    if document.kind == FORMULA:
        text = _with_free_version(document, content, text, request.bump)
        content = check_text(document.kind, document.name, text)
    now = [version for version in document.live if version.dot in over]
    if now and all(version.text == text for version in now) and len(now) == len(over):
        return told_in_full(documents, document, _shown_with(document, text)) | {"changed": False}
    _write(unit, plane, (document.kind, document.name, request.actor), content, text, over)
    return _told(unit, plane, document.kind, document.name, text) | {"changed": True}


def _all_seen(document: Document, typed: str) -> list[Dot]:
    """What a change is over whose writer has seen what is there now."""
    if document.in_conflict:
        return [version.dot for version in document.live]
    return [version.dot for version in replaced_by(document, meant_version(document, typed))]


def _dot_named(unit: Unit, plane: PlaneRow, name: str) -> Dot:
    """The write of this name, which must be here.

    Raises:
        RefusedError: `invalid`; `not_found`.
    """
    replica, _, rest = name.partition(".")
    number, _, leaf = rest.partition(".")
    author = key_from_text(replica)
    if author is None or not (number.isascii() and number.isdigit() and len(number) < 16):
        raise RefusedError(f"{name!r} names no write")
    stored = unit.entities().stored(plane.number, (author, int(number)))
    if stored is None or stored.event.leaf[:8].hex() != leaf:
        raise RefusedError(f"there is no write {name} on plane {plane.name}", code=Code.NOT_FOUND)
    return Dot(author, stored.event.n, stored.event.leaf[:8])


def _with_free_version(document: Document, content: Content, text: str, bump: str) -> str:
    """A formula's text with a version above all others, or the text of one that is there already.

    Raises:
        RefusedError: `conflict`: its version stands with another text; `invalid`: a higher one is there.
    """
    if bump and bump not in BUMPS:
        raise RefusedError(f"{bump!r} is no part of a version; there are {', '.join(BUMPS)}")
    version = version_in(FORMULA, value_of(content, text))
    highest = max(document.live, key=lambda each: (_place(each.version), each.rank))
    same = [each for each in document.live if _place(each.version) == _place(version)]
    if _place(version) > _place(highest.version) or any(each.text == text for each in same):
        return text
    if bump and same:
        return with_version(text, bumped(highest.version, bump))
    if same:
        raise RefusedError(
            f"version {version} of {document.id} stands with another text",
            code=Code.CONFLICT,
            hint="write a higher version, or add --bump patch",
        )
    raise RefusedError(f"version {version} is below {highest.version}, the highest of {document.id}")


def _place(version: str) -> Precedence:
    return precedence(version) or UNVERSIONED


def _write(
    unit: Unit, plane: PlaneRow, what: tuple[str, str, str], content: Content, text: str, over: Sequence[Dot]
) -> None:
    """Write a text as the value of a document: (kind, name, actor)."""
    kind, name, actor = what
    write = Write(DOCUMENT, value_of(content, text), over)
    unit.append(plane.number, Draft(kind, name, actor, (write,)))


def _check_may_write(unit: Unit, plane: PlaneRow, kind: str) -> None:
    """Refuse what would count for nothing.

    Raises:
        RefusedError: `denied`; `not_ready`.
    """
    role = Role(unit.feed(unit.replica.own_feed(plane.number)).role)
    needed = field_of(kind, DOCUMENT).writer
    if role.rank < needed.rank:
        raise RefusedError(
            f"a {kind} is written by {needed}s only, and this machine is a {role} on plane {plane.name}",
            code=Code.DENIED,
            hint=f"ask an {needed} of the plane" if needed is Role.ADMIN else "",
        )


def _told(unit: Unit, plane: PlaneRow, kind: str, name: str, text: str) -> dict[str, Any]:
    documents = documents_of(unit)
    document = documents.find(plane, kind, name)
    if document is None:  # a write that counts is read back, whatever else is there
        raise RuntimeError(f"{kind}/{name} was written and is not there")
    return told_in_full(documents, document, _shown_with(document, text))


def _shown_with(document: Document, text: str) -> Version:
    """The version that is told after a write: the shown one of this text, else what is shown, else what was written."""
    candidates = [*document.shown, *document.live]
    return next((version for version in candidates if version.text == text), candidates[0])


# -- Adopting ----------------------------------------------------------------------------------------------------
def adopt_document(unit: Unit, request: AdoptDocument) -> dict[str, Any]:
    """Accept what another town wrote."""
    documents = documents_of(unit)
    plane = plane_for(documents, request.plane, request.home)
    document = find_document(documents, plane, request.name)
    version = meant_version(document, request.name)
    text = version.text
    if text is None or content_hash(text).hex() != request.content:
        raise RefusedError(
            f"{document.id} has changed since it was shown",
            code=Code.LOST_RACE,
            hint="look at it again",
            retryable=True,
        )
    decisions = Decisions(documents, document)
    if decisions.standing(version) is not Standing.NOT_ADOPTED:
        return told_in_full(documents, document, version) | {"changed": False}
    problem = problem_with(document, version)
    if problem:
        raise RefusedError(f"{document.id} can't be used: {problem}")
    ledger = own_ledger(documents)
    if ledger is None:
        raise RefusedError(
            "this machine has no ledger of its town to keep the decision on",
            code=Code.NOT_READY,
            hint="`moot invite` on a machine that has it, then `moot join` here",
        )
    earlier = [] if is_set(document.kind) else decisions.adoptions
    over = [adoption.dot for adoption in earlier if adoption.ledger == ledger.number]
    write = Write(CONTENT, content_hash(text), over)
    entity = adoption_entity(plane, document.kind, document.name)
    unit.append(ledger.number, Draft(ADOPTION, entity, request.actor, (write,)))
    return told_in_full(documents_of(unit), document, version) | {"changed": True}


# -- Settling ----------------------------------------------------------------------------------------------------
def resolve_document(unit: Unit, request: ResolveDocument) -> dict[str, Any]:
    """Settle a conflict with one of its values, or with a new text."""
    documents = documents_of(unit)
    plane = plane_for(documents, request.plane, request.home)
    document = find_document(documents, plane, request.name)
    _check_may_write(unit, plane, document.kind)
    values = disputed(document)
    if not values:
        raise RefusedError(f"{document.id} is not in conflict", code=Code.NOT_FOUND, hint="see `moot conflicts`")
    if request.pick is None:
        over: Iterable[Version] = values
        text = request.text
    else:
        chosen = _picked(document, values, request.pick)
        over, text = rivals(document, chosen), text_in(document.kind, chosen.value) or ""
    content = check_text(document.kind, document.name, text)
    dots = [version.dot for version in over]
    _refuse_taken(document, content, text, dots)
    _write(unit, plane, (document.kind, document.name, request.actor), content, text, dots)
    return _told(unit, plane, document.kind, document.name, text) | {"changed": True}


def _picked(document: Document, values: Sequence[Version], pick: int | str) -> Version:
    chosen = values[picked(pick, [version.text for version in values], document.id)]
    if chosen.text is None:
        raise RefusedError(f"value {pick} of {document.id} isn't here to be chosen", code=Code.NOT_FOUND)
    return chosen


def _refuse_taken(document: Document, content: Content, text: str, over: Sequence[Dot]) -> None:
    """Refuse to settle one conflict of a formula by making another."""
    version = version_in(document.kind, value_of(content, text))
    beside = [each for each in document.live if each.dot not in over and each.text != text]
    if version and any(_place(each.version) == _place(version) for each in beside):
        raise RefusedError(f"version {version} of {document.id} stands with another text", code=Code.CONFLICT)

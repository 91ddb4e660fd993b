"""Documents as people and programs read them: who wrote each text, for which town, and whether it is accepted here.

Invariant: whatever is told of a text tells its origin beside it: the town and the replica that wrote it, the actor and
the time, and whether that town is this machine's on that plane, and the one that it is at home in.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from moot_protocol.clock import to_ms
from moot_protocol.documents.document import (
    Content,
    RoleText,
    content_hash,
    is_set,
    parse_document,
    problem_of,
    title_of,
)
from moot_protocol.documents.formula import Formula
from moot_protocol.errors import RefusedError
from moot_protocol.ids import key_text
from moot_protocol.text.diff import unified_diff
from mootd.engine.documents.adopted import Adoption, Decisions, Standing
from mootd.engine.documents.reading import Document, Documents, Version
from mootd.engine.membership.towns import home_of
from mootd.engine.planes import issue_planes, labels_of
from mootd.engine.stored.log import PlaneRow

NOTHING: Final = "nothing"
"""What a diff calls the text of what isn't there yet."""
DISPUTED: Final = "disputed"
_Read: TypeAlias = Callable[[str, str], Content]
"""What reads a text of a kind, or refuses it."""


def origin(documents: Documents, plane: PlaneRow, version: Version) -> dict[str, Any]:
    """Who wrote a version, for which town, and when."""
    is_own, home = version.town in documents.own_town(plane), home_of(documents.planes.values())
    return {
        "town": key_text(version.town) if version.town else "",
        "town_name": documents.town_name(plane, version.town),
        "replica": key_text(version.author),
        "actor": version.actor,
        "at": to_ms(version.hlc),
        "n": version.n,
        "is_own": is_own,
        "is_home": bool(version.town) and home == (plane.town if is_own else version.town),
    }


def listed(documents: Documents, document: Document) -> Iterator[dict[str, Any]]:
    """The rows of a document in a list: of a template one for each version."""
    decisions = Decisions(documents, document)
    for version in document.shown:
        yield _row(documents, document, version, decisions.standing(version))
    if not document.shown:
        yield _head(documents, document, document.id) | {"standing": DISPUTED}


def _head(documents: Documents, document: Document, typed: str) -> dict[str, Any]:
    labels = labels_of(issue_planes(documents.planes))
    return {
        "id": typed,
        "kind": document.kind,
        "name": document.name,
        "plane": labels.get(document.plane.number, document.plane.name),
        "in_conflict": document.in_conflict,
    }


def _row(documents: Documents, document: Document, version: Version, standing: Standing) -> dict[str, Any]:
    text, content = version.text, _content(version, documents.content)
    return (
        _head(documents, document, f"{document.kind}/{version.name}")
        | {
            "version": version.version,
            "title": "" if content is None else title_of(content),
            "content": "" if text is None else content_hash(text).hex(),
            "problem": problem_with(document, version, documents.content),
            "standing": str(standing),
        }
        | origin(documents, document.plane, version)
    )


def problem_with(document: Document, version: Version, read: _Read = parse_document) -> str:
    """Why a version can't be used, in words; empty where it can."""
    if version.text is None:
        return "its text isn't here"
    content = _content(version, read)
    if isinstance(content, Formula) and content.version != version.version:
        return f"it was published as version {version.version} and says {content.version}"
    return problem_of(document.kind, document.name, version.text, read)


def _content(version: Version, read: _Read) -> Content | None:
    try:
        return None if version.text is None else read(version.kind, version.text)
    except RefusedError:
        return None


def told_in_full(documents: Documents, document: Document, version: Version) -> dict[str, Any]:
    """A version of a document with all that has to be known before it is accepted or changed."""
    decisions = Decisions(documents, document)
    standing = decisions.standing(version)
    content = _content(version, documents.content)
    commands, hooks = (content.commands, content.hooks) if isinstance(content, RoleText) else ({}, {})
    return _row(documents, document, version, standing) | {
        "text": version.text,
        "commands": commands,
        "hooks": hooks,
        "runs": bool(commands or hooks),
        "adopted": _adopted(decisions.adoptions),
        "diff": _since(decisions, version) if standing is Standing.NOT_ADOPTED else "",
        "writes": [write_name(each) for each in replaced_by(document, version)],
    }


def _adopted(made: list[Adoption]) -> dict[str, Any] | None:
    if not made:
        return None
    return {"content": made[0].content.hex(), "actor": made[0].actor, "at": to_ms(made[0].hlc)}


def _since(decisions: Decisions, version: Version) -> str:
    """What changed from the text that this town goes by to a version."""
    return diff_between(None if is_set(version.kind) else decisions.in_force(), version)


def diff_between(old: Version | None, new: Version) -> str:
    """What changed from one version to another, as a unified diff; empty where nothing did."""
    before = (old.text if old is not None else None) or ""
    name = NOTHING if old is None else called(old)
    return "".join(f"{line}\n" for line in unified_diff(before, new.text or "", name, called(new)))


def called(version: Version) -> str:
    """What a diff calls a version."""
    town = f" of town {key_text(version.town)[:12]}" if version.town else ""
    return " ".join(filter(None, (version.name, version.version))) + town


# -- Writes by name ----------------------------------------------------------------------------------------------
def write_name(version: Version) -> str:
    """A write as text: replica, number and the beginning of its leaf."""
    return f"{key_text(version.author)}.{version.n}.{version.leaf8.hex()}"


def replaced_by(document: Document, version: Version) -> list[Version]:
    """The live writes that a change of a version is over: of a template those of this very text, else all."""
    if not is_set(document.kind):
        return list(document.live)
    return [other for other in document.live if other.text == version.text]


def history(documents: Documents, document: Document, limit: int) -> list[dict[str, Any]]:
    """Every version of a document, latest first."""
    decisions = Decisions(documents, document)
    shown = {version.dot for version in document.shown}
    live = {version.dot for version in document.live}
    past = documents.past(document)
    return [
        {
            "name": version.name,
            "version": version.version,
            "content": "" if version.text is None else content_hash(version.text).hex(),
            "bytes": len((version.text or "").encode()),
            "state": "shown" if version.dot in shown else "live" if version.dot in live else "replaced",
            "standing": str(decisions.standing(version)),
        }
        | origin(documents, document.plane, version)
        for version in (past[:limit] if limit else past)
    ]

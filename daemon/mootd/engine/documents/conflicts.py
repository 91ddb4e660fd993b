"""Documents whose writers disagree: what each value would change, and settling it.

A choice is an ordinary write over the values it decides between. Of a formula these are the texts of one version:
another version beside them is none of the dispute and stays.
"""

from typing import Any

from moot_protocol.documents.document import DOCUMENT, FORMULA
from moot_protocol.issues.picks import value_name
from moot_protocol.merge import policies
from moot_protocol.merge.register import Sibling
from moot_protocol.text.semver import precedence
from mootd.engine.documents.reading import Document, Documents, Version
from mootd.engine.documents.telling import diff_between, origin
from mootd.engine.planes import issue_planes, labels_of


def disputed(document: Document) -> list[Version]:
    """The values that a document is in conflict over, in the order of their writes; none where it isn't."""
    if not document.in_conflict:
        return []
    if document.kind != FORMULA:
        return list(document.live)
    groups: dict[Any, list[Version]] = {}
    for version in document.live:
        groups.setdefault(precedence(version.version), []).append(version)
    in_dispute = [version for group in groups.values() if _differ(group) for version in group]
    return sorted(in_dispute, key=lambda version: version.rank)


def _differ(group: list[Version]) -> bool:
    return policies.differ([_content(version) for version in group])


def _content(version: Version) -> Sibling:
    """What texts of one version are compared by; a value that has no version, by all of it."""
    return version.sibling if precedence(version.version) is None else version.sibling._replace(value=version.text)


def rivals(document: Document, chosen: Version) -> list[Version]:
    """The values that choosing one of them is over."""
    if document.kind != FORMULA:
        return list(document.live)
    mine = precedence(chosen.version)
    return [version for version in document.live if precedence(version.version) == mine]


def described(documents: Documents, document: Document) -> dict[str, Any]:
    """A conflict, with every value, who wrote it, and what choosing it changes."""
    shown = document.shown[0] if document.shown else None
    labels = labels_of(issue_planes(documents.planes))
    return {
        "id": document.id,
        "field": DOCUMENT,
        "kind": document.kind,
        "name": document.name,
        "plane": labels.get(document.plane.number, document.plane.name),
        "shown": None if shown is None else shown.text,
        "values": [
            {
                "value": version.text,
                "name": value_name(version.text),
                "version": version.version,
                "diff": diff_between(shown, version),
            }
            | _author(documents, document, version)
            for version in disputed(document)
        ],
    }


def _author(documents: Documents, document: Document, version: Version) -> dict[str, Any]:
    told = origin(documents, document.plane, version)
    return told | {"author": told["replica"]}

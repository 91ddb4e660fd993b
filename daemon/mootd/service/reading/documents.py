"""Requests about documents that only read."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.documents.document import DOCUMENT_KINDS
from moot_protocol.errors import RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.documents import DocumentConflicts, DocumentHistory, Documents, ShowDocument
from mootd.engine.documents import conflicts, reading, telling
from mootd.engine.documents.addressing import find_document, meant_version, plane_for, planes_for
from mootd.service.snapshot import Snapshot


def documents_in(snapshot: Snapshot) -> reading.Documents:
    """The documents of a snapshot."""
    return reading.Documents(snapshot.entities, snapshot.feed, snapshot.replica.planes)


def _documents(snapshot: Snapshot, request: Documents) -> list[dict[str, Any]]:
    if request.kind and request.kind not in DOCUMENT_KINDS:
        raise RefusedError(f"{request.kind!r} is no kind of document; there are {', '.join(DOCUMENT_KINDS)}")
    documents = documents_in(snapshot)
    kinds = (request.kind,) if request.kind else DOCUMENT_KINDS
    return [
        row
        for plane in planes_for(documents, request.plane)
        for document in documents.all(plane, kinds)
        for row in telling.listed(documents, document)
    ]


def _show(snapshot: Snapshot, request: ShowDocument) -> dict[str, Any]:
    documents = documents_in(snapshot)
    document = find_document(documents, plane_for(documents, request.plane, request.home), request.name)
    return telling.told_in_full(documents, document, meant_version(document, request.name))


def _history(snapshot: Snapshot, request: DocumentHistory) -> list[dict[str, Any]]:
    documents = documents_in(snapshot)
    document = find_document(documents, plane_for(documents, request.plane, request.home), request.name)
    return telling.history(documents, document, request.limit)


def _conflicts(snapshot: Snapshot, request: DocumentConflicts) -> list[dict[str, Any]]:
    documents = documents_in(snapshot)
    found = [
        document
        for plane in planes_for(documents, request.plane)
        for document in documents.all(plane)
        if document.in_conflict and request.name in ("", document.name, document.id)
    ]
    return [conflicts.described(documents, document) for document in found]


DOCUMENT_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {
    Documents: _documents,
    ShowDocument: _show,
    DocumentHistory: _history,
    DocumentConflicts: _conflicts,
}
"""What each reading request about documents is answered with."""

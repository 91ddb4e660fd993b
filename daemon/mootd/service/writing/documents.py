"""Requests that write documents: what each does inside a unit."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.requests.base import Request
from moot_protocol.requests.documents import AdoptDocument, NewDocument, PublishDocument, ResolveDocument
from mootd.engine.unit import Unit


def _write(unit: Unit, request: Request[Any]) -> Any:
    from mootd.engine.documents import writing  # documents are written seldom

    match request:
        case NewDocument():
            return writing.new_document(unit, request)
        case PublishDocument():
            return writing.publish_document(unit, request)
        case AdoptDocument():
            return writing.adopt_document(unit, request)
        case ResolveDocument():
            return writing.resolve_document(unit, request)
        case _:
            raise ValueError("a request that writes no document")


DOCUMENT_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = dict.fromkeys(
    (NewDocument, PublishDocument, AdoptDocument, ResolveDocument), _write
)
"""What each request that writes a document does."""

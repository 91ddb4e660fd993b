"""Requests that write documents: what each does inside a unit."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.document_requests import AdoptDocument, NewDocument, PublishDocument, ResolveDocument
from moot_protocol.request_base import Request
from mootd.engine.documents.writing import adopt_document, new_document, publish_document, resolve_document
from mootd.engine.unit import Unit

DOCUMENT_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {
    NewDocument: new_document,
    PublishDocument: publish_document,
    AdoptDocument: adopt_document,
    ResolveDocument: resolve_document,
}
"""What each request that writes a document does."""

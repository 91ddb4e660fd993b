"""The export: every issue as one line, in order of id."""

from collections.abc import Iterator
from heapq import merge
from typing import Any, Final

from moot_protocol.beads.lines import export_line
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.requests.transfer import Export
from mootd.engine.issues.reading import Issues
from mootd.engine.listing.candidates import Candidate
from mootd.engine.listing.filters import tests_of
from mootd.engine.stored import layout

LINES: Final = 500
"""Lines of one page."""
PAGE_BYTES: Final = 2 * 1024 * 1024
"""Bytes after which a page ends early."""
_PLANE_BYTES: Final = 2
"""What a key in IDS starts with: the plane, by which the export is not ordered."""


def _in_order(issues: Issues, after: str) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) in IDS of every issue whose id follows another, in order of id."""
    reader, ids = issues.entities.reader, issues.entities.views.ids
    streams = []
    for plane in issues.planes:
        base = layout.id_key(plane, ISSUE, "")
        streams.append(reader.scan(ids, base + after.encode() + b"\0" if after else base, layout.after(base)))
    return merge(*streams, key=lambda row: row[0][_PLANE_BYTES:])


def export_page(issues: Issues, request: Export, now_ms: int) -> dict[str, Any]:
    """The lines that follow an id."""
    tests = tests_of(request.filter, issues, now_ms)
    lines: list[str] = []
    size = 0
    last = ""
    for key, value in _in_order(issues, request.after):
        name = layout.id_entity(key)
        # Planes may have an id in common: its issues stand on one page, since the next one begins after it.
        if (len(lines) >= LINES or size > PAGE_BYTES) and name != last:
            return {"lines": lines, "next": last}
        last = name
        eid = int.from_bytes(value, "big")
        record = issues.entities.record(eid)
        if record is None or not record.groups:
            continue
        candidate = Candidate(eid, record, issues.entities.author_of)
        if (request.tombstones or not candidate.facts.is_deleted) and all(test(candidate) for test in tests):
            line = export_line(issues.document(record, exact=request.exact)).decode().rstrip("\n")
            lines.append(line)
            size += len(line)
    return {"lines": lines, "next": ""}

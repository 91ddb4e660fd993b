"""The export: every issue as one line, in order of id."""

from typing import Any, Final

from moot_protocol.beads import export_line
from moot_protocol.issue import created_ms, facts, updated_ms
from moot_protocol.kinds import ISSUE
from moot_protocol.requests import Export
from mootd.engine import layout
from mootd.engine.issues.filters import Candidate, tests_of
from mootd.engine.issues.reading import Issues
from mootd.engine.record import live_of

LINES: Final = 500
"""Lines of one page."""
PAGE_BYTES: Final = 2 * 1024 * 1024
"""Bytes after which a page ends early."""


def export_page(issues: Issues, request: Export, now_ms: int) -> dict[str, Any]:
    """The lines that follow an id."""
    tests = tests_of(request.filter, issues, now_ms)
    base = layout.id_key(issues.plane, ISSUE, "")
    start = base + request.after.encode() + b"\0" if request.after else base
    lines: list[str] = []
    size = 0
    last = ""
    for key, value in issues.entities.reader.scan(issues.entities.views.ids, start, layout.after(base)):
        if len(lines) == LINES or size > PAGE_BYTES:
            return {"lines": lines, "next": last}
        last = layout.id_entity(key)
        eid = int.from_bytes(value, "big")
        record = issues.entities.record(eid)
        if record is None or not record.groups:
            continue
        live = live_of(record, issues.entities.author_of)
        times = created_ms(live, record.created), updated_ms(live, record.updated)
        candidate = Candidate(eid, record, live, facts(live), *times)
        if (request.tombstones or not candidate.facts.is_deleted) and all(test(candidate) for test in tests):
            line = export_line(issues.document(record, exact=True)).decode().rstrip("\n")
            lines.append(line)
            size += len(line)
    return {"lines": lines, "next": ""}

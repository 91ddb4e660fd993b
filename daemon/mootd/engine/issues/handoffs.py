"""Hand-offs: word for whoever goes on with an issue."""

from collections.abc import Iterator
from typing import Any

import msgspec

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.handoff import Handoff, handoff_comment, read_handoff
from moot_protocol.limits import TEXT_BYTES
from moot_protocol.requests.claims import WriteHandoff
from moot_protocol.requests.listing import IssueDoc
from mootd.engine.issues import checks
from mootd.engine.issues.mutations import IssueWriter


def write_handoff(writer: IssueWriter, request: WriteHandoff) -> dict[str, Any]:
    """Leave a hand-off on an issue."""
    name, _, _, _ = writer.find(request.id)
    stripped = Handoff(
        tuple(filter(None, map(str.strip, request.decisions))),
        tuple(filter(None, map(str.strip, request.dead_ends))),
        request.next.strip(),
        request.head.strip(),
    )
    if not (stripped.decisions or stripped.dead_ends or stripped.next):
        raise RefusedError("there is nothing to hand over", code=Code.USAGE, hint="give decisions, dead ends or next")
    comment = handoff_comment(stripped)
    # The text stands in it twice: as it is read, and as data.
    checks.check_text("a hand-off", comment[0], TEXT_BYTES // 2)
    written = writer.write_comment(writer.editor(name, request), name, comment)
    return handoffs_of({"comments": [written]})[0]


def handoffs_of(document: IssueDoc) -> list[dict[str, Any]]:
    """The hand-offs among an issue's comments, newest first."""
    return list(_handoffs(document))[::-1]


def _handoffs(document: IssueDoc) -> Iterator[dict[str, Any]]:
    for comment in document.get("comments", ()):
        found = read_handoff(comment)
        if found is not None:
            about = {name: comment[name] for name in ("issue_id", "id", "author", "created_at") if name in comment}
            yield about | msgspec.to_builtins(found)

"""What an import is about: the names in its lines, which stand in no field of the request.

Invariant: every issue that an import may write to is among them; a line that can't be read names nothing, and writes
nothing.
"""

from collections.abc import Iterator
from typing import Any

from moot_protocol.beads.lines import ImportedIssue, parse_line
from moot_protocol.requests.base import Request
from moot_protocol.requests.transfer import Import, ImportEdits


def names_in_lines(request: Request[Any]) -> Iterator[str]:
    """The issues that lines speak of, those that they depend on, and to whom they are assigned; some more than once."""
    for line in _lines(request):
        parsed = parse_line(line, 1)
        if isinstance(parsed, ImportedIssue):
            names = (parsed.id, parsed.registers.get("assignee"), *(edge[0] for edge in parsed.edges))
            yield from (name for name in names if isinstance(name, str) and name)


def _lines(request: Request[Any]) -> Iterator[bytes]:
    if isinstance(request, Import):
        yield from request.lines
    elif isinstance(request, ImportEdits):
        for pair in request.pairs:
            yield from (pair.base, pair.line)

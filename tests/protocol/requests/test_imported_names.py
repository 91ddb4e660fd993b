"""What an import is about: every name in its lines."""

import pytest

from moot_protocol.beads.pairs import LinePair
from moot_protocol.requests.base import Request
from moot_protocol.requests.imported_names import names_in_lines
from moot_protocol.requests.issues import ListIssues
from moot_protocol.requests.transfer import Import, ImportEdits

PLAIN = b'{"id":"mt-1","title":"One"}'
LINKED = (
    b'{"id":"mt-2","title":"Two","assignee":"bob","dependencies":'
    b'[{"issue_id":"mt-2","depends_on_id":"mt-3","type":"blocks"}]}'
)


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (Import(actor="a", project="mt", lines=(PLAIN, LINKED)), ["mt-1", "mt-2", "bob", "mt-3"]),
        (Import(actor="a", project="mt", lines=(b"", b"{", b'{"title":"no id"}')), []),
        (
            ImportEdits(actor="a", project="mt", pairs=(LinePair(1, PLAIN, 0, b""), LinePair(0, b"", 1, LINKED))),
            ["mt-1", "mt-2", "bob", "mt-3"],
        ),
        (ListIssues(), []),
    ],
)
def test_every_line_that_can_be_read_tells_its_names(request_: Request[object], names: list[str]) -> None:
    assert list(names_in_lines(request_)) == names

"""What lists cost an agent that reads them, by the encoder that all figures are given in."""

import random

import pytest

from moot_protocol.ids import CROCKFORD
from moot_protocol.requests.listing import Page
from moot_testkit.clients.console import issue, run_console
from moot_testkit.tokens import tokens

COUNT = 50
TITLES = [f"Write down what the importer does with file {number}" for number in range(COUNT)]


def ready(arguments: str) -> str:
    """What `ready` prints of issues with ids as they are made, cut where they are unique."""
    draw = random.Random(1)
    ids = ["demo-" + "".join(draw.choice(CROCKFORD) for _ in range(12)) for _ in range(COUNT)]
    issues = [
        issue(id=name, title=title, updated_at="2026-01-01T00:00:00Z", labels=["ui"], description="Long. " * 20)
        for name, title in zip(ids, TITLES, strict=True)
    ]
    page = Page(issues=issues, total=COUNT, truncated=False, short=[9] * COUNT)
    return run_console(f"ready {arguments}", {"ready": page}).out


@pytest.mark.parametrize(("arguments", "most"), [("", 12), ("--json --fields id,title,priority", 25)])
def test_an_issue_that_is_ready_costs_few_tokens_beyond_its_title(arguments: str, most: int) -> None:
    out = ready(arguments)
    assert all(title in out for title in TITLES)
    assert (tokens(out) - tokens("\n".join(TITLES))) / COUNT <= most

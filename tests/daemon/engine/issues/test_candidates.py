"""What a list sees of an issue is what its record says, however little of it was read."""

from moot_protocol.issue import created_ms, facts, updated_ms
from moot_testkit.engine import exchange, town_of
from mootd.engine.issues.candidates import Candidate
from mootd.engine.record import live_of


def test_an_issue_with_and_without_conflicts_is_seen_as_all_that_is_live_tells() -> None:
    ann, bob = town_of("ann", "bob")
    ann.create("mt-plain", labels=("red", "blue"), priority=1, assignee="ann")
    ann.create("mt-torn", title="Torn")
    exchange(ann, bob)
    for desk, title in ((ann, "One"), (bob, "Other")):
        desk.update("mt-torn", title=title)
    exchange(ann, bob)
    with ann.replica.read() as reader:
        issues = ann.issues(reader)
        for name in ("mt-plain", "mt-torn"):
            _, eid, record = issues.find(name)
            seen = Candidate(eid, record, issues.entities.author_of)
            live = live_of(record, issues.entities.author_of)
            times = created_ms(live, record.created), updated_ms(live, record.updated)
            assert (seen.facts, seen.created_ms, seen.updated_ms, seen.live) == (facts(live), *times, live)

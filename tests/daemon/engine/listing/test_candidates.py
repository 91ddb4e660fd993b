"""What a list sees of an issue is what its record says, however little of it was read."""

from moot_protocol.issues.issue import closed_ns, created_ms, created_ns, facts, updated_ms, updated_ns
from moot_testkit.towns.engine import exchange, imported, town_of
from mootd.engine.listing.candidates import Candidate
from mootd.engine.views.record import live_of


def test_an_issue_with_and_without_conflicts_is_seen_as_all_that_is_live_tells() -> None:
    ann, bob = town_of("ann", "bob")
    ann.create("mt-plain", labels=("red", "blue"), priority=1, assignee="ann")
    ann.create("mt-torn", title="Torn")
    told = {f"{what}_at": f"2026-01-31T10:00:00.1234{at}Z" for at, what in enumerate(("created", "updated", "closed"))}
    for name in ("mt-file", "mt-torn-file"):
        imported(ann, {"id": name, "title": name, "status": "closed", **told})
    exchange(ann, bob)
    for desk, title in ((ann, "One"), (bob, "Other")):
        desk.update("mt-torn", title=title)
        desk.update("mt-torn-file", title=title)
    exchange(ann, bob)
    with ann.replica.read() as reader:
        issues = ann.issues(reader)
        for name in ("mt-plain", "mt-torn", "mt-file", "mt-torn-file"):
            _, eid, record = issues.find(name)
            seen = Candidate(eid, record, issues.entities.author_of)
            live = live_of(record, issues.entities.author_of)
            times = created_ms(live, record.created), updated_ms(live, record.updated)
            assert (seen.facts, seen.created_ms, seen.updated_ms, seen.live) == (facts(live), *times, live)
            assert (seen.created_ns, seen.updated_ns) == (
                created_ns(live, record.created), updated_ns(live, record.updated)
            )  # fmt: skip
            assert seen.closed_ns == closed_ns(live, seen.facts)
            is_file = name.endswith("file")
            assert (seen.created_ns % 10**6, (seen.closed_ns or 0) % 10**6) == (
                (400_000, 420_000) if is_file else (0, 0)
            )

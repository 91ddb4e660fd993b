"""Which issue of a snapshot is meant; the filters themselves are compared with the daemon's in `test_spool_reads`."""

import pytest

from moot.spool import filter as spool_filter
from moot.spool.filter import cannot, find, is_whole_id
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.listing import Filter, IssueDoc
from moot_protocol.spool.snapshot_file import Snapshot

NOW_MS = 51_000


def snapshot(*issues: IssueDoc, left_out: int = 0) -> Snapshot:
    return Snapshot(
        "w", "demo", "ab" * 16, 0, False, left_out, (), {}, (), (), {issue["id"]: issue for issue in issues}
    )


HELD = snapshot(
    {"id": "demo-abcdef", "_alias": "the-one"}, {"id": "demo-abcxyz"}, {"id": "bd-1234"},
    {"id": "bd-03r"}, {"id": "bd-03rxyz"}, {"id": "demo-wisp-08w"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("demo-abcdef", "demo-abcdef"),
        ("abcd", "demo-abcdef"),
        ("demo-abcd", "demo-abcdef"),
        ("the-one", "demo-abcdef"),
        ("abcx", "demo-abcxyz"),
        ("1234", "bd-1234"),
        ("03r", "bd-03r"),
        ("08w", "demo-wisp-08w"),
    ],
)
def test_an_issue_is_meant_by_what_is_typed_as_elsewhere(typed: str, meant: str) -> None:
    assert find(HELD, typed, NOW_MS)["id"] == meant


@pytest.mark.parametrize(
    ("typed", "code"),
    [("abc", Code.NOT_FOUND), ("zzzz", Code.NOT_FOUND), ("", Code.NOT_FOUND), ("demo-", Code.NOT_FOUND)],
)
def test_what_is_too_short_or_not_there_is_not_found(typed: str, code: Code) -> None:
    with pytest.raises(RefusedError) as caught:
        find(HELD, typed, NOW_MS)
    assert caught.value.code is code


def test_what_may_mean_several_is_ambiguous() -> None:
    with pytest.raises(RefusedError) as caught:
        find(snapshot({"id": "demo-abcdef"}, {"id": "demo-abcdxy"}), "abcd", NOW_MS)
    assert caught.value.code is Code.AMBIGUOUS
    assert "demo-abcdef, demo-abcdxy" in caught.value.message


def test_a_miss_says_that_not_all_is_here() -> None:
    with pytest.raises(RefusedError, match="leaves 7 issues out"):
        find(snapshot(left_out=7), "demo-abcdef", NOW_MS)


def test_a_whole_id_that_is_missed_may_be_newer_than_the_snapshot() -> None:
    with pytest.raises(RefusedError) as caught:
        find(HELD, "demo-0123456789ab", NOW_MS)
    assert caught.value.message == "no issue demo-0123456789ab in the snapshot, which is 51 s old"
    assert (caught.value.hint or "").startswith("what was just written may be missing")
    with pytest.raises(RefusedError, match="which is 2h old; it leaves 7 issues out"):
        find(snapshot(left_out=7), "demo-0123456789ab", 2 * 3600 * 1000)
    with pytest.raises(RefusedError) as caught:
        find(HELD, "demo-0123", NOW_MS)
    assert (caught.value.hint or "").startswith("give the whole id")


def test_the_id_of_an_issue_made_a_moment_ago_is_told_from_a_short_one() -> None:
    assert is_whole_id("demo", "demo-0123456789ab")
    assert not is_whole_id("demo", "demo-0123")
    assert not is_whole_id("demo", "other-0123456789ab")


def test_a_pattern_of_many_stars_ends() -> None:
    (test,) = spool_filter.tests_of(HELD, Filter(label_pattern="*a" * 30 + "b"), 0)
    assert not test({"labels": ["a" * 4000]})


def test_a_refusal_says_what_and_where_to_ask() -> None:
    error = cannot("totals")
    assert error.message == "the snapshot can't answer totals"
    assert "outside the sandbox" in error.hint

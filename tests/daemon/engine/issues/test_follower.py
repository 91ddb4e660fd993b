"""Each issue is followed by itself: what can't be copied stays at home and is told, and keeps nothing else from it."""

from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import ENTITY_BYTES, TEXT_BYTES
from moot_protocol.requests.issues import ListIssues
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.shares import FollowShare, Unshare
from moot_testkit.refusals import refusal
from moot_testkit.towns.engine import Desk, imported
from moot_testkit.towns.linked import begin, copies, shares, step, two_towns
from mootd.engine.issues.follower import Follower
from mootd.engine.unit import Unit
from mootd.store.port import Table

LONG = "mt-" + "x" * (ENTITY_BYTES - 4)
"""An id that an issue may have, and no entry about it."""
BLACKED: dict[str, Any] = {"fields": ("title", "external_ref"), "redact": "-word:r"}
TOO_LONG = "r" * 30_000
"""What takes more by that rule than an event holds: blacked out, a letter takes nine bytes."""
HUGE = {"external_ref": TOO_LONG}


@pytest.fixture
def ada() -> Desk:
    return two_towns()[0]


def line(name: str, *labels: str, **parts: Any) -> dict[str, Any]:
    return {"id": name, "title": f"Title of {name[:6]}", "labels": labels, **parts}


def kept(desk: Desk) -> dict[str, str]:
    """Issue → why, of all that can't be copied."""
    return {each["source"]: each["why"] for share in shares(desk) for each in share["uncopied"]}


def sources(desk: Desk) -> list[str]:
    return [copy["source"] for each in shares(desk) for copy in each["copies"]]


def standing(desk: Desk) -> list[str]:
    """The titles of all that stands on the shared plane."""
    return sorted(issue["title"] for issue in desk.ask(ListIssues(filter=Filter(projects=("shared",)))).issues)


# -- What an event holds -----------------------------------------------------------------------------------------
def test_fields_that_are_too_long_for_one_event_together_go_in_several(ada: Desk) -> None:
    fields = ("external_ref", "spec_id", "title", "labels", "notes", "status")
    begin(ada, label="big", fields=fields)
    long = {"external_ref": "r" * TEXT_BYTES, "spec_id": "s" * TEXT_BYTES, "notes": "n" * TEXT_BYTES}
    imported(ada, line("mt-big", "big", "red", status="closed", **long))
    assert step(ada) == 1
    (copy,) = copies(ada)
    there = dict(ada.show(copy))
    assert there | long == there
    assert (there["title"], there["labels"], there["status"]) == ("Title of mt-big", ["big", "red"], "closed")
    assert there["closed_at"]
    turned = {"external_ref": "s" * TEXT_BYTES, "spec_id": "r" * TEXT_BYTES}
    imported(ada, line("mt-big", "big", updated_at="2099-01-01T00:00:00Z", **turned))
    assert (step(ada), step(ada), kept(ada)) == (1, 0, {})
    assert ada.show(copy)["external_ref"] == "s" * TEXT_BYTES


# -- What can't be copied ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("bad", [line(LONG, "api"), line("mt-huge", "api", **HUGE)], ids=["its id", "its text"])
def test_beside_what_can_t_be_copied_all_else_is_followed_and_withdrawn(ada: Desk, bad: dict[str, Any]) -> None:
    begin(ada, label="api", **BLACKED)
    for name in ("mt-a", "mt-z"):
        ada.create(name, labels=("api",))
    imported(ada, bad)
    assert step(ada) == 2
    assert sources(ada) == ["mt-a", "mt-one", "mt-z"]
    assert list(kept(ada)) == [bad["id"]]
    for name in ("mt-a", "mt-one"):
        ada.update(name, remove_labels=("api",))
    assert step(ada) == 2
    assert sources(ada) == ["mt-z"]
    assert len(standing(ada)) == 1
    before = ada.rows(Table.EVENTS)
    assert (step(ada), ada.rows(Table.EVENTS)) == (0, before)


def test_why_is_told(ada: Desk) -> None:
    begin(ada, label="api", **BLACKED)
    imported(ada, line(LONG, "api"), line("mt-huge", "api", **HUGE))
    step(ada)
    told = kept(ada)
    assert told[LONG].startswith(f"its id has {len(LONG)} bytes; what is shared has 1")
    assert "an event holds" in told["mt-huge"]


def test_the_longest_id_that_an_entry_has_room_for_is_copied(ada: Desk) -> None:
    begin(ada, label="api")
    imported(ada, line(LONG, "api"))
    step(ada)
    most = int(kept(ada)[LONG].split()[-3])
    imported(ada, line("mt-" + "y" * (most - 3), "api"), line("mt-" + "z" * (most - 2), "api"))
    step(ada)
    assert {name[3] for name in kept(ada)} == {"x", "z"}


def test_sharing_a_project_shares_the_rest_and_tells_what_stays(ada: Desk) -> None:
    imported(ada, line(LONG), line("mt-huge", **HUGE), line("mt-two"))
    made = begin(ada, project="mt", **BLACKED)
    assert [each["source"] for each in made["copies"]] == ["mt-one", "mt-two"]
    assert [each["source"] for each in made["uncopied"]] == ["mt-huge", LONG]


def test_sharing_an_issue_that_can_t_be_copied_is_refused_and_leaves_nothing(ada: Desk) -> None:
    imported(ada, line(LONG), line("mt-huge", **HUGE))
    before = ada.tables()
    for name, why in ((LONG, "its id has"), ("mt-huge", "an event holds")):
        refused = refusal(partial(begin, ada, id=name, **BLACKED))
        assert (refused.code, why in refused.message) == (Code.LIMIT, True)
    assert ada.tables() == before


def test_a_copy_that_can_t_follow_stays_as_it_was_until_its_source_can_be_copied_or_is_shared_no_more(
    ada: Desk,
) -> None:
    begin(ada, id="mt-one", **BLACKED)
    for year, title, reference, expected in (
        (2097, "Two", TOO_LONG, "One"),
        (2098, "Six", "s", "Six"),
        (2099, "Ten", TOO_LONG, "Six"),
    ):
        changed = {"title": title, "external_ref": reference, "updated_at": f"{year}-01-01T00:00:00Z"}
        imported(ada, line("mt-one", **changed))
        step(ada)
        assert (standing(ada), bool(kept(ada))) == ([expected], reference == TOO_LONG)
    assert ada.do(Unshare(actor="alice", id="mt-one"))["withdrawn"] == 1
    assert (standing(ada), shares(ada)) == ([], [])


def test_what_loses_its_label_or_is_shared_no_more_is_told_no_more(ada: Desk) -> None:
    begin(ada, label="api", **BLACKED)
    imported(ada, line(LONG, "api"), line("mt-huge", "api", **HUGE))
    step(ada)
    for name in (LONG, "mt-huge"):
        assert name in kept(ada)
        ada.update(name, remove_labels=("api",))
        step(ada)
        assert name not in kept(ada)
    imported(ada, line("mt-" + "y" * 186, "api"))
    step(ada)
    assert kept(ada)
    ada.do(Unshare(actor="alice", label="api"))
    assert not any(b"uncopied" in key for key in ada.rows(Table.META))


def test_who_follows_anew_finds_out_anew_what_can_t_be_copied(ada: Desk) -> None:
    made = begin(ada, label="api")
    imported(ada, line(LONG, "api"), line(LONG[:-1] + "y", "api"))
    step(ada)
    ada.update(LONG, remove_labels=("api",))
    assert len(kept(ada)) == 2
    assert [each["source"] for each in ada.do(FollowShare(actor="bob", share=made["share"]))["uncopied"]] == [
        LONG[:-1] + "y"
    ]


def test_a_copy_that_the_next_share_can_t_follow_is_withdrawn_all_the_same(ada: Desk) -> None:
    imported(ada, line("mt-huge", "api", **HUGE))
    first = begin(ada, label="api", fields=("title", "external_ref"))["share"]
    begin(ada, id="mt-huge", **BLACKED)
    assert len(standing(ada)) == 2
    ada.do(Unshare(actor="alice", id=first))
    assert (standing(ada), list(kept(ada))) == ([], ["mt-huge"])


# -- What isn't an issue's ---------------------------------------------------------------------------------------
def test_what_refuses_every_copy_is_no_issue_s(ada: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(ada, label="api")
    for name in ("mt-a", "mt-b"):
        ada.create(name, labels=("api",))

    def refuse(*_: Any) -> Any:
        raise RefusedError("the clock stands behind", code=Code.CLOCK_AHEAD)

    monkeypatch.setattr(Follower, "_make", refuse)
    for _ in range(2):
        before = ada.tables()
        assert refusal(lambda: step(ada)).code == Code.CLOCK_AHEAD
        assert ada.tables() == before
        ada.update("mt-b", remove_labels=("api",))


def test_where_nothing_is_refused_there_is_one_savepoint_for_all(ada: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(ada, label="api")
    begin(ada, label="other")
    for name in ("mt-a", "mt-b"):
        ada.create(name, labels=("api", "other"))
    taken, savepoint = [], Unit.savepoint

    def counted(unit: Unit) -> AbstractContextManager[None]:
        taken.append(unit)
        return savepoint(unit)

    monkeypatch.setattr(Unit, "savepoint", counted)
    assert (step(ada), len(taken)) == (4, 1)

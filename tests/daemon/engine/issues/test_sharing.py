"""Linked copies on shared planes: what goes, what stays, how they follow, and that nothing is written back."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import AddComment, Delete, InitProject
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.requests.shares import FollowShare, Share, Unshare
from moot_testkit.towns import documents
from moot_testkit.towns.documents import SHARED, share, towns_sharing
from moot_testkit.towns.engine import PROJECT, Desk, imported
from moot_testkit.towns.linked import HIDDEN, begin, copies, shares, step, two_towns
from mootd.engine.editor import Editor
from mootd.engine.issues import sharing
from mootd.engine.issues.copies import ACTOR
from mootd.engine.membership.charters import towns_of
from mootd.engine.membership.removing import remove_town
from mootd.engine.stored import layout
from mootd.engine.stored.log import LogReader
from mootd.store.port import Table


@pytest.fixture
def towns() -> list[Desk]:
    return two_towns()


def copy_of(desk: Desk) -> str:
    (copy,) = copies(desk)
    return copy


def as_seen(ada: Desk, bea: Desk) -> IssueDoc:
    """The copy as the other town sees it."""
    share(ada, bea)
    return bea.show(copy_of(ada))


def said_on(desk: Desk) -> str:
    """All that stands in the shared plane's events: skeletons and values."""
    plane = desk.replica.plane_named(SHARED).number
    found = []
    with desk.replica.read() as reader:
        log = LogReader(reader)
        for number, row in desk.replica.feeds.items():
            if row.plane == plane:
                for _, batch in log.batches(number, 1):
                    found += [
                        event.event.skeleton_bytes + (event.event.values_bytes or b"") for event in log.events_of(batch)
                    ]
    return b"\n".join(found).decode("utf-8", "replace")


# -- What goes ---------------------------------------------------------------------------------------------------
def test_a_copy_has_the_fields_of_the_rule_and_an_id_of_its_own(towns: list[Desk]) -> None:
    made = begin(towns[0])
    assert (made["what"], made["value"], made["to"], made["prefix"]) == ("issue", "mt-one", SHARED, "shared")
    seen = as_seen(*towns)
    assert seen["id"].startswith("shared-")
    assert (seen["title"], seen["labels"], seen["status"], seen["priority"]) == ("One", ["api"], "open", 2)
    assert seen["metadata"] == {"moot.share": made["share"]}
    assert not seen.keys() & {"description", "assignee", "created_by"}


def test_nothing_that_is_not_chosen_ever_reaches_the_shared_plane(towns: list[Desk]) -> None:
    ada, _ = towns
    begin(ada, redact="-word:acme,-label:cust-*")
    ada.update("mt-one", notes=f"{HIDDEN}!", title="Acme wants it", add_labels=("cust-7", "secret"))
    ada.do(AddComment(actor="alice", id="mt-one", text=f"{HIDDEN} comment"))
    ada.link("mt-one", ada.create("mt-two", title=HIDDEN)["id"])
    step(ada)
    said = said_on(ada)
    assert "wants it" in said
    for hidden in (HIDDEN, "cme", "cust-7", "private", "secret", "alice", "mt-one", "mt-two"):
        assert hidden not in said


def test_imported_comments_without_ids_go_once_each_whenever_they_come(towns: list[Desk]) -> None:
    ada, bea = towns
    begin(ada, fields=("title", "comments"))
    for texts in (("first",), ("first", "second")):
        comments = [{"author": "carol", "text": text, "created_at": "2026-01-01T00:00:00Z"} for text in texts]
        imported(ada, {"id": "mt-one", "title": "One", "comments": comments})
        step(ada)
        assert sorted(each["text"] for each in as_seen(ada, bea)["comments"]) == list(texts)
        assert step(ada) == 0


def test_fields_and_comments_go_where_they_are_named(towns: list[Desk]) -> None:
    ada, bea = towns
    begin(ada, fields=("title", "description", "comments"))
    ada.do(AddComment(actor="alice", id="mt-one", text="hello"))
    assert step(ada) == 1
    seen = as_seen(ada, bea)
    assert (seen["description"], seen["comments"][0]["text"]) == (f"{HIDDEN} texts", "hello")
    assert (seen["comments"][0]["author"], "labels" in seen) == ("alice", False)
    assert step(ada) == 0


# -- Following ---------------------------------------------------------------------------------------------------
def test_a_copy_follows_its_source(towns: list[Desk]) -> None:
    ada, bea = towns
    begin(ada)
    ada.update("mt-one", title="Two", priority=0, status="closed", set_labels=("web",))
    assert shares(ada)[0]["copies"][0]["state"] == "behind"
    assert step(ada) == 1
    seen = as_seen(ada, bea)
    assert (seen["title"], seen["priority"], seen["status"], seen["labels"]) == ("Two", 0, "closed", ["web"])
    assert "closed_at" in seen
    assert shares(ada)[0]["copies"][0]["state"] == "in_step"
    assert step(ada) == 0


def test_a_label_shares_whatever_comes_to_have_it_and_withdraws_what_loses_it(towns: list[Desk]) -> None:
    ada, bea = towns
    begin(ada, label="api", redact="-issue:hush")
    first = copy_of(ada)
    ada.create("mt-two", labels=("api",))
    ada.create("mt-three", labels=("api", "hush"))
    ada.create("mt-four", labels=("web",))
    step(ada)
    assert len(copies(ada)) == 2
    ada.update("mt-one", remove_labels=("api",))
    step(ada)
    assert first not in copies(ada)
    share(ada, bea)
    assert bea.show(first)["status"] == "tombstone"


def test_a_project_shares_all_of_its_issues_and_withdraws_deleted_ones(towns: list[Desk]) -> None:
    ada, _ = towns
    ada.create("mt-two")
    ada.do(InitProject(actor="alice", prefix="xx"))
    ada.create("xx-one", project="xx")
    begin(ada, project=PROJECT)
    assert len(copies(ada)) == 2
    ada.do(Delete(actor="alice", id="mt-two"))
    step(ada)
    assert len(copies(ada)) == 1


def test_of_a_label_or_a_project_nothing_ephemeral_goes_and_of_a_label_within_a_project_nothing_else(
    towns: list[Desk],
) -> None:
    ada, _ = towns
    ada.create("mt-two", labels=("api",), ephemeral=True)
    ada.do(InitProject(actor="alice", prefix="xx"))
    ada.create("xx-one", project="xx", labels=("api",))
    for parts in ({"label": "api", "project": PROJECT}, {"project": PROJECT}):
        begin(ada, **parts)
    assert [[copy["source"] for copy in each["copies"]] for each in shares(ada)] == [["mt-one"], ["mt-one"]]


def test_a_label_that_its_source_lost_for_a_while_comes_back(towns: list[Desk]) -> None:
    ada, bea = towns
    begin(ada)
    for change, labels in (({"remove_labels": ("api",)}, []), ({"add_labels": ("api",)}, ["api"])):
        ada.update("mt-one", **change)
        assert step(ada) == 1
        assert as_seen(ada, bea).get("labels", []) == labels


def test_of_two_copies_that_were_made_at_the_same_time_one_is_withdrawn(towns: list[Desk]) -> None:
    ada, _ = towns
    made = begin(ada)
    first = copy_of(ada)
    ada.create("shared-two", project="shared")
    with ada.replica.transaction() as unit:  # as another machine would have, without sight of the first
        editor = Editor(unit, ada.replica.ledger.number, "copy", f"{made['share']}/mt-one", ACTOR)
        editor.add("issue", "shared-two")
        editor.save()
    step(ada)
    assert copies(ada) == ["shared-two"]
    assert (ada.show(first)["status"], ada.show("shared-two")["status"]) == ("tombstone", "open")


def test_more_than_a_share_can_begin_with_are_refused(towns: list[Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    ada, _ = towns
    ada.create("mt-two")
    monkeypatch.setattr(sharing, "SHARE_COPIES", 1)
    assert ada.refusal(Share(actor="alice", project=PROJECT, to=SHARED)) is Code.LIMIT


# -- What others do to a copy --------------------------------------------------------------------------------------
def test_what_another_town_changes_is_a_suggestion_and_is_never_written_back(towns: list[Desk]) -> None:
    ada, bea = towns
    begin(ada)
    as_seen(ada, bea)
    bea.update(copy_of(ada), title="Better", add_labels=("theirs",), remove_labels=("api",), actor="bob")
    share(ada, bea)
    before = ada.show("mt-one")
    assert step(ada) == 0
    (copy,) = shares(ada)[0]["copies"]
    assert copy["state"] == "differs"
    told = {(each["field"], each["here"], each["there"], each["actor"]) for each in copy["suggestions"]}
    assert told == {("title", "One", "Better", "bob"), ("labels", "api", None, ""), ("labels", None, "theirs", "bob")}
    assert copy["suggestions"][0]["_origin"]["town_name"] == "bea town"
    assert ada.show("mt-one") == before
    assert ada.show(copy["copy"])["title"] == "Better"


def test_a_suggestion_lasts_until_the_source_changes_itself(towns: list[Desk]) -> None:
    ada, bea = towns
    begin(ada)
    as_seen(ada, bea)
    bea.update(copy_of(ada), title="Better", priority=0)
    share(ada, bea)
    ada.update("mt-one", priority=4)
    step(ada)
    seen = as_seen(ada, bea)
    assert (seen["title"], seen["priority"]) == ("Better", 4)
    ada.update("mt-one", title="Better")
    step(ada)
    assert shares(ada)[0]["copies"][0]["state"] == "in_step"
    ada.update("mt-one", title="Mine")
    step(ada)
    assert as_seen(ada, bea)["title"] == "Mine"


def test_a_source_that_goes_back_to_what_it_was_before_has_changed_all_the_same(towns: list[Desk]) -> None:
    ada, bea = towns
    begin(ada)
    ada.update("mt-one", title="Two")
    step(ada)
    as_seen(ada, bea)
    bea.update(copy_of(ada), title="Better")
    share(ada, bea)
    ada.update("mt-one", title="One")
    step(ada)
    assert as_seen(ada, bea)["title"] == "One"


def test_a_copy_that_another_town_deletes_stays_deleted(towns: list[Desk]) -> None:
    ada, bea = towns
    begin(ada)
    as_seen(ada, bea)
    bea.do(Delete(actor="bob", id=copy_of(ada)))
    share(ada, bea)
    ada.update("mt-one", title="Two")
    assert step(ada) == 0
    assert shares(ada)[0]["copies"][0]["suggestions"][0]["field"] == "deleted"


# -- Ending and taking over ----------------------------------------------------------------------------------------
def test_unsharing_withdraws_the_copy_and_follows_no_more(towns: list[Desk]) -> None:
    ada, bea = towns
    begin(ada)
    copy = copy_of(ada)
    ended = ada.do(Unshare(actor="alice", id="mt-one"))
    assert (ended["ended"], ended["withdrawn"], shares(ada)) == (True, 1, [])
    ada.update("mt-one", title="Two")
    assert step(ada) == 0
    share(ada, bea)
    assert (bea.show(copy)["title"], bea.show(copy)["status"]) == ("One", "tombstone")
    assert ada.refusal(Unshare(actor="alice", id="mt-one")) is Code.NOT_FOUND
    assert begin(ada)["copies"][0]["copy"] != copy


def test_what_is_not_shared_is_said_to_be_so_with_where_the_shares_are_told(towns: list[Desk]) -> None:
    ada = towns[0]
    with pytest.raises(RefusedError, match="nothing is shared so") as raised:
        ada.do(Unshare(actor="alice", id="mt-one"))
    assert "moot share list" in raised.value.hint


def test_only_the_machine_that_shares_follows_until_another_takes_over(towns: list[Desk]) -> None:
    ada, _ = towns
    made = begin(ada)
    with ada.replica.transaction() as unit:
        editor = Editor(unit, ada.replica.ledger.number, "share", made["share"], "bob")
        editor.set("follower", bytes(32))
        editor.save()
    ada.update("mt-one", title="Two")
    assert step(ada) == 0
    assert not shares(ada)[0]["is_here"]
    taken = ada.do(FollowShare(actor="alice", share=made["share"]))
    assert (taken["is_here"], taken["copies"][0]["state"]) == (True, "in_step")


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"id": "mt-one", "to": "ledger"}, Code.INVALID),
        ({"id": "mt-none", "to": SHARED}, Code.NOT_FOUND),
        ({"to": SHARED}, Code.USAGE),
        ({"id": "mt-one", "to": SHARED, "fields": ("edges",)}, Code.INVALID),
        ({"id": "mt-one", "to": SHARED, "redact": "-issue:api"}, Code.INVALID),
        ({"id": "mt-one", "to": SHARED, "prefix": PROJECT}, Code.CONFLICT),
        ({"id": "mt-one", "to": "nowhere"}, Code.NOT_FOUND),
    ],
)
def test_what_can_t_be_shared_is_refused_and_leaves_nothing(towns: list[Desk], parts: Any, code: Code) -> None:
    ada, _ = towns
    assert ada.refusal(Share(actor="alice", **parts)) is code


def test_a_copy_is_not_shared_on_and_nothing_is_shared_twice(towns: list[Desk]) -> None:
    ada, _ = towns
    begin(ada)
    with pytest.raises(RefusedError, match="shared there already"):
        begin(ada)
    with pytest.raises(RefusedError, match="copy itself"):
        ada.do(Share(actor="alice", id=copy_of(ada), to="ledger"))


def test_changes_by_another_machine_of_the_town_are_no_suggestions(towns: list[Desk]) -> None:
    ada, _ = towns
    begin(ada)
    ada.update(copy_of(ada), title="By hand")
    assert step(ada) == 1
    assert ada.show(copy_of(ada))["title"] == "One"


def test_whose_writes_would_not_count_shares_nothing_and_follows_no_more() -> None:
    ada, bea = towns_sharing("ada", "bea", roles=(Role.READER,))
    bea.do(InitProject(actor="bob", prefix=PROJECT))
    bea.create("mt-one")
    assert bea.refusal(Share(actor="bob", id="mt-one", to=SHARED)) is Code.DENIED
    with bea.replica.transaction() as unit:  # as from a time when it might write
        editor = Editor(unit, bea.replica.ledger.number, "share", "earlier", "bob")
        for key, value in {"what": ["issue", "mt-one", ""], "rule": "title", "prefix": "shared"}.items():
            editor.set(key, value)
        editor.set("to", bea.replica.plane_named(SHARED).id)
        editor.set("follower", bea.replica.id)
        editor.save()
    assert step(bea) == 0
    ada, bea = towns_sharing("ada", "bea")
    bea.do(InitProject(actor="bob", prefix=PROJECT))
    bea.create("mt-one")
    begin(bea)
    share(ada, bea)
    with ada.replica.transaction() as unit:
        plane = ada.replica.plane_named(SHARED)
        remove_town(unit, plane, towns_of(unit, plane)[bea.replica.ledger.town])
    share(ada, bea)
    bea.update("mt-one", title="Two")
    assert step(bea) == 0


def test_a_machine_whose_feed_at_home_is_forked_makes_no_copies(towns: list[Desk]) -> None:
    ada, _ = towns
    begin(ada, label="api")
    other = Desk("other", ada.clock).join(ada)
    ada.receive(other.batches())
    (clone,) = documents.copies([ada])
    ada.create("mt-mine")
    clone.create("mt-theirs")
    ada.receive(clone.batches())
    other.create("mt-new", labels=("api",))
    ada.receive(other.batches()[-1:])
    before = copies(ada)
    assert step(ada) == 0
    assert copies(ada) == before


def test_a_copied_machine_makes_no_copies(towns: list[Desk]) -> None:
    ada, _ = towns
    begin(ada)
    ada.update("mt-one", title="Two")
    with ada.replica.transaction() as unit:
        unit.transaction.put(Table.META, layout.COPIED, b"")
    assert step(ada) == 0


def test_what_keeps_a_machine_from_sharing_is_told_with_what_to_do(towns: list[Desk]) -> None:
    ada, _ = towns
    with ada.replica.transaction() as unit:
        unit.transaction.put(Table.META, layout.COPIED, b"")
    with pytest.raises(RefusedError, match="is a copy") as raised:
        begin(ada)
    assert "moot salvage" in raised.value.hint

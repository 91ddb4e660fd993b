"""One copy of an issue on a plane, however many shares let it out there: by whose rule it follows, and how long."""

from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import COPY, SHARE
from moot_protocol.requests.issues import AddComment, Create, InitProject, IssueFields, ListIssues
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.shares import FollowShare, Share, Shares, Unshare
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.towns.documents import SHARED, share, towns_sharing
from moot_testkit.towns.engine import PROJECT, Desk
from moot_testkit.towns.linked import begin, step
from moot_testkit.towns.planes import open_plane
from mootd.engine.editor import Editor
from mootd.engine.issues.copies import ACTOR
from mootd.engine.issues.follower import Follower
from mootd.engine.issues.shares import shares_of
from mootd.engine.membership.rotating import rotate_town


@pytest.fixture
def ada() -> Desk:
    made = towns_sharing("ada", "bea")[0]
    made.do(InitProject(actor="alice", prefix=PROJECT))
    made.create("mt-one", title="One", description="texts", labels=("api",))
    return made


BY_ID: dict[str, Any] = {"id": "mt-one"}
BY_LABEL: dict[str, Any] = {"label": "api"}


def end(desk: Desk, **parts: Any) -> int:
    return int(desk.do(Unshare(actor="alice", **parts))["withdrawn"])


def told(desk: Desk) -> list[tuple[str, str]]:
    """(copy, state) for each share."""
    return [(copy["copy"], copy["state"]) for each in desk.ask(Shares()) for copy in each["copies"]]


def copies(desk: Desk) -> set[str]:
    return {copy for copy, _ in told(desk)}


def standing(desk: Desk) -> list[str]:
    """The titles of all that stands on the shared plane."""
    return [issue["title"] for issue in desk.ask(ListIssues(filter=Filter(projects=("shared",)))).issues]


@pytest.mark.parametrize(("first", "second"), [(BY_ID, BY_LABEL), (BY_LABEL, BY_ID)])
def test_what_two_shares_let_out_is_copied_once_and_follows_until_both_have_ended(
    ada: Desk, first: dict[str, Any], second: dict[str, Any]
) -> None:
    made = begin(ada, **first)["copies"][0]["copy"]
    assert begin(ada, **second)["copies"][0]["copy"] == made
    assert told(ada) == [(made, "in_step")] * 2
    ada.update("mt-one", title="Two")
    assert step(ada) == 1
    assert (standing(ada), step(ada)) == (["Two"], 0)
    assert end(ada, **first) == 0
    ada.update("mt-one", title="Three")
    assert step(ada) == 1
    assert (standing(ada), told(ada)) == (["Three"], [(made, "in_step")])
    assert end(ada, **second) == 1
    assert standing(ada) == []


def test_what_loses_its_label_keeps_the_copy_that_is_shared_by_its_id_too(ada: Desk) -> None:
    made = begin(ada, **BY_LABEL)["copies"][0]["copy"]
    begin(ada, **BY_ID)
    ada.update("mt-one", title="Two", remove_labels=("api",))
    step(ada)
    assert (told(ada), standing(ada)) == ([(made, "in_step")], ["Two"])
    ada.update("mt-one", add_labels=("api",))
    step(ada)
    assert told(ada) == [(made, "in_step")] * 2


def test_an_issue_that_may_go_no_more_by_either_rule_is_withdrawn(ada: Desk) -> None:
    begin(ada, **BY_LABEL, redact="-issue:hush")
    begin(ada, **BY_ID, redact="-issue:hush")
    ada.update("mt-one", add_labels=("hush",))
    step(ada)
    assert (told(ada), standing(ada)) == ([], [])


# -- By whose rule -----------------------------------------------------------------------------------------------
def test_a_copy_follows_by_the_rule_that_made_it_and_by_the_other_once_that_has_ended(ada: Desk) -> None:
    made = begin(ada, **BY_ID, fields=("title", "description"))["copies"][0]["copy"]
    begin(ada, **BY_LABEL, fields=("title", "priority", "labels"))
    before = ada.show(made)["priority"]
    ada.update("mt-one", priority=1)
    step(ada)
    shown = ada.show(made)
    assert (shown["description"], shown["priority"], shown.get("labels", [])) == ("texts", before, [])
    assert told(ada) == [(made, "in_step")] * 2
    end(ada, **BY_ID)
    shown = ada.show(made)
    assert (shown.get("description", ""), shown["priority"], shown["labels"]) == ("", 1, ["api"])
    assert told(ada) == [(made, "in_step")]


def test_labels_that_only_the_ended_rule_let_out_are_taken_out_and_what_was_written_by_hand_stays(ada: Desk) -> None:
    made = begin(ada, **BY_ID, fields=("title", "labels", "description"))["copies"][0]["copy"]
    begin(ada, **BY_LABEL, fields=("title",))
    ada.update(made, description="by hand", add_labels=("hand",))
    end(ada, **BY_ID)
    shown = ada.show(made)
    assert (shown["description"], shown["labels"]) == ("by hand", ["hand"])


def test_comments_that_only_the_ended_rule_let_out_go_with_their_copy(ada: Desk) -> None:
    made = begin(ada, **BY_ID, fields=("title", "comments"))["copies"][0]["copy"]
    begin(ada, **BY_LABEL, fields=("title",))
    ada.do(AddComment(actor="alice", id="mt-one", text="between us"))
    step(ada)
    assert [each["text"] for each in ada.show(made)["comments"]] == ["between us"]
    assert end(ada, **BY_ID) == 1
    ((now, state),) = told(ada)
    assert (now != made, state, ada.show(now).get("comments", [])) == (True, "in_step", [])
    assert standing(ada) == ["One"]


def test_where_both_rules_are_the_same_comments_stay(ada: Desk) -> None:
    ada.do(AddComment(actor="alice", id="mt-one", text="for all"))
    made = begin(ada, **BY_ID, fields=("title", "comments"))["copies"][0]["copy"]
    begin(ada, **BY_LABEL, fields=("title", "comments"))
    assert end(ada, **BY_ID) == 0
    assert copies(ada) == {made}


def test_what_was_written_by_hand_stays_where_a_share_for_other_issues_lets_out_more(ada: Desk) -> None:
    made = begin(ada, **BY_ID, fields=("title",))["copies"][0]["copy"]
    begin(ada, label="web", fields=("title", "description"))
    ada.update(made, actor="moot", description="by hand")
    ada.update("mt-one", title="Two")
    step(ada)
    assert (ada.show(made)["description"], standing(ada)) == ("by hand", ["Two"])


# -- Several machines, and earlier releases ----------------------------------------------------------------------
def test_two_copies_of_an_earlier_release_both_follow_and_each_ends_with_its_share(
    ada: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begin(ada, **BY_ID, fields=("title", "description"))["copies"][0]["copy"]
    with monkeypatch.context() as patched:
        patched.setattr(Follower, "_held", lambda follower, original: "")
        second = begin(ada, **BY_LABEL, fields=("title",))["copies"][0]["copy"]
    ada.update("mt-one", title="Two")
    ada.update(second, description="by hand")
    assert step(ada) == 2
    assert sorted(told(ada)) == sorted([(first, "in_step"), (second, "in_step")])
    assert (ada.show(first)["description"], ada.show(second)["description"]) == ("texts", "by hand")
    assert end(ada, **BY_ID) == 1
    assert (copies(ada), standing(ada)) == ({second}, ["Two"])
    assert end(ada, **BY_LABEL) == 1


def gives_away(desk: Desk, share: str) -> None:
    """Let another machine of the town follow a share."""
    other = Desk("other", desk.clock).join(desk)
    desk.receive(other.batches())
    with desk.replica.transaction() as unit:
        editor = Editor(unit, desk.replica.ledger.number, "share", share, "bob")
        editor.set("follower", other.replica.id)
        editor.save()


def test_only_the_machine_that_follows_the_share_whose_rule_holds_writes_to_the_copy(ada: Desk) -> None:
    first = begin(ada, **BY_ID)
    begin(ada, **BY_LABEL)
    gives_away(ada, first["share"])
    ada.update("mt-one", title="Two")
    assert step(ada) == 0
    end(ada, **BY_ID)
    assert standing(ada) == ["Two"]


def test_what_one_rule_lets_out_no_more_follows_by_the_other_though_nobody_has_seen_to_the_first(ada: Desk) -> None:
    first = begin(ada, **BY_LABEL)
    begin(ada, **BY_ID)
    gives_away(ada, first["share"])
    ada.update("mt-one", title="Two", remove_labels=("api",))
    assert step(ada) == 1
    assert standing(ada) == ["Two"]


def test_a_share_that_has_ended_holds_nothing_though_another_machine_made_a_copy_for_it_meanwhile(ada: Desk) -> None:
    ended, made = begin(ada, **BY_LABEL)["share"], begin(ada, **BY_ID)["copies"][0]["copy"]
    end(ada, **BY_LABEL)
    with ada.replica.transaction() as unit:
        editor = Editor(unit, ada.replica.ledger.number, "copy", f"{ended}/mt-one", "moot")
        editor.set("issue", made)
        editor.save()
    ada.update("mt-one", title="Two")
    assert step(ada) == 1
    assert end(ada, **BY_ID) == 1


def test_a_copy_that_another_machine_withdrew_without_sight_of_the_second_share_is_made_anew(ada: Desk) -> None:
    made = begin(ada, **BY_ID)["copies"][0]["copy"]
    begin(ada, **BY_LABEL)
    with ada.replica.transaction() as unit:
        for shared in list(shares_of(unit.entities(), [ada.replica.ledger]))[:1]:
            Follower(unit, shared)._withdraw(made)
    step(ada)
    (now,) = copies(ada)
    assert (now != made, standing(ada)) == (True, ["One"])


def test_of_two_copies_noted_at_the_same_time_one_is_withdrawn_unless_another_share_holds_it(ada: Desk) -> None:
    made = begin(ada, **BY_ID)["share"]
    (first,) = copies(ada)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Follower, "_held", lambda follower, original: "")
        begin(ada, **BY_LABEL)
    (doubled,) = copies(ada) - {first}

    def note(of: str, *noted: str) -> None:
        """Let an entry name copies that two machines have noted without sight of one another."""
        with ada.replica.transaction() as unit:
            for copy in noted:
                entity = f"{of}/mt-one"
                unit.append(ada.replica.ledger.number, Draft(COPY, entity, ACTOR, [Write("issue", copy)]))

    note(made, doubled, first)
    step(ada)
    assert standing(ada) == ["One", "One"]
    end(ada, **BY_LABEL)
    note(made, doubled, first)
    step(ada)
    assert standing(ada) == ["One"]


# -- On a plane that other towns belong to as well ---------------------------------------------------------------
THIRD = "third"


@pytest.fixture
def common() -> tuple[Desk, Desk]:
    """Ada's machine and bea's, with an issue on the plane that both belong to, and a third plane of ada's alone."""
    ada, bea = towns_sharing("ada", "bea")
    open_plane(ada, THIRD, PlaneKind.FEDERATION)
    ada.do(InitProject(actor="alice", prefix=PROJECT, plane=SHARED))
    ada.create("mt-one", title="One", description="texts", labels=("api",))
    return ada, bea


def lets_out(desk: Desk, **parts: Any) -> dict[str, Any]:
    return desk.do(Share(actor="alice", to=THIRD, **parts))


def says(desk: Desk, kind: str, entity: str, **values: Any) -> None:
    """Write of a share or an entry whatever one likes."""
    with desk.replica.transaction() as unit:
        editor = Editor(unit, desk.replica.plane_named(SHARED).number, kind, entity, "moot")
        for key, value in values.items():
            editor.set(key, value)
        editor.save()


def beside(desk: Desk, kind: str, entity: str, key: str, value: Any) -> None:
    """The same, but beside what others have written, and not in its place."""
    with desk.replica.transaction() as unit:
        unit.append(desk.replica.plane_named(SHARED).number, Draft(kind, entity, ACTOR, [Write(key, value)]))


def forged(ada: Desk, **values: Any) -> dict[str, Any]:
    """What a share says that lets the issue out onto ada's plane."""
    said = {"what": ["issue", "mt-one", ""], "to": ada.replica.plane_named(THIRD).id, "rule": "title,description"}
    return said | {"prefix": "shared", "follower": ada.replica.id} | values


def test_a_share_of_another_town_holds_no_copy_of_this_one_s(common: tuple[Desk, Desk]) -> None:
    ada, bea = common
    share(ada, bea)
    says(bea, SHARE, "theirs", **forged(ada, follower=bea.replica.id))
    share(ada, bea)
    made = lets_out(ada, **BY_ID)["copies"][0]["copy"]
    says(bea, COPY, "theirs/mt-one", issue=made)
    share(ada, bea)
    ada.update("mt-one", title="Two")
    assert step(ada) == 1
    assert (told(ada), standing(ada)) == ([(made, "in_step")], ["Two"])
    assert end(ada, **BY_ID) == 1
    assert standing(ada) == []


def test_nor_does_this_machine_follow_one_though_it_is_named_there(common: tuple[Desk, Desk]) -> None:
    ada, bea = common
    share(ada, bea)
    says(bea, SHARE, "theirs", **forged(ada))
    share(ada, bea)
    assert step(ada) == 0
    assert (ada.ask(Shares()), ada.refusal(FollowShare(actor="alice", share="theirs"))) == ([], Code.NOT_FOUND)


@pytest.mark.parametrize("is_beside", [True, False])
def test_another_town_widens_no_rule(common: tuple[Desk, Desk], *, is_beside: bool) -> None:
    ada, bea = common
    lets_out(ada, **BY_ID, fields=("title",))
    made = lets_out(ada, **BY_LABEL, project=PROJECT, fields=("title",))
    (copy,) = copies(ada)
    share(ada, bea)
    wide = "title,description"
    if is_beside:
        beside(bea, SHARE, made["share"], "rule", wide)
    else:
        says(bea, SHARE, made["share"], rule=wide)
    share(ada, bea)
    step(ada)
    ended = end(ada, **BY_ID)
    ada.update("mt-one", title="Two")
    step(ada)
    assert "description" not in ada.show(copy)
    if is_beside:
        assert (ended, told(ada), standing(ada)) == (0, [(copy, "in_step")], ["Two"])
    else:  # what it wrote over nobody knows any more: the share lets nothing out
        assert (ended, told(ada), standing(ada)) == (1, [], [])


def test_nor_does_it_say_that_a_copy_is_held_by_another_share_of_this_town(common: tuple[Desk, Desk]) -> None:
    ada, bea = common
    copy = lets_out(ada, **BY_ID)["copies"][0]["copy"]
    second = lets_out(ada, label="web", project=PROJECT)
    share(ada, bea)
    says(bea, COPY, f"{second['share']}/mt-one", issue=copy)
    share(ada, bea)
    ada.update("mt-one", add_labels=("web",))
    assert end(ada, **BY_ID) == 1
    step(ada)
    assert copy not in copies(ada)


def test_nor_does_it_say_which_copies_a_share_has(common: tuple[Desk, Desk]) -> None:
    ada, bea = common
    made = lets_out(ada, **BY_ID)
    copy = made["copies"][0]["copy"]
    other = ada.do(Create(actor="alice", project="shared", id="shared-x", fields=IssueFields(title="Mine")))["id"]
    share(ada, bea)
    says(bea, COPY, f"{made['share']}/mt-two", issue=other)
    beside(bea, COPY, f"{made['share']}/mt-one", "issue", other)
    share(ada, bea)
    ada.update("mt-one", title="Two")
    step(ada)
    assert (told(ada), set(standing(ada))) == ([(copy, "in_step")], {"Two", "Mine"})
    assert end(ada, **BY_ID) == 1
    assert standing(ada) == ["Mine"]


def test_what_the_town_noted_under_its_key_before_is_its_own(common: tuple[Desk, Desk]) -> None:
    ada, _ = common
    made = lets_out(ada, **BY_ID)["copies"][0]["copy"]
    with ada.replica.transaction() as unit:
        rotate_town(unit)
    ada.update("mt-one", title="Two")
    step(ada)
    assert (told(ada), standing(ada)) == ([(made, "in_step")], ["Two"])
    assert lets_out(ada, **BY_LABEL, project=PROJECT)["copies"][0]["copy"] == made
    assert end(ada, **BY_ID) == 0
    assert end(ada, **BY_LABEL, project=PROJECT) == 1

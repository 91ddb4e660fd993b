"""The daemon follows what it shares after commits, and after it was down."""

from concurrent.futures import Future
from typing import Any

import pytest

from moot_protocol.merge.kinds import COPY, SHARE, Role
from moot_protocol.requests.issues import Delete, InitProject, ListIssues
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.shares import Share, Shares, Unshare
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.towns.documents import SHARED, share, towns_sharing
from moot_testkit.towns.engine import PROJECT, Desk, imported
from mootd.engine.editor import Editor
from mootd.engine.exchange.receive import receive
from mootd.engine.issues.copies import ACTOR
from mootd.engine.issues.shares import Entries
from mootd.engine.membership.charter_writing import adopt_plane, certify, enter_plane
from mootd.engine.membership.removing import retire
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.state import TOWN_KEY
from mootd.engine.stored import layout
from mootd.service import following
from mootd.service.following import Following
from mootd.store.port import Table


class Jobs:
    """Carries out a writer's jobs at once, and counts them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.count = 0

    def submit(self, work: Any) -> "Future[Any]":
        self.count += 1
        done: Future[Any] = Future()
        with self.desk.replica.transaction() as unit:
            done.set_result(work(unit))
        return done


@pytest.fixture
def desk() -> Desk:
    made = towns_sharing("ada", "bea")[0]
    made.do(InitProject(actor="alice", prefix=PROJECT))
    made.create("mt-one")
    return made


def state(desk: Desk) -> str:
    return str(desk.ask(Shares())[0]["copies"][0]["state"])


def rounds(follower: Following) -> None:
    while follower.round():
        pass


def caught_up(desk: Desk) -> tuple[Jobs, Following]:
    """What follows a machine's shares, with nothing left to do; and the jobs that it submits."""
    jobs = Jobs(desk)
    follower = Following(desk.replica, jobs.submit)
    rounds(follower)
    return jobs, follower


def test_where_nothing_is_shared_nothing_is_looked_at(desk: Desk) -> None:
    jobs = Jobs(desk)
    assert not Following(desk.replica, jobs.submit).round()
    assert jobs.count == 0


def test_a_change_is_followed_once(desk: Desk) -> None:
    desk.do(Share(actor="alice", id="mt-one", to=SHARED))
    jobs, follower = caught_up(desk)
    before = jobs.count
    desk.update("mt-one", title="Two")
    assert state(desk) == "behind"
    rounds(follower)
    assert (state(desk), jobs.count) == ("in_step", before + 1)
    rounds(follower)
    assert jobs.count == before + 1


def test_what_happened_while_no_daemon_ran_is_followed_by_the_next(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AT_ONCE", 2)
    desk.do(Share(actor="alice", project=PROJECT, to=SHARED))
    for number in range(5):
        desk.create(f"mt-{number}")
    rounds(Following(desk.replica, Jobs(desk).submit))
    assert len(desk.ask(Shares())[0]["copies"]) == 6


def test_what_comes_to_a_copied_machine_is_followed_as_soon_as_it_may_write_again(desk: Desk) -> None:
    desk.do(Share(actor="alice", id="mt-one", to=SHARED))
    rounds(Following(desk.replica, Jobs(desk).submit))
    desk.update("mt-one", title="Two")
    with desk.replica.transaction() as unit:
        unit.transaction.put(Table.META, layout.COPIED, b"")
    follower = Following(desk.replica, Jobs(desk).submit)
    rounds(follower)
    assert state(desk) == "behind"
    with desk.replica.transaction() as unit:
        unit.transaction.delete(Table.META, layout.COPIED)
    rounds(follower)
    assert state(desk) == "in_step"


def test_what_a_cut_takes_back_is_followed_though_no_event_says_so(desk: Desk) -> None:
    desk.do(Share(actor="alice", id="mt-one", to=SHARED))
    follower = Following(desk.replica, Jobs(desk).submit)
    rounds(follower)
    desk.update("mt-one", title="Two")
    follower._seen = desk.replica.arrival
    rounds(follower)
    assert state(desk) == "behind"
    desk.replica.cuts += 1
    rounds(follower)
    assert state(desk) == "in_step"


class Both:
    """An issue that two shares let out, of which this machine follows the second and another one of its town the first.

    Args:
        desk: this machine.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        desk.update("mt-one", add_labels=("api",))
        self.first = desk.do(Share(actor="alice", id="mt-one", to=SHARED))["share"]
        desk.do(Share(actor="alice", label="api", to=SHARED))
        self.other = Desk("other", desk.clock).join(desk)
        row, town = desk.replica.plane_named(SHARED), desk.replica.signer(TOWN_KEY)
        with self.other.replica.transaction() as unit:
            number = adopt_plane(unit, row.id, PlaneKind(row.kind), SHARED, row.town)
            for batch in desk.batches(SHARED):
                receive(unit, batch)
            enter_plane(unit, number, certify(town, row.id, unit.replica.id, self.other.keys, Role.WRITER))
            editor = Editor(unit, unit.replica.ledger.number, SHARE, self.first, "bob")
            editor.set("follower", unit.replica.id)
            editor.save()
        self.hears()
        self.follower = Following(desk.replica, Jobs(desk).submit)
        rounds(self.follower)

    def hears(self, *planes: str) -> None:
        """This machine receives what the other one has written, plane by plane."""
        for plane in planes or ("ledger", SHARED):
            self.desk.receive(self.other.batches(plane))

    def standing(self) -> list[str]:
        """The titles of all that stands on the shared plane."""
        return [issue["title"] for issue in self.desk.ask(ListIssues(filter=Filter(projects=("shared",)))).issues]


@pytest.mark.parametrize("order", [("ledger", SHARED), (SHARED, "ledger")])
def test_a_copy_that_another_machine_withdraws_without_sight_of_this_one_s_share_is_made_anew(
    order: tuple[str, str], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = Both(desk)
    assert both.standing() == ["Title of mt-one"]
    with monkeypatch.context() as patched:  # as a release does it that holds every copy by one share alone
        patched.setattr(Entries, "standing", lambda entries, original: [])
        assert both.other.do(Unshare(actor="bob", id=both.first))["withdrawn"] == 1
    for plane in order:
        both.hears(plane)
        rounds(both.follower)
    assert (both.standing(), state(desk)) == (["Title of mt-one"], "in_step")


def test_a_copy_that_another_machine_s_share_holds_no_more_follows_by_this_one_s_though_its_source_is_the_same(
    desk: Desk,
) -> None:
    both = Both(desk)
    desk.update("mt-one", title="Two")
    rounds(both.follower)
    assert both.standing() == ["Title of mt-one"]  # it is the other machine's to bring into step
    with both.other.replica.transaction() as unit:
        editor = Editor(unit, unit.replica.ledger.number, COPY, f"{both.first}/mt-one", ACTOR)
        editor.set("issue", "")
        editor.save()
    both.hears()
    rounds(both.follower)
    assert both.standing() == ["Two"]


def test_what_another_town_deletes_or_withdraws_on_the_plane_of_the_copies_wakes_nobody() -> None:
    desk, bea = towns_sharing("ada", "bea")
    for each, name in ((desk, "mt-one"), (bea, "mt-two")):
        each.do(InitProject(actor="alice", prefix=PROJECT))
        each.create(name)
    copy = desk.do(Share(actor="alice", id="mt-one", to=SHARED))["copies"][0]["copy"]
    jobs, follower = caught_up(desk)
    before = jobs.count
    share(desk, bea)
    bea.do(Delete(actor="bob", id=copy))
    bea.do(Share(actor="bob", id="mt-two", to=SHARED))
    bea.do(Unshare(actor="bob", id="mt-two"))
    share(desk, bea)
    rounds(follower)
    assert jobs.count == before


def test_what_this_machine_itself_notes_and_withdraws_is_not_looked_at_again(desk: Desk) -> None:
    desk.do(Share(actor="alice", label="api", to=SHARED))
    jobs, follower = caught_up(desk)
    before = jobs.count
    desk.update("mt-one", add_labels=("api",))
    rounds(follower)
    assert (state(desk), jobs.count) == ("in_step", before + 1)
    desk.update("mt-one", remove_labels=("api",))
    rounds(follower)
    rounds(follower)
    assert (desk.ask(Shares())[0]["copies"], jobs.count) == ([], before + 2)


def test_beside_an_issue_that_can_t_be_copied_others_are_followed_once_and_withdrawn(desk: Desk) -> None:
    desk.update("mt-one", add_labels=("api",))
    desk.do(Share(actor="alice", label="api", to=SHARED))
    jobs, follower = caught_up(desk)
    imported(desk, {"id": "mt-" + "x" * 180, "title": "Long", "labels": ["api"]})
    desk.update("mt-one", remove_labels=("api",))
    before = jobs.count
    rounds(follower)
    rounds(follower)
    (told,) = desk.ask(Shares())
    assert (told["copies"], len(told["uncopied"]), jobs.count) == ([], 1, before + 1)
    rounds(Following(desk.replica, jobs.submit))
    assert jobs.count == before + 1


def test_its_thread_works_when_woken_and_ends_when_told(desk: Desk) -> None:
    desk.do(Share(actor="alice", id="mt-one", to=SHARED))
    jobs = Jobs(desk)
    desk.update("mt-one", title="Two")
    follower = Following(desk.replica, jobs.submit, pause_s=0)
    follower.start()
    follower.happened()
    while state(desk) == "behind":
        pass
    follower.stop()
    assert state(desk) == "in_step"


def test_under_a_new_key_the_daemon_takes_over_once_what_it_followed_though_nothing_changes(desk: Desk) -> None:
    desk.do(Share(actor="alice", id="mt-one", to=SHARED))
    jobs, follower = caught_up(desk)
    before = jobs.count
    with desk.replica.transaction() as unit:
        rotate_town(unit)
    assert not desk.ask(Shares())[0]["is_here"]
    rounds(follower)
    rounds(follower)
    assert (desk.ask(Shares())[0]["is_here"], jobs.count) == (True, before + 1)
    desk.update("mt-one", title="Two")
    rounds(follower)
    assert (state(desk), jobs.count) == ("in_step", before + 2)


def test_a_share_that_another_machine_can_t_follow_any_more_wakes_nobody_in_vain(desk: Desk) -> None:
    made = desk.do(Share(actor="alice", id="mt-one", to=SHARED))
    other = Desk("other", desk.clock).join(desk)
    desk.receive(other.batches())
    with desk.replica.transaction() as unit:
        editor = Editor(unit, desk.replica.ledger.number, "share", made["share"], "bob")
        editor.set("follower", other.replica.id)
        editor.save()
        unit.seal()
        retire(unit, desk.replica.ledger, other.replica.id)
    desk.update("mt-one", title="Two")
    jobs = Jobs(desk)
    rounds(Following(desk.replica, jobs.submit))
    assert (state(desk), jobs.count) == ("behind", 0)

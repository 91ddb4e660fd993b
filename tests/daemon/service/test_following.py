"""The daemon follows what it shares after commits, and after it was down."""

from concurrent.futures import Future
from typing import Any

import pytest

from moot_protocol.requests import InitProject
from moot_protocol.share_requests import Share, Shares
from moot_testkit.documents import SHARED, towns_sharing
from moot_testkit.engine import PROJECT, Desk
from mootd.engine import layout
from mootd.engine.editor import Editor
from mootd.engine.removing import retire
from mootd.engine.rotating import rotate_town
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


def test_where_nothing_is_shared_nothing_is_looked_at(desk: Desk) -> None:
    jobs = Jobs(desk)
    assert not Following(desk.replica, jobs.submit).round()
    assert jobs.count == 0


def test_a_change_is_followed_once(desk: Desk) -> None:
    desk.do(Share(actor="alice", id="mt-one", to=SHARED))
    jobs = Jobs(desk)
    follower = Following(desk.replica, jobs.submit)
    rounds(follower)
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
    jobs = Jobs(desk)
    follower = Following(desk.replica, jobs.submit)
    rounds(follower)
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

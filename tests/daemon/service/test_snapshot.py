"""A snapshot answers from one moment: what is committed later doesn't show in it."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.exchange import CreatePlane, Invite, Join
from moot_protocol.requests.issues import Create, InitProject, IssueFields, ListIssues, Ready
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.machine import Events
from moot_protocol.requests.memories import Prime, Settings
from moot_protocol.requests.queries import Query
from moot_protocol.requests.transfer import Export
from moot_testkit.towns.carrying import send
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.planes import two_planes
from moot_testkit.towns.town import Api, Member, make_api
from mootd.engine.patience import Waiting
from mootd.service.reading.reads import READS
from mootd.service.snapshot import Snapshot


def test_what_is_committed_later_does_not_show() -> None:
    desk = Desk().found()
    desk.create("mt-1", "before")
    with desk.replica.read() as reader:
        snapshot = Snapshot(desk.replica, reader, 0)
        desk.update("mt-1", title="after")
        _, eid, _ = snapshot.issues.find("mt-1")
        assert snapshot.issues.full_document(eid, snapshot.issues.find("mt-1")[2])["title"] == "before"


def test_issues_are_those_of_every_plane_or_of_the_one_named() -> None:
    desk = two_planes()
    with desk.replica.read() as reader:
        snapshot = Snapshot(desk.replica, reader, 0)
        assert len(snapshot.issues.planes) > 1
        assert len(snapshot.issues_of("ledger").planes) == 1
        with pytest.raises(RefusedError) as refused:
            snapshot.issues_of("no such plane")
    assert refused.value.code is Code.NOT_FOUND


def test_a_feed_that_is_nowhere_is_damage_told_in_words() -> None:
    desk = Desk().found()
    with desk.replica.read() as reader, pytest.raises(Exception, match="feed 99 is missing"):
        Snapshot(desk.replica, reader, 0).feed(99)


def test_issues_of_a_plane_are_worked_on_where_no_ledger_is() -> None:
    one, two = make_api(), Api(Member("newcomer", 5))
    plane = bytes.fromhex(one.call(CreatePlane(actor="ada", name="common", kind="federation"))["plane"])
    two.call(Join(actor="bob", ticket=one.call(Invite(actor="ada", plane="common"))["ticket"]))
    send(one.member, two.member, plane)
    two.call(InitProject(actor="bob", prefix="co", plane="common"))
    made = two.call(Create(actor="bob", project="co", fields=IssueFields(title="here")))
    assert [each["id"] for each in two.call(ListIssues()).issues] == [made["id"]]
    assert [each["id"] for each in two.call(ListIssues(filter=Filter(plane="common"))).issues] == [made["id"]]
    assert [each["id"] for each in two.call(Ready()).issues] == [made["id"]]
    assert made["id"] in str(two.call(Prime(project="co", actor="bob")))
    assert two.call(Settings(project="co")) == []
    taken = two.call(ClaimReady(actor="bob", filter=Filter(projects=("co",))))
    assert taken is not None


def test_whatever_is_looked_for_in_it_ends_once_nobody_waits() -> None:
    desk = Desk().found()
    desk.create("mt-1")
    waiting = Waiting()
    with desk.replica.read() as reader:
        snapshot = Snapshot(desk.replica, reader, 0, waiting.check)
        assert len(READS[ListIssues](snapshot, ListIssues()).issues) == 1
        assert READS[Export](snapshot, Export())["lines"]
        waiting.leave()
        for request in (ListIssues(), Export(), Query(text="title=x"), Events(since=0)):
            with pytest.raises(RefusedError) as refused:
                READS[type(request)](snapshot, request)
            assert refused.value.code is Code.CANCELLED

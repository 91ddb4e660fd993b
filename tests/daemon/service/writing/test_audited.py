"""Administering and deleting leave records, in the same transaction; nothing else does, and no secret is told."""

from typing import Any

import pytest

from moot_protocol.errors import RefusedError
from moot_protocol.requests.audit import ListAudit
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.exchange import AddRemote, CreatePlane, Invite, RemoveRemote
from moot_protocol.requests.issues import Create, Delete, InitTown, IssueFields, Script, Undelete
from moot_protocol.requests.membership import CreateTown, RotatePlaneKey, RotateTownKey
from moot_protocol.requests.methods import REQUESTS
from moot_testkit.towns.carrying import newcomer
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.town import PROJECT, Api, make_api
from mootd.service.writing.audited import AFTERWARDS, DELETIONS, EVENT_TYPES
from mootd.service.writing.exchange import EXCHANGE_WRITES
from mootd.service.writing.membership import MEMBERSHIP_WRITES
from mootd.service.writing.remotes import REMOTE_WRITES


@pytest.fixture
def api() -> Api:
    return make_api()


def create(api: Api, name: str) -> None:
    api.call(Create(actor="ada", project=PROJECT, id=name, fields=IssueFields(title=name)))


def told(api: Api) -> list[tuple[str, str, str]]:
    records = api.call(ListAudit())["records"]
    return [(each["event_type"], each["actor"], each["resource"]) for each in reversed(records)]


def test_administering_leaves_records(api: Api) -> None:
    api.call(CreatePlane(actor="ada", name="shared", kind="federation"))
    api.call(AddRemote(actor="ada", kind="git", url="https://ada@example.org/moot.git", name="origin"))
    api.call(Invite(actor="ada/claude", plane="shared"))
    api.call(RotatePlaneKey(actor="ada", plane="shared"))
    assert told(api) == [
        ("plane_created", "ada", "shared"),
        ("remote_added", "ada", "origin"),
        ("invite_created", "ada/claude", "shared"),
        ("key_rotated", "ada", "shared"),
    ]


def test_naming_the_town_that_is_here_is_recorded_as_naming(api: Api) -> None:
    api.call(CreateTown(actor="ada", name="Adaville"))
    assert told(api) == [("town_named", "ada", "Adaville")]


def test_a_town_that_is_here_is_not_recorded_as_made_anew(api: Api) -> None:
    assert api.call(InitTown())["created"] is False
    assert told(api) == []
    newcomers = Api(newcomer())
    newcomers.call(InitTown())
    assert [event_type for event_type, _, _ in told(newcomers)] == ["town_created"]


def test_no_secret_stands_in_a_record(api: Api) -> None:
    with pytest.raises(RefusedError):
        api.call(AddRemote(actor="ada", kind="git", url="https://ada:hunter2@example.org/moot.git"))
    api.call(Invite(actor="ada"))
    records = str(api.call(ListAudit()))
    assert "hunter2" not in records
    assert "moot1" not in records


def test_deleting_leaves_a_record_alone_and_as_a_step(api: Api) -> None:
    for name in ("demo-1", "demo-2"):
        create(api, name)
    api.call(Delete(actor="ada", id="demo-1"))
    steps = ({"method": "delete", "params": {"id": "demo-2"}}, {"method": "undelete", "params": {"id": "demo-1"}})
    api.call(Script(actor="bob", steps=steps))
    api.call(Undelete(actor="ada", id="demo-2", dry_run=True))
    assert told(api) == [("deleted", "ada", "demo-1"), ("deleted", "bob", "demo-2"), ("undeleted", "bob", "demo-1")]


def test_what_was_refused_was_not_done_and_leaves_no_record(api: Api) -> None:
    with pytest.raises(RefusedError):
        api.call(RemoveRemote(actor="ada", name="nowhere"))
    assert told(api) == []


def test_what_is_only_tried_leaves_no_record(api: Api) -> None:
    api.call(CreatePlane(actor="ada", name="shared", kind="federation", dry_run=True))
    assert told(api) == []


def test_a_change_of_this_machines_key_is_recorded_under_the_new_one(api: Api) -> None:
    api.call(RotateTownKey(actor="ada"))
    assert told(api) == [("key_rotated", "ada", "")]


def test_writing_issues_leaves_no_record_and_costs_no_event() -> None:
    desk = Desk().found()
    operational = desk.replica.own_feed(desk.replica.plane_named("operational").number)
    before = desk.replica.feeds[operational].n
    desk.create("mt-1")
    desk.update("mt-1", status="in_progress")
    assert desk.replica.feeds[operational].n == before


def test_every_operation_on_planes_and_members_is_listed() -> None:
    administering: set[Any] = {*REMOTE_WRITES, *EXCHANGE_WRITES, *MEMBERSHIP_WRITES}
    assert administering <= set(EVENT_TYPES)
    assert set(EVENT_TYPES) | set(DELETIONS) <= set(REQUESTS.values())
    assert all(issubclass(each, Mutation) for each in AFTERWARDS)

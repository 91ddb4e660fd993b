"""What is told of shares."""

import json

from moot_protocol.errors import Code
from moot_protocol.ids import key_text
from moot_protocol.requests.exchange import CreatePlane
from moot_protocol.requests.issues import Create, InitProject, IssueFields, Show, Update
from moot_protocol.requests.machine import Doctor, Status
from moot_protocol.requests.membership import RetireReplica, RotateTownKey
from moot_protocol.requests.shares import FollowShare, Share, Shares, Unshare
from moot_protocol.requests.transfer import Import
from moot_testkit.refusals import refusal
from moot_testkit.towns.carrying import joined
from moot_testkit.towns.documents import SHARED, towns_sharing
from moot_testkit.towns.engine import PROJECT
from moot_testkit.towns.federating import federation, machine, machine_ticket, meet
from moot_testkit.towns.town import Api, make_api
from mootd.service.sharing import SHARE_READS, SHARE_WRITES
from mootd.store.port import Table


def test_a_share_is_told_with_what_goes_where_and_who_follows() -> None:
    ada = towns_sharing("ada", "bea")[0]
    ada.do(InitProject(actor="alice", prefix=PROJECT))
    for name in ("mt-one", "mt-two"):
        ada.create(name, labels=("api",))
    made = ada.do(Share(actor="alice", label="api", project=PROJECT, to=SHARED, fields=("title",)))
    assert made | {"copies": [], "share": ""} == {
        "share": "", "what": "label", "value": "api", "project": PROJECT, "from": "ledger", "to": SHARED,
        "prefix": "shared", "fields": ["title"], "rule": "title", "follower": key_text(ada.replica.id),
        "is_here": True, "ended": False, "copies": [], "uncopied": [],
    }  # fmt: skip
    assert [copy["source"] for copy in made["copies"]] == ["mt-one", "mt-two"]
    assert ada.ask(Shares()) == [made]
    assert [each["source"] for each in ada.ask(Shares(id="mt-one"))[0]["copies"]] == ["mt-one"]
    assert ada.do(Unshare(actor="alice", id=made["share"]))["withdrawn"] == 2
    assert ada.ask(Shares()) == []
    assert set(SHARE_READS) | set(SHARE_WRITES) >= {Share, Shares, Unshare}


def test_a_trial_shares_nothing() -> None:
    ada = towns_sharing("ada", "bea")[0]
    ada.do(InitProject(actor="alice", prefix=PROJECT))
    ada.create("mt-one")
    before = ada.rows(Table.EVENTS)
    assert len(ada.do(Share(actor="alice", id="mt-one", to=SHARED, dry_run=True))["copies"]) == 1
    assert (ada.rows(Table.EVENTS), ada.ask(Shares())) == (before, [])


def test_where_no_plane_is_named_the_planes_are_that_it_can_go_to() -> None:
    ada = towns_sharing("ada", "bea")[0]
    ada.do(InitProject(actor="alice", prefix=PROJECT))
    ada.create("mt-one")
    refused = refusal(lambda: ada.do(Share(actor="alice", id="mt-one")))
    assert (refused.code, refused.message) == (Code.USAGE, "share to which plane? name it with --to")
    assert refused.hint == f"planes here: {SHARED}"
    alone = make_api()
    refused = refusal(lambda: alone.call(Share(actor="ada", label="api")))
    assert (refused.code, "moot help plane create" in refused.hint) == (Code.USAGE, True)


# -- Where nobody follows any more -------------------------------------------------------------------------------
def told(api: Api) -> tuple[list[str], list[bool]]:
    """The hints of alarms about shares, and whether doctor's checks of them are well."""
    alarms = [each["hint"] for each in api.call(Status())["alarms"] if each["code"] == "share_orphaned"]
    return alarms, [each["ok"] for each in api.call(Doctor()) if "share's copies" in each["check"]]


class World:
    """A founder and a further machine of its town, on a ledger and a plane that the founder shares an issue to."""

    def __init__(self) -> None:
        plane, (self.one,) = federation()
        self.further = machine(self.one, plane)
        self.api, self.there = Api(self.one), Api(self.further)
        shared = self.api.call(CreatePlane(actor="ada", name=SHARED, kind="federation"))["plane"]
        self.planes = (plane, bytes.fromhex(shared))
        joined(self.further, machine_ticket(self.one, self.planes[1]).ticket)
        self.api.call(InitProject(actor="ada", prefix=PROJECT))
        made = self.api.call(Create(actor="ada", project=PROJECT, fields=IssueFields(title="One"), labels=("api",)))
        self.name = made["id"]
        self.share = self.api.call(Share(actor="ada", id=self.name, to=SHARED))["share"]
        self.meet()

    def meet(self) -> None:
        for plane in self.planes:
            meet(plane, self.one, self.further)


def test_a_share_that_nobody_can_follow_any_more_is_told_with_what_to_type() -> None:
    world = World()
    api = world.api
    assert told(api) == ([], [True])
    world.there.call(FollowShare(actor="bob", share=world.share))
    world.meet()
    assert told(api) == ([], [True])
    api.call(RetireReplica(actor="ada", replica=key_text(world.further.id)))
    (hint,), checks = told(api)
    assert (f"`moot share follow {world.share}`" in hint, checks) == (True, [False])
    api.call(FollowShare(actor="ada", share=world.share))
    assert told(api) == ([], [True])
    api.call(RotateTownKey(actor="ada"))
    assert told(api) == ([], [True])  # it takes over by itself


def test_doctor_names_some_of_what_can_t_be_copied_and_the_list_all() -> None:
    world = World()
    long = [f"{PROJECT}-{'x' * 170}{number:09}" for number in range(5)]
    lines = [{"id": name, "title": "Long", "labels": ["web"]} for name in long]
    world.api.call(Import(actor="ada", project=PROJECT, lines=tuple(json.dumps(line).encode() for line in lines)))
    tried = world.api.call(Share(actor="ada", label="web", to=SHARED, dry_run=True))
    assert [each["source"] for each in tried["uncopied"]] == long
    assert told(world.api) == ([], [True])
    made = world.api.call(Share(actor="ada", label="web", to=SHARED))
    assert [each["source"] for each in made["uncopied"]] == long
    (listed,) = world.api.call(Shares(id=long[1]))
    assert (listed["share"], [each["source"] for each in listed["uncopied"]]) == (made["share"], [long[1]])
    (check,) = [each for each in world.api.call(Doctor()) if "share's copies" in each["check"]]
    assert not check["ok"]
    assert all(name in check["detail"] for name in long[:3])
    assert long[3] not in check["detail"]
    assert "its id has" in check["detail"]
    assert "2 more" in check["detail"]
    assert "moot share list" in check["hint"]


def test_what_can_t_be_copied_is_told_by_whoever_follows_and_as_long_as_it_is_shared() -> None:
    world = World()
    name = f"{PROJECT}-{'x' * 180}"
    line = {"id": name, "title": "Long", "labels": ["web"]}
    world.api.call(Import(actor="ada", project=PROJECT, lines=(json.dumps(line).encode(),)))
    made = world.api.call(Share(actor="ada", label="web", to=SHARED))
    world.meet()

    def checks() -> list[tuple[list[bool], bool]]:
        """For either machine, whether doctor's check is well, and whether the list names the issue."""
        apis = (world.api, world.there)
        return [(told(api)[1], any(each["uncopied"] for each in api.call(Shares()))) for api in apis]

    assert checks() == [([False], True), ([True], False)]
    world.there.call(FollowShare(actor="bob", share=made["share"]))
    world.meet()
    assert checks() == [([True], False), ([False], True)]
    world.api.call(Unshare(actor="ada", label="web"))
    world.meet()
    assert checks() == [([True], False), ([True], False)]


def test_where_nothing_is_shared_doctor_says_nothing_of_it() -> None:
    assert told(make_api()) == ([], [])


def test_a_machine_that_joined_again_takes_back_what_the_town_wrote_under_its_former_key() -> None:
    world = World()
    there = world.there
    world.api.call(RotateTownKey(actor="ada"))
    world.meet()
    for plane in world.planes:
        joined(world.further, machine_ticket(world.one, plane).ticket)
    world.meet()
    there.call(Update(actor="bob", id=world.name, remove_labels=("api",)))
    (copy,) = there.call(Shares())[0]["copies"]
    assert (copy["state"], copy["suggestions"]) == ("behind", [])
    there.call(FollowShare(actor="bob", share=world.share))
    (copy,) = there.call(Shares())[0]["copies"]
    assert copy["state"] == "in_step"
    (shown,) = there.call(Show(ids=(copy["copy"],)))
    assert not shown.get("labels")

"""Requests about towns, members and replicas that read: what they say of whom, and in which order."""

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MootError
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.membership import Members, OwnTown, Replicas, Towns
from moot_testkit.bytes.feeds import seed
from moot_testkit.towns.carrying import founder, joined, newcomer, plane_of
from moot_testkit.towns.federating import bring, federation, machine, machine_ticket, meet, town_key
from moot_testkit.towns.town import START_MS, Api, Member
from mootd.engine.machine.members import note_in_step
from mootd.engine.membership.towns import name_town
from mootd.engine.recovery.recovering import recover
from mootd.engine.versions import tell_version
from mootd.version import VERSION


@pytest.fixture(scope="module")
def shared() -> tuple[bytes, list[Member]]:
    """A founder, an admin's town with two machines, and a reader's."""
    plane, (one, two, three) = federation(Role.ADMIN, Role.READER)
    further = machine(two, plane, one, three)
    number = plane_of(one, plane).number
    one.commit(lambda unit: note_in_step(unit, number, two.id))
    return plane, [one, two, three, further]


def test_towns_are_told_by_depth_with_role_admitter_and_machines(shared: tuple[bytes, list[Member]]) -> None:
    plane, (one, two, three, _) = shared
    told = Api(one).call(Towns(plane=plane.hex()))
    assert [(town["depth"], town["role"], town["replicas"], town["is_own"]) for town in told][:1] == [
        (1, "admin", 1, True)
    ]
    by_key = {town["town"]: town for town in told}
    assert by_key.keys() == {key_text(town_key(each)) for each in (one, two, three)}
    assert by_key[key_text(town_key(two))] | {"name": "", "town_name": ""} == {
        "plane": "ledger", "town": key_text(town_key(two)), "name": "", "town_name": "", "role": "admin", "depth": 2,
        "admitted_by": key_text(town_key(one)), "state": "ok", "is_own": False, "replicas": 2, "names": [],
    }  # fmt: skip
    assert by_key[key_text(town_key(three))]["role"] == "reader"


def test_all_planes_are_told_where_none_is_named(shared: tuple[bytes, list[Member]]) -> None:
    one = shared[1][0]
    assert {town["plane"] for town in Api(one).call(Towns())} == {"ledger", "operational"}
    assert {replica["plane"] for replica in Api(one).call(Replicas())} == {"ledger", "operational"}


def test_a_plane_s_members_stand_under_their_towns(shared: tuple[bytes, list[Member]]) -> None:
    plane, (one, two, three, further) = shared
    told = Api(two).call(Members(plane=plane.hex()))
    assert told["id"] == plane.hex()
    assert len(told["epoch"]) == 16
    members = {town["town"]: {each["replica"] for each in town["members"]} for town in told["towns"]}
    assert members == {
        key_text(town_key(one)): {key_text(one.id)},
        key_text(town_key(two)): {key_text(two.id), key_text(further.id)},
        key_text(town_key(three)): {key_text(three.id)},
    }


def test_a_replica_is_told_with_what_is_known_of_it_here(shared: tuple[bytes, list[Member]]) -> None:
    plane, (one, two, _, _) = shared
    told = {each["replica"]: each for each in Api(one).call(Replicas(plane=plane.hex()))}
    here, other = told[key_text(one.id)], told[key_text(two.id)]
    assert (here["is_here"], here["version"], here["state"]) == (True, VERSION, "ok")
    assert (other["is_here"], other["version"], other["town"]) == (False, "", key_text(town_key(two)))
    assert other["last_seen_ms"] == START_MS
    assert (other["n"], other["in_step_ms"]) == (1, START_MS)


def test_a_replica_s_version_is_what_it_says_itself() -> None:
    plane, (one, two) = federation(Role.WRITER)
    tell_version(two.replica, plane_of(two, plane).number, two.commit, "9.9")
    bring(two, one, plane)
    told = {each["replica"]: each["version"] for each in Api(one).call(Replicas(plane=plane.hex()))}
    assert told[key_text(two.id)] == "9.9"


def test_the_own_town_is_told_by_each_of_its_machines(shared: tuple[bytes, list[Member]]) -> None:
    plane, (_, two, _, further) = shared
    at_home = Api(two).call(OwnTown())
    assert (at_home["town"], at_home["is_here"]) == (key_text(town_key(two)), True)
    assert {each["kind"] for each in at_home["planes"]} == {"ledger", "operational"}
    away = Api(further).call(OwnTown())
    assert (away["town"], away["is_here"]) == (key_text(town_key(two)), False)
    assert [(each["id"], each["role"], each["replicas"]) for each in away["planes"]] == [(plane.hex(), "admin", 2)]


def test_a_machine_is_told_as_which_town_it_is_on_each_plane() -> None:
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    joined(two, machine_ticket(one, plane).ticket)
    told = Api(two).call(OwnTown())
    assert (told["town"], told["is_here"]) == (key_text(town_key(two)), True)
    assert len(told["planes"]) == 3
    assert {(each["town"], each["is_here"]) for each in told["planes"] if each["id"] != plane.hex()} == {
        (key_text(town_key(two)), True)
    }
    (waiting,) = (each for each in told["planes"] if each["id"] == plane.hex())
    assert (waiting["town"], waiting["is_here"], waiting["state"]) == (key_text(town_key(one)), False, "waiting")
    meet(plane, one, two)
    one.commit(lambda unit: name_town(unit, plane_of(one, plane), "hill"))
    meet(plane, one, two)
    (there,) = (each for each in Api(two).call(OwnTown())["planes"] if each["id"] == plane.hex())
    (listed,) = Api(two).call(Towns(plane=plane.hex()))
    shared = ("town", "town_name", "role", "state", "replicas")
    assert [there[name] for name in shared] == [listed[name] for name in shared]
    assert (there["town_name"], there["replicas"]) == ("hill", 2)


def test_a_machine_without_a_town_says_so() -> None:
    with pytest.raises(MootError) as raised:
        Api(newcomer()).call(OwnTown())
    assert raised.value.code is Code.NOT_READY


def test_a_recovery_key_is_told_of_once_it_has_acted() -> None:
    plane, (one, two) = federation(Role.WRITER)
    assert min(town["depth"] for town in Api(two).call(Towns(plane=plane.hex()))) == 1
    paper = SeedSigner(seed("town 0 recovery"))
    one.commit(lambda unit: recover(unit, plane_of(one, plane), paper))
    meet(plane, one, two)
    told = Api(two).call(Towns(plane=plane.hex()))
    assert (told[0]["town"], told[0]["depth"], told[0]["name"]) == (key_text(paper.public), 0, "recovery")
    assert [town["state"] for town in told if town["town"] == key_text(town_key(two))] == ["ok"]

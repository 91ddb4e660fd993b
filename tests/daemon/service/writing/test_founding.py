"""Founding a town: once, and its recovery words are said once and kept nowhere."""

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import RefusedError
from moot_protocol.requests.exchange import CreatePlane, Invite, Join, Planes
from moot_protocol.requests.issues import InitProject, InitTown
from moot_protocol.requests.machine import Status
from moot_protocol.requests.membership import InviteTown, OwnTown
from moot_testkit.towns.town import PROJECT, Api, Member, make_api
from mootd.edges.recovery import recovery_seed
from mootd.service.writing.founding import found
from mootd.store.port import Table


def rows(member: Member) -> list[bytes]:
    """Every key and value that the member keeps."""
    with member.store.read() as reader:
        return [part for table in Table for row in reader.scan(table, b"\0") for part in row]


def test_the_answer_names_the_town_its_replica_and_its_planes() -> None:
    api = Api(Member("first", 0))
    answer = api.call(InitTown())
    status = api.call(Status())
    assert answer["created"]
    assert (answer["town"], answer["replica"]) == (status["town"]["key"], status["replica"])
    assert answer["planes"] == [{"name": plane["name"], "plane": plane["plane"]} for plane in status["planes"]]
    assert "ledger" in {plane["name"] for plane in answer["planes"]}


def test_a_town_is_founded_once_and_its_words_are_said_once() -> None:
    api = Api(Member("first", 0))
    first = api.call(InitTown())
    again = api.call(InitTown(name="another"))
    assert len(first["recovery_words"].split()) == 24
    assert again == first | {"created": False, "recovery_words": ""}


def test_of_two_that_found_in_one_transaction_one_does() -> None:
    member = Member("first", 0)
    one, two = member.commit(lambda unit: (found(unit, InitTown()), found(unit, InitTown())))
    assert (one["created"], two["created"]) == (True, False)
    assert two == one | {"created": False, "recovery_words": ""}


def test_the_words_are_kept_nowhere_and_the_key_they_stand_for_is_named_in_the_charter() -> None:
    member = Member("first", 0)
    words: str = Api(member).call(InitTown(), "key")["recovery_words"]
    seed = recovery_seed(words)
    kept = b"\n".join(rows(member))
    assert seed not in kept
    assert words.encode() not in kept
    assert SeedSigner(seed).public in kept


def test_a_town_outlives_a_restart() -> None:
    member = Member("first", 0)
    town = Api(member).call(InitTown())["town"]
    member.restart()
    again = Api(member).call(InitTown())
    assert (again["created"], again["town"]) == (False, town)


def test_two_machines_found_two_towns() -> None:
    one, two = (Api(Member(name, 0)).call(InitTown()) for name in ("one", "two"))
    assert one["town"] != two["town"]
    assert one["recovery_words"] != two["recovery_words"]


def test_a_project_can_be_opened_in_a_town_just_founded() -> None:
    api = Api(Member("first", 0))
    api.call(InitTown())
    assert api.call(InitProject(actor="ada", prefix="demo"))["created"]


# -- By joining ---------------------------------------------------------------------------------------------------
def test_a_machine_without_a_town_that_joins_as_one_is_where_it_is_founded_with_a_ledger() -> None:
    one, two = make_api(), Api(Member("newcomer", 5))
    one.call(CreatePlane(actor="ada", name="common", kind="federation"))
    ticket = one.call(InviteTown(actor="ada", plane="common"))["ticket"]
    joined = two.call(Join(actor="bob", ticket=ticket))
    assert [(each["name"], each["state"]) for each in two.call(Planes())] == [
        ("ledger", "ready"),
        ("operational", "ready"),
        ("common", "waiting"),
    ]
    assert joined["init_plane"] == "common"
    own = two.call(OwnTown())
    assert (joined["own_town"], own["is_here"]) == (own["town"], True)
    assert joined["own_town"] != joined["town"]
    assert two.call(InitProject(actor="bob", prefix=PROJECT))["created"]
    assert two.member.replica.ledger.town == two.member.replica.planes[3].town


def test_what_a_project_s_plane_has_to_be_named_by_is_told_of_all_but_the_first_ledger() -> None:
    one, two = make_api(), Api(Member("newcomer", 5))
    assert two.call(Join(actor="bob", ticket=one.call(Invite(actor="ada"))["ticket"]))["init_plane"] == ""
    third = Api(Member("third", 6))
    third.call(InitTown())
    joined = third.call(Join(actor="cat", ticket=one.call(InviteTown(actor="ada"))["ticket"]))
    assert joined["init_plane"] == joined["name"] != ""
    assert third.call(InitProject(actor="cat", prefix="own"))["created"]  # on its own ledger, without a name


def test_a_second_machine_gets_its_town_s_ledger_with_an_invite_and_founds_none() -> None:
    one, two = make_api(), Api(Member("newcomer", 5))
    one.call(CreatePlane(actor="ada", name="common", kind="federation"))
    two.call(Join(actor="bob", ticket=one.call(Invite(actor="ada", plane="common"))["ticket"]))
    assert [each["name"] for each in two.call(Planes())] == ["operational", "common"]
    with pytest.raises(RefusedError, match="no ledger") as raised:
        two.call(InitProject(actor="bob", prefix=PROJECT))
    assert "`moot invite`" in raised.value.hint
    two.call(Join(actor="bob", ticket=one.call(Invite(actor="ada"))["ticket"]))
    assert two.member.replica.ledger.id == one.member.replica.ledger.id

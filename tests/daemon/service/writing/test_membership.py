"""Requests that change who may read and write: what they answer, whom they mean, and what they refuse."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import pytest
from msgspec.structs import replace

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.exchange import CreatePlane, Invite, Invites, Join, ShowPlane, Sync
from moot_protocol.requests.membership import (
    CreateTown,
    InviteTown,
    OwnTown,
    Recover,
    RemoveTown,
    RetireReplica,
    RotatePlaneKey,
    RotateTownKey,
    Salvage,
    Towns,
)
from moot_protocol.time_units import DAY_MS
from moot_protocol.trust.ticket import TownTicket, decode_ticket
from moot_testkit.bytes.feeds import note
from moot_testkit.refusals import refusal, refusal_code
from moot_testkit.towns.carrying import founder, newcomer, plane_of, send
from moot_testkit.towns.federating import bring, copy_of, federation, feed, machine, meet, town_key, towns, write
from moot_testkit.towns.town import Api, Member, make_api
from mootd.engine.membership import epochs
from mootd.engine.membership.towns import keep_name
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.exchange.hub import Hub
from mootd.store.port import Table


def epoch(api: Api, plane: bytes) -> str:
    return str(api.call(ShowPlane(plane=plane.hex()))["epoch"])


# -- Towns -------------------------------------------------------------------------------------------------------
def test_a_town_is_made_with_a_name_that_others_read_on_every_plane_of_it() -> None:
    api = Api(newcomer())
    made = api.call(CreateTown(actor="ada", name="hill"))
    assert len(made["recovery_words"].split()) == 24
    assert {plane["name"] for plane in made["planes"]} == {"ledger", "operational"}
    api.call(CreatePlane(actor="ada", name="shared", kind="federation"))
    assert {town["name"] for town in api.call(Towns())} == {"hill"}
    for plane in api.member.replica.planes.values():
        assert towns(api.member, plane.id)[town_key(api.member)].name == "hill"
    assert api.call(OwnTown())["name"] == "hill"


def test_only_a_machine_whose_own_town_has_something_to_recover_gets_recovery_words() -> None:
    one, two, three = Api(founder("one")), Api(newcomer("machine")), Api(newcomer("guest"))
    ticket = one.call(Invite(actor="ada"))["ticket"]
    assert not two.call(Join(actor="bea", ticket=ticket))["recovery_words"]
    ticket = one.call(InviteTown(actor="ada"))["ticket"]
    assert len(three.call(Join(actor="gil", ticket=ticket))["recovery_words"].split()) == 24
    assert "recovery_words" not in three.call(CreatePlane(actor="gil", name="side"))
    words = two.call(CreatePlane(actor="bea", name="side"))["recovery_words"]
    assert len(words.split()) == 24
    assert "recovery_words" not in two.call(CreatePlane(actor="bea", name="further"))
    assert sorted(two.call(Recover(actor="bea", plane="side", words=words))["planes"]) == ["further", "side"]


def test_a_second_town_or_a_name_that_is_none_is_refused() -> None:
    api = Api(newcomer())
    assert refusal_code(lambda: api.call(CreateTown(actor="ada", name=""))) is Code.INVALID
    assert refusal_code(lambda: api.call(CreateTown(actor="ada", name="a\nb"))) is Code.INVALID
    api.call(CreateTown(actor="ada", name="hill"))
    assert refusal_code(lambda: api.call(CreateTown(actor="ada", name="river"))) is Code.EXISTS


def test_a_town_without_a_name_gets_one_later_that_others_read_on_what_it_founded() -> None:
    one, two = Api(founder("one")), Api(newcomer("machine"))
    planes = {plane.id.hex() for plane in one.member.replica.planes.values()}
    made = one.call(CreateTown(actor="ada", name="hill"))
    assert (made["created"], made["recovery_words"], made["town"]) == (False, "", one.call(OwnTown())["town"])
    assert {plane["plane"] for plane in made["planes"]} == planes
    assert one.call(OwnTown())["name"] == "hill"
    for plane in one.member.replica.planes.values():
        assert towns(one.member, plane.id)[town_key(one.member)].name == "hill"
    assert refusal_code(lambda: one.call(CreateTown(actor="ada", name="river"))) is Code.EXISTS
    two.call(Join(actor="bea", ticket=Api(founder("three")).call(Invite(actor="eve"))["ticket"]))
    assert refusal_code(lambda: two.call(CreateTown(actor="bea", name="river"))) is Code.DENIED


@pytest.mark.parametrize("role", ["writer", "admin"])
def test_a_town_that_joined_others_before_it_had_a_name_gets_one_later(role: str) -> None:
    one, two = Api(founder("one")), Api(newcomer("guest"))
    made = one.call(CreatePlane(actor="ada", name="shared", kind="federation"))
    two.call(Join(actor="gil", ticket=invited(one, plane="shared", role=role)["ticket"]))
    meet(bytes.fromhex(made["plane"]), one.member, two.member)
    assert towns(one.member, bytes.fromhex(made["plane"]))[town_key(two.member)].name == ""
    three = Api(machine(two.member, bytes.fromhex(made["plane"])))
    assert three.call(OwnTown())["name"] == ""
    named = two.call(CreateTown(actor="gil", name="river"))
    assert {plane["name"] for plane in named["planes"]} == {"ledger", "operational"}
    assert two.call(OwnTown())["name"] == "river"
    assert refusal_code(lambda: two.call(CreateTown(actor="gil", name="brook"))) is Code.EXISTS


def invited(api: Api, **parts: Any) -> dict[str, Any]:
    return api.call(InviteTown(actor="ada", **parts))


def test_a_town_is_invited_with_a_ticket_that_says_so_and_joins_with_it() -> None:
    one, two = Api(founder("one")), Api(founder("two"))
    plane = one.member.ledger.id
    made = invited(one, role="admin")
    ticket = decode_ticket(made["ticket"])
    assert isinstance(ticket, TownTicket)
    assert (ticket.role, made["role"]) == (Role.ADMIN, "admin")
    assert made["expires_ms"] == one.clock.now_ms() + DAY_MS
    joined = two.call(Join(actor="bob", ticket=made["ticket"]))
    assert (joined["is_for_town"], joined["role"], joined["state"]) == (True, "admin", "waiting")
    meet(plane, one.member, two.member)
    (invite,) = one.call(Invites())
    assert (invite["state"], invite["users"]) == ("closed", [key_text(town_key(two.member))])


def test_only_an_admin_s_own_machine_invites_towns_and_never_to_an_operational_plane() -> None:
    plane, (one, two) = federation(Role.WRITER)
    assert refusal_code(lambda: invited(Api(two), plane=plane.hex())) is Code.DENIED
    assert refusal_code(lambda: invited(Api(machine(one, plane)), plane=plane.hex())) is Code.DENIED
    assert refusal_code(lambda: invited(Api(one), plane="operational")) is Code.DENIED
    assert refusal_code(lambda: invited(Api(one), role="king")) is Code.INVALID
    assert refusal_code(lambda: invited(Api(one), plane="nowhere")) is Code.NOT_FOUND


def test_a_ticket_for_a_town_is_used_where_that_town_s_key_is_and_not_at_home() -> None:
    one, two = founder("one"), founder("two")
    further = machine(two, two.ledger.id)
    ticket = invited(Api(one))["ticket"]
    assert refusal_code(lambda: Api(further).call(Join(actor="bob", ticket=ticket))) is Code.DENIED
    assert refusal_code(lambda: Api(one).call(Join(actor="ada", ticket=ticket))) is Code.CONFLICT


def test_the_same_request_twice_makes_two_tickets_for_none_is_kept() -> None:
    api = Api(founder("one"))
    request = InviteTown(actor="ada")
    assert api.call(request, key="k")["ticket"] != api.call(request, key="k")["ticket"]


# -- Members -----------------------------------------------------------------------------------------------------
@pytest.fixture
def shared() -> tuple[bytes, Member, Member, Member]:
    """A founder's plane with a writer's town that has two machines."""
    plane, (one, two) = federation(Role.WRITER)
    return plane, one, two, machine(two, plane, one)


def test_a_town_is_removed_by_its_name_wherever_it_is(shared: tuple[bytes, Member, Member, Member]) -> None:
    plane, one, two, further = shared
    api = Api(one)
    before = epoch(api, plane)
    done = api.call(RemoveTown(actor="ada", town=key_text(town_key(two))[:8]))
    assert done["town"] == key_text(town_key(two))
    (removed,) = done["planes"]
    assert (removed["plane"], set(removed["replicas"])) == ("ledger", {key_text(two.id), key_text(further.id)})
    assert removed["epoch"] == epoch(api, plane) != before
    assert done["dropped"] == []
    with pytest.raises(RefusedError, match="there is no town nobody on plane"):
        api.call(RemoveTown(actor="ada", town="nobody"))
    send(one, two, plane)
    with pytest.raises(RefusedError, match=r"this replica can't write on plane .*: it was retired"):
        write(two, plane)
    again = RemoveTown(actor="ada", town=key_text(town_key(two)))
    assert refusal_code(lambda: api.call(again)) in {Code.CONFLICT, Code.NOT_FOUND}


def test_a_removal_that_is_only_tried_removes_nobody(shared: tuple[bytes, Member, Member, Member]) -> None:
    plane, one, two, _ = shared
    api = Api(one)
    before = epoch(api, plane)
    tried = api.call(RemoveTown(actor="ada", town=key_text(town_key(two)), dry_run=True))
    assert len(tried["planes"][0]["replicas"]) == 2
    assert epoch(api, plane) == before
    assert not towns(one, plane)[town_key(two)].ended


def write_ahead(member: Member, other: Member, planes: Sequence[bytes]) -> None:
    """Let a machine write on planes while its clock is days ahead, and bring that to another."""
    member.clock.advance(5 * DAY_MS)
    for plane in planes:
        number = plane_of(member, plane).number
        member.commit(partial(Unit.append, plane=number, draft=note("ahead")))
        bring(member, other, plane)


@pytest.fixture
def hurried() -> tuple[Api, Member, list[str]]:
    """A founder of two planes, a guest that writes ahead of the clock on both of them, and their names."""
    one, two = Api(founder("one")), Api(founder("two"))
    other = one.call(CreatePlane(actor="ada", name="other", kind="ledger"))["plane"]
    planes = [one.member.ledger.id, bytes.fromhex(other)]
    for plane in planes:
        two.call(Join(actor="bob", ticket=one.call(InviteTown(actor="ada", plane=plane.hex()))["ticket"]))
        meet(plane, one.member, two.member)
    write_ahead(two.member, one.member, planes)
    return one, two.member, ["ledger", "other"]


def test_what_a_removal_would_drop_is_told_of_all_planes_at_once(hurried: tuple[Api, Member, list[str]]) -> None:
    api, two, names = hurried
    town = key_text(town_key(two))
    for is_tried in (True, False):
        told = refusal(partial(api.call, RemoveTown(actor="ada", town=town, dry_run=is_tried)))
        assert told.code is Code.CONFLICT
        for name in names:
            assert f"1 batch waits on plane {name} for the clock" in told.message
    done = api.call(RemoveTown(actor="ada", town=town, drop=True))
    assert [plane["plane"] for plane in done["planes"]] == names
    assert [(each["plane"], each["branches"], each["waiting"]) for each in done["dropped"]] == [
        (name, [], 1) for name in names
    ]
    told = refusal(lambda: api.call(RemoveTown(actor="ada", town=town)))
    assert told.message == f"{town} is removed already"


def test_a_town_is_removed_where_it_is_still_a_member(hurried: tuple[Api, Member, list[str]]) -> None:
    api, two, _ = hurried
    town = key_text(town_key(two))
    for request, left in ((RemoveTown(actor="ada", town=town, plane="other", drop=True), "other"), (None, "ledger")):
        done = api.call(request or RemoveTown(actor="ada", town=town, drop=True))
        assert [plane["plane"] for plane in done["planes"]] == [left]


def test_what_the_end_of_a_machine_would_drop_is_told_of_all_planes_at_once() -> None:
    one, two = Api(founder("one")), Api(newcomer("machine"))
    one.call(CreatePlane(actor="ada", name="other", kind="ledger"))
    names = ["ledger", "other"]
    for name in names:
        ticket = one.call(Invite(actor="ada", plane=name))["ticket"]
        plane = decode_ticket(ticket).plane
        two.call(Join(actor="bea", ticket=ticket))
        meet(plane, one.member, two.member)
    write_ahead(two.member, one.member, [one.member.replica.plane_named(name).id for name in names])
    retire = RetireReplica(actor="ada", replica=key_text(two.member.id))
    told = refusal(lambda: one.call(retire))
    for name in names:
        assert f"1 batch waits on plane {name} for the clock" in told.message
    assert len(one.call(replace(retire, drop=True))["planes"]) == 2


def test_a_machine_is_retired_by_the_beginning_of_its_key(shared: tuple[bytes, Member, Member, Member]) -> None:
    plane, one, two, further = shared
    name = key_text(further.id)
    assert refusal_code(lambda: Api(one).call(RetireReplica(actor="ada", replica=name))) is Code.DENIED
    assert refusal_code(lambda: Api(two).call(RetireReplica(actor="ada", replica=name[:3]))) is Code.NOT_FOUND
    done = Api(two).call(RetireReplica(actor="ada", replica=name[:8]))
    ended = {"plane": plane_of(two, plane).name, "n": 1, "epoch": "", "no_epoch": "", "same_ticket": []}
    assert done == {"replica": name, "planes": [ended]}  # a writer's machine, which may begin no epoch
    assert feed(two, plane, further.id).ended


def test_machines_that_came_with_the_ticket_of_one_that_is_retired_are_answered() -> None:
    one, lost, other = Api(founder("one")), Api(newcomer("lost")), Api(newcomer("other"))
    plane, ticket = one.member.ledger.id, one.call(Invite(actor="ada"))["ticket"]
    for each in (lost, other):
        each.call(Join(actor="bea", ticket=ticket))
        meet(plane, one.member, each.member)
    (done,) = one.call(RetireReplica(actor="ada", replica=key_text(lost.member.id)))["planes"]
    assert done["same_ticket"] == [key_text(other.member.id)]
    assert (done["epoch"], done["no_epoch"]) == (epoch(one, plane), "")


def test_where_too_many_count_for_a_new_epoch_an_end_is_written_and_the_reason_answered(
    shared: tuple[bytes, Member, Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    plane, one, two, _ = shared
    lost = machine(one, plane, two, name="lost")
    monkeypatch.setattr(epochs, "EPOCH_RECIPIENTS", 0)
    (done,) = Api(one).call(RetireReplica(actor="ada", replica=key_text(lost.id)))["planes"]
    assert feed(one, plane, lost.id).ended
    assert done["epoch"] == ""
    assert "plane ledger can't have a new key" in done["no_epoch"]
    assert "`moot member remove` removes a town, its key given after --" in done["no_epoch"]
    (done,) = Api(one).call(RemoveTown(actor="ada", town=key_text(town_key(two))))["planes"]
    assert towns(one, plane)[town_key(two)].ended
    assert "`moot replica retire` ends a machine that isn't yours" in done["no_epoch"]


def test_a_plane_s_key_is_changed_by_an_admin(shared: tuple[bytes, Member, Member, Member]) -> None:
    plane, one, two, _ = shared
    before = epoch(Api(one), plane)
    made = Api(one).call(RotatePlaneKey(actor="ada", plane="ledger"))
    assert made["epoch"] == epoch(Api(one), plane) != before
    assert made["recipients"] >= 3
    assert refusal_code(lambda: Api(two).call(RotatePlaneKey(actor="bob", plane=plane.hex()))) is Code.DENIED


def test_a_town_s_new_key_is_answered_plane_by_plane(shared: tuple[bytes, Member, Member, Member]) -> None:
    _, one, two, _ = shared
    before = key_text(town_key(one))
    made = Api(one).call(RotateTownKey(actor="ada"))
    assert (made["before"], made["town"]) == (before, key_text(town_key(one)))
    assert {plane["plane"]: plane["state"] for plane in made["planes"]} == {"ledger": "rotated", "operational": "kept"}
    tried = Api(two).call(RotateTownKey(actor="bob", dry_run=True))
    assert key_text(town_key(two)) == tried["before"] != tried["town"]


# -- When things have gone wrong ---------------------------------------------------------------------------------
def test_a_plane_is_recovered_with_the_words_that_its_town_was_made_with() -> None:
    api = Api(newcomer())
    words = api.call(CreateTown(actor="ada", name="hill"))["recovery_words"]
    before = key_text(town_key(api.member))
    wrong = " ".join(["abandon"] * 23 + ["art"])
    assert refusal_code(lambda: api.call(Recover(actor="ada", words=wrong))) is Code.DENIED
    assert refusal_code(lambda: api.call(Recover(actor="ada", words="abandon"))) is Code.INVALID
    done = api.call(Recover(actor="ada", words=words.upper()))
    assert (done["plane"], set(done["planes"]), done["removed"]) == ("ledger", {"ledger", "operational"}, [before])
    assert done["town"] == key_text(town_key(api.member)) != before
    assert api.call(OwnTown())["name"] == "hill"


def test_a_machine_that_went_with_its_town_is_said_to_be_removed_already_and_not_to_be_another_town_s() -> None:
    api = Api(newcomer())
    words = api.call(CreateTown(actor="ada", name="hill"))["recovery_words"]
    old = key_text(api.member.id)
    api.call(Recover(actor="ada", words=words))
    refused = refusal(partial(api.call, RetireReplica(actor="ada", replica=old)))
    assert refused.code is Code.CONFLICT
    assert f"{old} is removed from plane ledger already" in refused.message
    assert "member remove" not in refused.hint


def test_where_no_town_is_members_are_not_looked_for() -> None:
    nobody = Api(Member("nobody", 1))
    for request in (RemoveTown(actor="a", town="hill"), RetireReplica(actor="a", replica="4Fht"), Salvage(actor="a")):
        assert refusal_code(partial(nobody.call, request)) is Code.NOT_READY, request


def test_what_is_on_none_of_several_planes_is_told_as_that() -> None:
    api = make_api()
    api.call(CreatePlane(actor="ada", name="shared", kind="federation"))
    for request, what in (
        (RemoveTown(actor="ada", town="hill"), "town hill"),
        (RetireReplica(actor="ada", replica="4Fht"), "replica 4Fht"),
    ):
        with pytest.raises(RefusedError, match=f"there is no {what} on any plane here") as raised:
            api.call(request)
        assert raised.value.hint


@pytest.mark.parametrize("is_copied", [True, False])
def test_a_salvage_tells_whether_two_machines_may_have_written_under_the_old_key(
    shared: tuple[bytes, Member, Member, Member], *, is_copied: bool
) -> None:
    plane, _, two, further = shared
    clone = copy_of(further)
    write(further, plane, "mine")
    if is_copied:
        write(clone, plane, "the clone's")
        bring(clone, further, plane)
    else:
        Api(two).call(RetireReplica(actor="ada", replica=key_text(further.id)))
        bring(two, further, plane)
    assert Api(further).call(Salvage(actor="ada"))["forked"] is is_copied


def test_a_copy_whose_original_is_in_use_is_not_told_how_to_end_that(
    shared: tuple[bytes, Member, Member, Member],
) -> None:
    clone = copy_of(shared[3])
    assert Api(clone).call(Salvage(actor="ada", copied=True))["forked"] is False
    clone = copy_of(shared[3])
    clone.commit(lambda unit: unit.transaction.put(Table.META, layout.COPIED, b""))  # as a start notices it
    done = Api(clone).call(Salvage(actor="ada"))
    assert (done["forked"], done["copied"]) == (False, True)


def test_a_salvage_tells_whether_the_town_s_key_is_given_up_and_who_needs_it_afterwards_hears_of_recover() -> None:
    one, further = founder("one"), Api(newcomer("machine"))
    further.call(Join(actor="bea", ticket=Api(one).call(Invite(actor="ada"))["ticket"]))
    api = Api(copy_of(one))
    assert api.call(Salvage(actor="ada", copied=True, dry_run=True))["disowned"] is True
    api.call(Invite(actor="ada"))  # nothing was given up by trying
    assert api.call(Salvage(actor="ada", copied=True))["disowned"] is True
    for request in (
        Invite(actor="ada"),
        RetireReplica(actor="ada", replica=key_text(one.id)),
        RotateTownKey(actor="ada"),
    ):
        refused = refusal(partial(api.call, request))
        assert (refused.code, "`moot recover`" in refused.hint) == (Code.DENIED, True)
    ticket = Api(founder("elsewhere")).call(InviteTown(actor="ada"))["ticket"]
    assert "`moot recover`" in refusal(partial(api.call, Join(actor="ada", ticket=ticket))).hint
    other = Api(copy_of(further.member))  # its own key is of the plane that never leaves it, and of no other
    assert other.call(Salvage(actor="ada", copied=True))["disowned"] is False
    assert "where the town was founded" in refusal(lambda: other.call(RotateTownKey(actor="ada"))).hint


def test_a_town_that_is_merely_called_by_its_key_can_still_be_given_a_name() -> None:
    api = Api(founder())
    town = town_key(api.member)
    api.member.commit(lambda unit: keep_name(unit, town, key_text(town)))
    assert api.call(CreateTown(actor="ada", name="hill"))["name"] == "hill"
    assert api.call(OwnTown())["name"] == "hill"
    assert towns(api.member, api.member.ledger.id)[town].name == "hill"


def test_nothing_is_salvaged_where_nothing_is_lost() -> None:
    assert refusal_code(lambda: Api(founder()).call(Salvage(actor="ada"))) is Code.CONFLICT


class _Remotes:
    """A hub that has exchanged with every remote, or couldn't with one."""

    def __init__(self, error: str) -> None:
        self.error = error
        self.renewed = 0

    def call(self, work: Callable[[], Any]) -> Any:
        return asyncio.run(work())

    async def sync(self, request: Sync) -> dict[str, Any]:
        assert request.wait_ms
        return {"done": True, "remotes": [{"remote": "origin", "error": self.error}]}

    def renew(self) -> None:
        self.renewed += 1

    def hurry(self) -> None:
        """Nothing waits."""


def test_remotes_are_read_before_a_recovery_and_one_that_can_t_be_stops_it() -> None:
    api = Api(newcomer())
    words = api.call(CreateTown(actor="ada", name="hill"))["recovery_words"]
    before = town_key(api.member)
    for error, is_recovered in (("it is away", False), ("", True)):
        remotes = _Remotes(error)
        api._service._hub = cast("Hub", remotes)
        api.call(Recover(actor="ada", words=words, dry_run=True))  # nothing is asked of anybody
        assert (town_key(api.member), remotes.renewed) == (before, 0)
        if is_recovered:
            api.call(Recover(actor="ada", words=words))
        else:
            assert refusal_code(lambda: api.call(Recover(actor="ada", words=words))) is Code.NOT_READY
        assert (town_key(api.member) != before) is is_recovered
        assert remotes.renewed == is_recovered  # whoever exchanges planes speaks for another key now


def test_after_a_join_whoever_exchanges_planes_asks_for_the_keys_anew() -> None:
    ticket = Api(founder()).call(Invite(actor="ada"))["ticket"]
    api, remotes = Api(newcomer()), _Remotes("")
    api._service._hub = cast("Hub", remotes)
    api.call(Join(actor="bob", ticket=ticket))
    assert remotes.renewed == 1  # a machine whose feed had ended has another key now

"""Trying a request out: its answer, and that the machine is as it was."""

from typing import Any

import pytest

from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.exchange import AddRemote, CreatePlane, Invite, Join, ShowPlane
from moot_protocol.requests.issues import InitTown
from moot_protocol.requests.membership import (
    InviteTown,
    OwnTown,
    RemoveTown,
    RotatePlaneKey,
    RotateTownKey,
    Salvage,
)
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.towns.carrying import founder, newcomer
from moot_testkit.towns.federating import federation, town_key
from moot_testkit.towns.town import Api
from moot_testkit.towns.trying import kept
from mootd.engine.membership.charter_writing import adopt_plane
from mootd.engine.unit import Unit
from mootd.service.writing.trials import tried


def world(request: Mutation[Any]) -> Api:
    """A machine whose planes were never exchanged; with another town where one is to be removed."""
    return Api(federation(Role.WRITER)[1][0] if isinstance(request, RemoveTown) else founder())


REQUESTS: list[Mutation[Any]] = [
    AddRemote(actor="ada", kind="git", url="/srv/moot.git"),
    CreatePlane(actor="ada", name="fresh"),
    Invite(actor="ada"),
    InviteTown(actor="ada", plane="ledger"),
    Join(actor="ada", ticket=Api(founder("elsewhere")).call(Invite(actor="eve"))["ticket"]),
    RotatePlaneKey(actor="ada", plane="ledger"),
    RotateTownKey(actor="ada"),
    RemoveTown(actor="ada", town=key_text(town_key(federation(Role.WRITER)[1][1]))),
    Salvage(actor="ada", copied=True),
]
"""Requests that make keys."""


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.method)
def test_a_trial_leaves_no_key_and_what_is_tried_can_be_done_afterwards(request_: Mutation[Any]) -> None:
    api = world(request_)
    before = kept(api.member)
    tried = api.call(type(request_)(**{**_fields(request_), "dry_run": True}))
    assert not tried.get("ticket")
    assert kept(api.member) == before
    assert api.member.replica.is_disowned is False
    done = api.call(request_)
    assert done.keys() == tried.keys()
    assert kept(api.member).keys > before.keys or isinstance(request_, CreatePlane)
    Api(_restarted(api)).call(ShowPlane(plane="ledger"))


def _fields(request: Mutation[Any]) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__struct_fields__}


def _restarted(api: Api) -> Any:
    api.member.restart()
    return api.member


def test_the_keys_that_were_tried_are_not_those_that_count_later() -> None:
    api = Api(founder())
    before = api.call(OwnTown())["town"]
    tried = api.call(RotateTownKey(actor="ada", dry_run=True))["town"]
    assert api.call(OwnTown())["town"] == before
    done = api.call(RotateTownKey(actor="ada"))["town"]
    assert api.call(OwnTown())["town"] == done
    assert len({before, tried, done}) == 3
    assert not api.member.replica.keys.has("town-3")


def test_a_town_is_tried_without_its_words_and_made_with_them() -> None:
    api = Api(newcomer())
    assert api.call(InitTown(dry_run=True))["recovery_words"] == ""
    assert kept(api.member).keys == {"replica"}
    made = api.call(InitTown())
    assert (made["created"], len(made["recovery_words"].split())) == (True, 24)


def test_what_was_read_of_a_plane_that_was_only_tried_is_forgotten() -> None:
    member = founder()
    names = member.replica.names
    known = (member.ledger.number, b"a")

    def work(unit: Unit) -> None:
        number = adopt_plane(unit, bytes(16), PlaneKind.LEDGER, "fresh", bytes(32))
        names.update({(number, b"a"): frozenset(), known: frozenset()})

    member.commit(lambda unit: tried(unit, work))
    assert set(names) == {known}

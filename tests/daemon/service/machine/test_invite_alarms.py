"""Expired invites that are open: told by status and doctor where they can be closed, until they are."""

from typing import Any

import pytest

from moot_protocol.requests.exchange import CloseInvite, Invite
from moot_protocol.requests.machine import Doctor, Status
from moot_testkit.towns.federating import machine
from moot_testkit.towns.town import START_MS, Api, make_api

HOUR_MS = 3_600_000
CHECK = "no expired invite is open"


def told(api: Api) -> list[dict[str, Any]]:
    return [alarm for alarm in api.call(Status())["alarms"] if alarm["code"] == "invite_expired"]


def check(api: Api) -> dict[str, Any]:
    (found,) = (each for each in api.call(Doctor()) if each["check"] == CHECK)
    return found


def invited(api: Api, expires_ms: int) -> str:
    return str(api.call(Invite(actor="ada", plane="ledger", role="writer", expires_ms=expires_ms))["invite"])


def test_an_invite_is_told_from_its_expiry_on_until_it_is_closed() -> None:
    api = make_api()
    key = invited(api, START_MS + HOUR_MS)
    api.clock.advance(HOUR_MS)
    assert (told(api), check(api)["ok"]) == ([], True)
    api.clock.advance(1)
    (alarm,) = told(api)
    assert alarm["severity"] == "warning"
    assert alarm["message"].startswith(f"an invite to plane ledger has expired and is still open: {key[:12]} (2023-")
    assert "whoever has the ticket still gets in" in alarm["hint"]
    assert "`moot invite close INVITE`" in alarm["hint"]
    found = check(api)
    assert (found["ok"], found["detail"], found["hint"]) == (False, alarm["message"], alarm["hint"])
    api.call(CloseInvite(actor="ada", invite=key, keep=None))
    assert (told(api), check(api)["ok"]) == ([], True)


@pytest.mark.parametrize(("count", "rest"), [(3, ")"), (5, " and 2 more")])
def test_of_several_some_are_named_the_first_to_expire_first(count: int, rest: str) -> None:
    api = make_api()
    keys = [invited(api, START_MS + (count - number) * HOUR_MS) for number in range(count)]
    api.clock.advance(24 * HOUR_MS)
    (alarm,) = told(api)
    assert alarm["message"].startswith(f"{count} invites to plane ledger have expired and are still open: ")
    places = [alarm["message"].find(key[:12]) for key in reversed(keys)][:3]
    assert -1 not in places
    assert places == sorted(places)
    assert alarm["message"].endswith(rest)


def test_a_machine_without_the_town_s_key_which_can_close_none_is_told_of_none() -> None:
    api = make_api()
    one = api.member
    invited(api, START_MS + HOUR_MS)
    two = Api(machine(one, one.ledger.id))
    for each in (api, two):
        each.clock.advance(24 * HOUR_MS)
    assert told(api)
    assert told(two) == []

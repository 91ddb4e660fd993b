"""Planes that can't have a new key: told by status and doctor to those who would begin it, until it can be."""

from typing import Any

import pytest

from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.machine import Doctor, Status
from moot_protocol.requests.membership import RemoveTown, RetireReplica
from moot_testkit.towns.federating import federation, machine, town_key
from moot_testkit.towns.town import Api
from mootd.engine.membership import epochs

SHUT = "until then nothing but charters is sent"


def told(api: Api) -> list[dict[str, Any]]:
    return [alarm for alarm in api.call(Status())["alarms"] if alarm["code"] == "no_new_key"]


def check(api: Api) -> dict[str, Any]:
    (found,) = (each for each in api.call(Doctor()) if each["check"] == "every plane can have a new key")
    return found


def test_a_plane_with_too_many_for_a_new_key_is_told_until_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    plane, (one, two) = federation(Role.WRITER)
    laptop, _ = machine(one, plane, two), machine(two, plane, one, name="another")
    api = Api(one)
    assert (told(api), check(api)["ok"]) == ([], True)
    monkeypatch.setattr(epochs, "EPOCH_RECIPIENTS", 3)
    (alarm,) = told(api)
    assert "plane ledger can't have a new key" in alarm["message"]
    assert SHUT not in alarm["message"]
    assert f"of town {key_text(town_key(two))[:12]}" in alarm["hint"]
    assert told(Api(two)) == []  # which may begin none
    api.call(RetireReplica(actor="ada", replica=key_text(laptop.id)))
    (alarm,) = told(api)
    assert SHUT in alarm["message"]
    assert check(api) == {"check": "every plane can have a new key", "ok": False} | {
        "detail": alarm["message"], "hint": alarm["hint"]
    }  # fmt: skip
    api.call(RemoveTown(actor="ada", town=key_text(town_key(two))))
    assert (told(api), check(api)["ok"]) == ([], True)

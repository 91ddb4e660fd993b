"""Requests about API tokens: whom one can be made for, what is told of it, and what is recorded."""

from pathlib import Path

import pytest

from moot_protocol.access.tokens import token_id
from moot_protocol.errors import Code
from moot_protocol.requests.access import CreateToken, ListTokens, RevokeToken
from moot_protocol.requests.audit import ListAudit
from moot_protocol.requests.machine import Rebuild
from moot_testkit.towns.town import Api, make_api
from mootd.engine.machine.access_tokens import Flaw, Token
from mootd.service.access.tokens import Tokens
from mootd.store.port import Table

RULES = '[users.alice]\nrole = "user"\n'


@pytest.fixture
def api(tmp_path: Path) -> Api:
    tmp_path.chmod(0o700)
    path = tmp_path / "access.toml"
    path.write_text(RULES)
    path.chmod(0o600)
    return make_api(folder=tmp_path)


def records(api: Api) -> list[tuple[str, str, str, dict[str, str]]]:
    found = api.call(ListAudit())["records"]
    return [(each["event_type"], each["actor"], each["resource"], each["details"]) for each in reversed(found)]


def test_a_token_is_told_once_and_listed_without_its_secret(api: Api) -> None:
    made = api.call(CreateToken(actor="ada", user="alice/claude", note="n"))
    assert token_id(made["token"]) == made["id"]
    (listed,) = api.call(ListTokens())
    assert listed == {name: value for name, value in made.items() if name != "token"}
    assert made["token"] not in str(listed)


def test_only_whom_rules_name_can_have_one(api: Api, tmp_path: Path) -> None:
    for user in ("bob", "alicea", "", "alice/\x1b"):
        assert api.refusal(CreateToken(actor="ada", user=user)) is Code.NOT_FOUND, user
    (tmp_path / "access.toml").unlink()
    assert api.refusal(CreateToken(actor="ada", user="alice")) is Code.NOT_FOUND


def test_making_and_revoking_are_recorded_with_the_tokens_id(api: Api) -> None:
    made = api.call(CreateToken(actor="ada", user="alice", note="n"))
    assert api.call(RevokeToken(actor="bob", id=made["id"]))["changed"]
    assert not api.call(RevokeToken(actor="bob", id=made["id"]))["changed"]
    details = {"user": "alice", "note": "n"}
    assert records(api) == [
        ("token_created", "ada", made["id"], details),
        ("token_revoked", "bob", made["id"], details),
    ]


def test_the_answer_with_the_secret_is_kept_under_no_key(api: Api) -> None:
    request = CreateToken(actor="ada", user="alice")
    one, other = api.call(request, "key"), api.call(request, "key")
    assert one["id"] != other["id"]
    with api.member.replica.read() as reader:
        assert not [key for key, value in reader.scan(Table.META, b"") if one["token"].encode() in value]


def test_a_dry_run_makes_none(api: Api) -> None:
    assert api.call(CreateToken(actor="ada", user="alice", dry_run=True))["token"] == ""
    assert api.call(ListTokens()) == []
    assert records(api) == []


def test_tokens_outlive_a_rebuild(api: Api) -> None:
    text = api.call(CreateToken(actor="ada", user="alice"))["token"]
    answer = api.call(Rebuild())
    while not answer["done"]:
        answer = api.call(Rebuild(cursor=answer["cursor"]))
    assert isinstance(Tokens(api.member.replica).presented(text), Token)


def test_they_are_looked_up_as_they_stand_now(api: Api) -> None:
    tokens = Tokens(api.member.replica)
    made = api.call(CreateToken(actor="ada", user="alice", expires_ms=api.clock.now_ms() + 10))
    found = tokens.presented(made["token"])
    assert isinstance(found, Token)
    assert tokens.is_use_due(found)
    api.clock.advance(10)
    assert tokens.presented(made["token"]) is Flaw.EXPIRED
    api.call(RevokeToken(actor="ada", id=made["id"]))
    assert tokens.presented(made["token"]) is Flaw.REVOKED

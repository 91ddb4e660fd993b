"""API tokens in the store: what is kept, when one is good, and how many there may be."""

from typing import Any

import pytest

from moot_protocol.access.tokens import token_id
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import ACCESS_TOKEN_NOTE_CHARS, ACCESS_TOKEN_USE_MS
from moot_testkit.towns.town import START_MS, Member, make_town
from mootd.engine.machine import access_tokens
from mootd.engine.machine.access_tokens import (
    Flaw,
    Token,
    create_token,
    is_use_due,
    note_use,
    presented,
    revoke_token,
    told,
)
from mootd.engine.machine.access_tokens import tokens as every_token
from mootd.engine.stored import layout
from mootd.store.port import Table

HOUR_MS = 3_600_000


@pytest.fixture
def member() -> Member:
    return make_town(1)[0]


def made(member: Member, user: str = "ci", **more: Any) -> tuple[Token, str]:
    given: dict[str, Any] = {"by": "ada", "expires_ms": 0, "note": ""} | more
    return member.commit(lambda unit: create_token(unit, user, **given))


def look(member: Member, text: str) -> Token | Flaw:
    with member.replica.read() as reader:
        return presented(reader, text, member.clock.now_ms())


def listed(member: Member) -> list[Token]:
    with member.replica.read() as reader:
        return every_token(reader)


def test_a_token_is_good_for_whoever_has_all_of_it_and_nobody_else(member: Member) -> None:
    token, text = made(member)
    assert look(member, text) == token
    assert (token.user, token.created_by, token.created_ms) == ("ci", "ada", START_MS)
    last = "0" if text[-1] != "0" else "1"
    for other in (text[:-1] + last, token.id, "", "mtk_", text.replace(token.id, "0000000000")):
        assert look(member, other) is Flaw.UNKNOWN, other


def test_no_secret_is_kept_anywhere(member: Member) -> None:
    _, text = made(member, note="deploys")
    secret = text.rpartition("_")[2].encode()
    with member.replica.read() as reader:
        for table in Table:
            for key, value in reader.scan(table, b""):
                assert secret not in key + value


def test_a_token_expires_at_its_time(member: Member) -> None:
    _, text = made(member, expires_ms=START_MS + HOUR_MS)
    member.clock.advance(HOUR_MS - 1)
    assert isinstance(look(member, text), Token)
    member.clock.advance(1)
    assert look(member, text) is Flaw.EXPIRED


def test_a_revoked_token_is_good_no_more_and_stays_so_after_a_restart(member: Member) -> None:
    token, text = made(member)
    _, other = made(member, "bob")
    revoked, changed = member.commit(lambda unit: revoke_token(unit, token.id))
    assert (revoked.revoked_ms, changed) == (START_MS, True)
    member.restart()
    assert look(member, text) is Flaw.REVOKED
    assert isinstance(look(member, other), Token)
    assert not member.commit(lambda unit: revoke_token(unit, token.id))[1]


@pytest.mark.parametrize("name", ["", "0000000000"])
def test_what_is_not_there_cannot_be_revoked(member: Member, name: str) -> None:
    made(member)
    with pytest.raises(RefusedError) as caught:
        member.commit(lambda unit: revoke_token(unit, name))
    assert caught.value.code is Code.NOT_FOUND


def test_the_last_use_is_noted_once_an_hour(member: Member) -> None:
    token, text = made(member)
    assert is_use_due(token, START_MS)
    member.commit(lambda unit: note_use(unit, token.id))
    used = look(member, text)
    assert isinstance(used, Token)
    assert used.used_ms == START_MS
    assert not is_use_due(used, START_MS + ACCESS_TOKEN_USE_MS - 1)
    assert is_use_due(used, START_MS + ACCESS_TOKEN_USE_MS)


def test_they_are_listed_the_newest_first(member: Member) -> None:
    first, _ = made(member)
    member.clock.advance(1)
    second, _ = made(member, "bob", note="n")
    assert listed(member) == [second, first]
    shown = told(second)
    assert (shown["expires_ms"], shown["revoked_ms"], shown["used_ms"], shown["note"]) == (None, None, None, "n")
    assert not {"hash", "token", "secret"} & set(shown)


def test_beyond_the_limit_those_that_are_good_no_more_make_room(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_tokens, "ACCESS_TOKENS", 2)
    (oldest, _), (second, _) = made(member), made(member)
    with pytest.raises(RefusedError) as caught:
        made(member)
    assert caught.value.code is Code.LIMIT
    member.commit(lambda unit: note_use(unit, oldest.id))
    member.commit(lambda unit: revoke_token(unit, oldest.id))
    member.clock.advance(1)
    third, text = made(member)
    assert {each.id for each in listed(member)} == {second.id, third.id}
    assert token_id(text) == third.id
    with member.replica.read() as reader:
        assert reader.get(Table.META, layout.TOKEN_USES + oldest.id.encode()) is None
    member.commit(lambda unit: revoke_token(unit, third.id))
    member.commit(lambda unit: revoke_token(unit, second.id))
    fourth, _ = made(member)
    assert {each.id for each in listed(member)} == {third.id, fourth.id}


@pytest.mark.parametrize(
    ("more", "code"),
    [({"note": "x" * (ACCESS_TOKEN_NOTE_CHARS + 1)}, Code.LIMIT), ({"expires_ms": START_MS}, Code.INVALID)],
)
def test_what_makes_no_sense_is_refused(member: Member, more: dict[str, Any], code: Code) -> None:
    with pytest.raises(RefusedError) as caught:
        made(member, **more)
    assert caught.value.code is code
    assert listed(member) == []

"""The spool's bytes: who holds the token can write a command, nobody else; and only the daemon can read it."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.codec import encode
from moot_protocol.errors import Code, MalformedError, MootError, RefusedError
from moot_protocol.limits import CLOCK_AHEAD_MS, SPOOL_BYTES, SPOOL_ENTRY_BYTES, SPOOL_ENTRY_MS, SPOOL_FILES
from moot_protocol.requests.actions import SetState, Undo
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.documents import NewDocument
from moot_protocol.requests.issues import Close, Create, InitTown, IssueFields, ListIssues, Script
from moot_protocol.requests.machine import Doctor, Ping, Rebuild, Status, Stop
from moot_protocol.requests.memories import SetSetting
from moot_protocol.requests.scripts import STEPS
from moot_protocol.sealing.hpke import HPKE
from moot_protocol.spool.files import (
    ALLOWED,
    METHODS,
    Outcome,
    Sealed,
    Token,
    about,
    answer_name,
    check_allowed,
    check_command,
    check_room,
    command_name,
    decode_token,
    encode_token,
    name_parts,
    open_answer,
    open_content,
    open_info,
    seal_answer,
    seal_command,
    secret_for,
)

KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
SECRET = bytes(range(32, 64))
TOKEN = Token(1, "w0", "demo", "ab" * 16, SECRET, KEY.public_key().public_bytes_raw())
COMMAND = bytes(range(16))
NOW_MS = 1_700_000_000_000
CLOSE = Close(actor="ada", id="demo-1", reason="done")
NAME = command_name(NOW_MS, COMMAND)


def sealed(request: Mutation[Any] = CLOSE, ms: int = NOW_MS) -> bytes:
    return seal_command(TOKEN, COMMAND, ms, request, awaited=True)


def checked(data: bytes, *, name: str = NAME, workspace: str = "w0", now_ms: int = NOW_MS) -> Sealed:
    return check_command(data, name, workspace, SECRET, now_ms)


def code_of(data: bytes, *, name: str = NAME, workspace: str = "w0", now_ms: int = NOW_MS) -> Code:
    with pytest.raises(MootError) as caught:
        checked(data, name=name, workspace=workspace, now_ms=now_ms)
    return caught.value.code


# -- Tokens and names --------------------------------------------------------------------------------------------
def test_a_token_comes_back_as_it_was() -> None:
    assert decode_token(encode_token(TOKEN)) == TOKEN


@pytest.mark.parametrize("data", [b"", encode_token(TOKEN)[:-1], encode_token((1, "w", "p", "", b"1", b"2"))])
def test_what_is_no_token_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_token(data)


def test_each_workspace_and_each_opening_has_a_secret_of_its_own() -> None:
    secrets = {secret_for(SECRET, name, number) for name in ("a", "b", "a\0") for number in (1, 2)}
    assert len(secrets) == 6


def test_names_order_as_commands_were_written() -> None:
    names = [command_name(ms, bytes([255 - ms % 256]) * 16) for ms in range(90, 1200, 7)]
    assert names == sorted(names)
    assert name_parts(names[0]) == (90, bytes([165]) * 16)


@pytest.mark.parametrize("name", ["", "token", NAME + "x", NAME.upper(), "../" + NAME, NAME.replace("1", "١")])
def test_other_names_are_no_commands(name: str) -> None:
    assert name_parts(name) is None


# -- Commands ----------------------------------------------------------------------------------------------------
def test_a_command_is_opened_by_the_daemons_key_alone() -> None:
    command = checked(sealed())
    content = HPKE.decrypt(command.sealed, KEY, open_info(command))
    opened = open_content(command, content)
    assert (opened.id, opened.ms, opened.request, opened.awaited) == (COMMAND, NOW_MS, CLOSE, True)
    assert b"demo-1" not in sealed()


@given(st.data())
def test_a_changed_command_is_none(data: st.DataObject) -> None:
    good = sealed()
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(MalformedError):
        checked(bytes(bad))


@given(st.integers(0, 300))
def test_a_truncated_command_is_none(length: int) -> None:
    with pytest.raises(MalformedError):
        checked(sealed()[:length][: len(sealed()) - 1])


def test_a_command_counts_under_its_own_name_and_in_its_own_workspace_only() -> None:
    assert code_of(sealed(), name=command_name(NOW_MS + 1, COMMAND)) is Code.BAD_STRUCTURE
    assert code_of(sealed(), name=command_name(NOW_MS, bytes(16))) is Code.BAD_STRUCTURE
    assert code_of(sealed(), workspace="w1") is Code.BAD_SIGNATURE


def test_a_command_counts_for_thirty_days_and_not_before_its_time() -> None:
    data = sealed()
    assert checked(data, now_ms=NOW_MS + SPOOL_ENTRY_MS)
    assert code_of(data, now_ms=NOW_MS + SPOOL_ENTRY_MS + 1) is Code.LIMIT
    assert checked(data, now_ms=NOW_MS - CLOCK_AHEAD_MS)
    assert code_of(data, now_ms=NOW_MS - CLOCK_AHEAD_MS - 1) is Code.CLOCK_AHEAD


def test_a_command_has_a_greatest_size() -> None:
    with pytest.raises(RefusedError) as caught:
        sealed(Close(actor="ada", id="demo-1", reason="x" * SPOOL_ENTRY_BYTES))
    assert caught.value.code is Code.LIMIT
    assert code_of(bytes(SPOOL_ENTRY_BYTES + 1)) is Code.TOO_LARGE


# -- What may come through ---------------------------------------------------------------------------------------
def test_only_issues_and_memories_are_changed_through_a_spool() -> None:
    assert {request.method for request in ALLOWED} == {
        "create", "update", "close", "reopen", "delete", "undelete", "add_edge", "remove_edge", "add_comment",
        "resolve", "set_state", "remember", "forget", "claim_ready", "unclaim", "heartbeat", "write_handoff",
        "create_gate", "await", "claims_told",
    }  # fmt: skip
    assert all(issubclass(request, Mutation) for request in ALLOWED)
    for request in (Undo(actor="a"), SetSetting(actor="a", project="demo", key="k"), *[_bare(each) for each in READS]):
        with pytest.raises(RefusedError) as caught:
            check_allowed(request)
        assert caught.value.code is Code.DENIED


READS: list[type[Request[Any]]] = [Ping, Stop, Status, ListIssues, Doctor, Rebuild, InitTown]


def _bare(request: type[Request[Any]]) -> Request[Any]:
    return request()


@pytest.mark.parametrize(
    "method", ["set_setting", "rename", "script", "claim_ready", "claims_told", "invite", "stop", "", ["close"], None]
)
def test_no_step_of_a_script_goes_beyond_that(method: object) -> None:
    step = {"method": method, "params": {}} if method is not None else {}
    with pytest.raises(RefusedError, match="spool"):
        sealed(Script(actor="ada", steps=({"method": "close", "params": {"id": "demo-1"}}, step)))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_what_may_come_through_is_a_step_of_a_script_there_where_it_is_one_anywhere(method: str) -> None:
    script = Script(actor="ada", steps=({"method": method, "params": {}},))
    if method in STEPS:
        check_allowed(script)
    else:
        with pytest.raises(RefusedError, match="spool"):
            check_allowed(script)


@pytest.mark.parametrize("request_", [Undo(actor="a"), SetSetting(actor="a", project="demo", key="k")])
def test_the_daemon_checks_it_again(request_: Mutation[object]) -> None:
    content = encode((request_.method, encode(request_), False))
    with pytest.raises(RefusedError) as caught:
        open_content(Sealed("w0", COMMAND, NOW_MS, b""), content)
    assert caught.value.code is Code.DENIED


@given(st.binary(max_size=200))
def test_opening_any_content_is_total(content: bytes) -> None:
    with pytest.raises(MootError):
        open_content(Sealed("w0", COMMAND, NOW_MS, b""), content)


def test_a_full_spool_takes_no_more() -> None:
    check_room(SPOOL_FILES - 1, SPOOL_BYTES - 10, 10)
    for files, size, new in ((SPOOL_FILES, 0, 1), (0, SPOOL_BYTES - 10, 11)):
        with pytest.raises(RefusedError, match="full") as caught:
            check_room(files, size, new)
        assert (caught.value.code, caught.value.retryable) == (Code.BUSY, True)


# -- Answers -----------------------------------------------------------------------------------------------------
def test_an_answer_comes_back_as_it_was() -> None:
    outcome = Outcome("ada", "close demo-1", {"id": "demo-1", "a": [1, None, 0.5]})
    assert open_answer(SECRET, seal_answer(SECRET, COMMAND, outcome), COMMAND) == outcome


def test_a_refusal_comes_back_with_its_code_and_hint() -> None:
    error = RefusedError("it is held", code=Code.LOST_RACE, hint="take another")
    data = seal_answer(SECRET, COMMAND, Outcome("ada", "update demo-1", error=error))
    found = open_answer(SECRET, data).error
    assert isinstance(found, RefusedError)
    assert (found.code, found.message, found.hint) == (Code.LOST_RACE, "it is held", "take another")


def test_nobody_without_the_token_can_write_or_change_an_answer() -> None:
    data = seal_answer(SECRET, COMMAND, Outcome("ada", "x", 1))
    for bad in (seal_answer(bytes(32), COMMAND, Outcome("ada", "x", 1)), data[:-1] + bytes([data[-1] ^ 1]), data[:-1]):
        with pytest.raises(MalformedError):
            open_answer(SECRET, bad)
    with pytest.raises(MalformedError, match="another command"):
        open_answer(SECRET, data, bytes(16))


def test_answers_and_refusals_have_different_names() -> None:
    assert answer_name(COMMAND, awaited=True) == COMMAND.hex() + ".answer"
    assert answer_name(COMMAND, awaited=False) == COMMAND.hex() + ".refusal"


def test_a_request_is_told_in_a_few_words() -> None:
    fields = IssueFields(title="A title")
    assert about(Create(actor="a", project="demo", id="demo-1", fields=fields)) == "create demo-1 A title"
    assert about(SetState(actor="a", id="demo-1", dimension="d", value="v")) == "set state demo-1"
    assert about(Script(actor="a", steps=({}, {}))) == "2 changes"


def test_a_document_is_no_issue() -> None:
    assert NewDocument not in ALLOWED

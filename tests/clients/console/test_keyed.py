"""`--request-id`: each write of a command has a key of its own, the same whenever it is called under that id."""

from typing import TypeVar

import pytest

from moot.console.api import Api
from moot.console.keyed import KeyedApi
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Close, Show
from moot_testkit.clients.canned_api import CannedApi
from moot_testkit.clients.console import issue, run_console

R = TypeVar("R")


def test_writes_are_numbered_and_reads_have_no_key() -> None:
    for _ in range(2):
        canned = CannedApi(show=[issue()], close=issue())
        api = KeyedApi(canned, "ci-7")
        api.call(Close(actor="ada", id="a"))
        api.call(Show(ids=("a",)))
        api.call(Close(actor="ada", id="b"))
        assert canned.keys == ["ci-7#1", "", "ci-7#2"]


def test_every_command_takes_one() -> None:
    ran = run_console("reopen a --request-id r", {"reopen": issue()})
    assert (ran.code, ran.keys) == (0, ["r#1"])
    assert run_console("reopen a", {"reopen": issue()}).keys == []


def test_an_empty_id_is_refused_since_nothing_would_be_repeated_safely() -> None:
    ran = run_console("reopen a --request-id=", {"reopen": issue()})
    assert (ran.code, ran.keys, "--request-id is empty" in ran.err) == (2, [], True)


def test_an_id_that_came_with_another_command_or_is_too_long_is_refused_in_the_words_of_the_flag() -> None:
    reused = RefusedError("this idempotency key came with another request before", code=Code.KEY_REUSED)
    ran = run_console("reopen a --request-id r", {"reopen": reused})
    assert (ran.code != 0, "--request-id r came with another command" in ran.err) == (True, True)
    ran = run_console(f"reopen a --request-id {'r' * 101}", {"reopen": issue()})
    assert (ran.keys, "the --request-id has 101 bytes; at most 100" in ran.err) == ([], True)
    assert run_console(f"reopen a --request-id {'r' * 100}", {"reopen": issue()}).code == 0
    gone = RefusedError("no such issue", code=Code.NOT_FOUND)
    assert "no such issue" in run_console("reopen a --request-id r", {"reopen": gone}).err


def test_where_nothing_takes_keys_it_is_refused() -> None:
    class Spooled:
        def call(self, request: Request[R]) -> R:
            raise AssertionError(request)

    spooled: Api = Spooled()
    with pytest.raises(RefusedError, match="isn't taken here") as caught:
        KeyedApi(spooled, "r")
    assert caught.value.code is Code.USAGE

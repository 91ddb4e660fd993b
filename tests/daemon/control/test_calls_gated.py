"""Connections of others than the daemon's user: let in by a gate, and asked for with every request."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from moot.console.terminal import Facts
from moot_protocol.access.rules import Asker
from moot_protocol.control import rpc
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import RPC_CLIENTS, RPC_CLIENTS_PER_USER
from moot_protocol.requests.machine import Events, Ping
from moot_testkit.clients.control import Daemon, RawClient, error_of, raw_client, serving, until
from moot_testkit.clients.gates import GOOD, USER, StubGate
from mootd.control.hosting import HostedTerminal
from mootd.control.ports import Settings

SHOW = {"ids": ["a"]}


@contextmanager
def behind(gate: StubGate, owner: int, *, per_user: int = RPC_CLIENTS_PER_USER) -> Iterator[Daemon]:
    with serving(Settings(version="9.9.9", owner=owner, clients_per_user=per_user)) as daemon:
        daemon.server.gate = gate
        daemon.answers.slow[Ping] = _pong
        yield daemon


async def _pong(request: Ping) -> dict[str, Any]:
    del request
    return {}


def test_another_user_whom_the_gate_lets_in_is_served_and_asked_for_each_request() -> None:
    gate = StubGate(denied="show")
    with behind(gate, os.geteuid() + 1) as daemon, raw_client(daemon) as client:
        client.call(1, "ping", {})
        assert client.receive()["id"] == 1
        client.call(2, "show", SHOW)
        assert error_of(client.receive()) == (2, "denied")
        client.call(3, rpc.SUBSCRIBE, {})
        client.receive()
        client.run(4)
        client.receive()
    assert gate.asked[:3] == [(Asker(os.geteuid()), method) for method in ("ping", "show", "events")]


def test_each_further_look_of_a_subscription_is_asked_for_as_such() -> None:
    gate, looks = StubGate(), iter(({"events": [{"arrival": 1}], "next": 1}, {"events": [{"arrival": 2}], "next": 2}))

    async def events(request: Events) -> dict[str, Any]:
        assert request.since == gate.looks_again
        if gate.looks_again == 2:
            await asyncio.Event().wait()
        return next(looks)

    with behind(gate, os.geteuid() + 1) as daemon, raw_client(daemon) as client:
        daemon.answers.slow[Events] = events
        client.call(1, rpc.SUBSCRIBE, {"since": 0})
        assert [client.receive()["event"]["arrival"] for _ in range(2)] == [1, 2]


def test_another_user_has_only_so_many_connections_and_gets_one_back_for_each_that_ends() -> None:
    with behind(StubGate(), os.geteuid() + 1, per_user=2) as daemon:
        with raw_client(daemon) as first, raw_client(daemon):
            with raw_client(daemon, b"") as third:
                (message,) = third.rest()
            assert error_of(message) == (rpc.CONNECTION, "busy")
            assert (message["error"]["retryable"], str(os.geteuid()) in message["error"]["message"]) == (True, True)
            first.call(1, "ping", {})
            assert first.receive()["id"] == 1
        until(lambda: daemon.connections() == 0)
        with raw_client(daemon) as again:
            again.call(1, "ping", {})
            assert again.receive()["id"] == 1


def test_the_daemons_own_user_may_take_every_connection() -> None:
    with behind(StubGate(), os.geteuid(), per_user=1) as daemon, raw_client(daemon), raw_client(daemon) as second:
        second.call(1, "ping", {})
        assert second.receive()["id"] == 1


def test_no_user_but_the_daemons_own_can_take_all_connections() -> None:
    settings = Settings()
    assert (settings.clients_per_user, settings.clients) == (RPC_CLIENTS_PER_USER, RPC_CLIENTS)
    assert RPC_CLIENTS_PER_USER < RPC_CLIENTS


def test_another_user_whom_the_gate_does_not_know_is_turned_away() -> None:
    with behind(StubGate(open_to_all=False), os.geteuid() + 1) as daemon:
        client = RawClient(daemon.path)
        assert error_of(client.receive()) == (rpc.CONNECTION, "denied")
        client.close()


def test_whom_no_rule_binds_is_never_asked() -> None:
    gate = StubGate(binding=False)
    with behind(gate, os.geteuid()) as daemon, raw_client(daemon) as client:
        client.call(1, "ping", {})
        assert client.receive()["id"] == 1
    assert gate.asked == []


@pytest.mark.parametrize(("binding", "asker"), [(True, Asker(os.geteuid())), (False, None)])
def test_a_command_knows_whose_requests_have_to_be_admitted(binding: bool, asker: Asker | None) -> None:
    seen: list[Asker | None] = []

    def command(terminal: HostedTerminal[Facts]) -> int:
        seen.append(terminal.asker)
        return 0

    with behind(StubGate(binding=binding), os.geteuid()) as daemon, raw_client(daemon) as client:
        daemon.commands.command = command
        client.run()
        client.receive()
    assert seen == [asker]


def test_what_is_answered_to_whom_rules_bind_is_narrowed() -> None:
    with behind(StubGate(), os.geteuid()) as daemon, raw_client(daemon) as client:
        client.call(1, "ping", {})
        assert client.receive()["result"]["narrowed"]


def test_a_refusal_names_to_whom_rules_bind_only_what_the_gate_lets_it() -> None:
    async def refused(request: Ping) -> dict[str, Any]:
        raise RefusedError("may mean several: a, b", code=Code.AMBIGUOUS, hint="say a", discreet="may mean several")

    for gate, message, hint in (
        (StubGate(), "may mean several", ""),
        (StubGate(binding=False), "may mean several: a, b", "say a"),
    ):
        with behind(gate, os.geteuid()) as daemon, raw_client(daemon) as client:
            del daemon.answers.quick[Ping]
            daemon.answers.slow[Ping] = refused
            client.call(1, "ping", {})
            error = client.receive()["error"]
            assert (error["code"], error["message"], error["hint"]) == ("ambiguous", message, hint)


# -- Tokens ------------------------------------------------------------------------------------------------------
def test_a_token_binds_all_that_follows_whoever_connects() -> None:
    gate = StubGate(binding=False)
    with behind(gate, os.geteuid()) as daemon, raw_client(daemon) as client:
        client.call(1, rpc.AUTHENTICATE, {"token": GOOD})
        client.call(2, "ping", {})  # at once, before the first is answered
        answers = {each["id"]: each["result"] for each in (client.receive(), client.receive())}
        client.run(3)
        client.receive()
    assert answers[1] == {"user": USER}
    assert gate.asked == [(Asker(os.geteuid(), GOOD), "ping")]


def test_a_token_that_is_not_good_binds_as_well() -> None:
    gate = StubGate(binding=False)
    with behind(gate, os.geteuid()) as daemon, raw_client(daemon) as client:
        client.call(1, rpc.AUTHENTICATE, {"token": "bad"})
        assert error_of(client.receive()) == (1, "bad_token")
        client.call(2, "ping", {})
        assert client.receive()["id"] == 2
    assert gate.asked == [(Asker(os.geteuid(), "bad"), "ping")]


def test_a_token_comes_first_or_not_at_all() -> None:
    gate = StubGate(binding=False)
    with behind(gate, os.geteuid()) as daemon, raw_client(daemon) as client:
        client.call(1, "ping", {})
        client.receive()
        client.call(2, rpc.AUTHENTICATE, {"token": GOOD})
        assert error_of(client.receive()) == (2, "usage")
        client.call(3, rpc.AUTHENTICATE, {"token": GOOD})
        assert error_of(client.receive()) == (3, "usage")
    assert gate.asked == []


def test_where_nobody_decides_a_token_is_refused() -> None:
    with serving(Settings(version="9.9.9")) as daemon, raw_client(daemon) as client:
        client.call(1, rpc.AUTHENTICATE, {"token": GOOD})
        assert error_of(client.receive()) == (1, "usage")

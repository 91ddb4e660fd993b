"""Connections of others than the daemon's user: let in by a gate, and asked for with every request."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from moot.console.terminal import Facts
from moot_protocol import rpc
from moot_protocol.errors import Code, RefusedError
from moot_protocol.request_base import Request
from moot_testkit.control import Daemon, RawClient, raw_client, serving
from mootd.control.hosting import HostedTerminal
from mootd.control.ports import Settings

SHOW = {"ids": ["a"]}


def error_of(message: Any) -> tuple[int, str]:
    return message["id"], message["error"]["code"]


class Rules:
    """A gate that lets everybody in, or nobody, and refuses one method."""

    def __init__(self, denied: str = "", *, open_to_all: bool = True, binding: bool = True) -> None:
        self._denied, self._open, self._binding = denied, open_to_all, binding
        self.asked: list[tuple[int, str]] = []

    def lets_in(self, uid: int) -> bool:
        return self._open

    def binds(self, uid: int) -> bool:
        return self._binding

    async def admit_async(self, uid: int, request: Request[Any]) -> None:
        self.asked.append((uid, request.method))
        if request.method == self._denied:
            raise RefusedError("not you", code=Code.DENIED)


@contextmanager
def behind(gate: Rules, owner: int) -> Iterator[Daemon]:
    with serving(Settings(version="9.9.9", owner=owner)) as daemon:
        daemon.server.gate = gate
        yield daemon


def test_another_user_whom_the_gate_lets_in_is_served_and_asked_for_each_request() -> None:
    gate = Rules(denied="show")
    with behind(gate, os.geteuid() + 1) as daemon, raw_client(daemon) as client:
        client.call(1, "ping", {})
        assert client.receive()["id"] == 1
        client.call(2, "show", SHOW)
        assert error_of(client.receive()) == (2, "denied")
        client.call(3, rpc.SUBSCRIBE, {})
        client.receive()
        client.run(4)
        client.receive()
    assert gate.asked[:3] == [(os.geteuid(), "ping"), (os.geteuid(), "show"), (os.geteuid(), "events")]


def test_another_user_whom_the_gate_does_not_know_is_turned_away() -> None:
    with behind(Rules(open_to_all=False), os.geteuid() + 1) as daemon:
        client = RawClient(daemon.path)
        assert error_of(client.receive()) == (rpc.CONNECTION, "denied")
        client.close()


def test_whom_no_rule_binds_is_never_asked() -> None:
    gate = Rules(binding=False)
    with behind(gate, os.geteuid()) as daemon, raw_client(daemon) as client:
        client.call(1, "ping", {})
        assert client.receive()["id"] == 1
    assert gate.asked == []


@pytest.mark.parametrize(("binding", "uid"), [(True, os.geteuid()), (False, None)])
def test_a_command_knows_whose_requests_have_to_be_admitted(binding: bool, uid: int | None) -> None:
    seen: list[int | None] = []

    def command(terminal: HostedTerminal[Facts]) -> int:
        seen.append(terminal.bound_uid)
        return 0

    with behind(Rules(binding=binding), os.geteuid()) as daemon, raw_client(daemon) as client:
        daemon.commands.command = command
        client.run()
        client.receive()
    assert seen == [uid]

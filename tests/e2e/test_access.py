"""The access rules around a running daemon: what the file asks to be recorded, and a chain that can be checked."""

import json
import os
from collections.abc import Iterator

import pytest

from moot import Client, Code, MootError
from moot_testkit.machines.machine import PROJECT, Machine, machine


@pytest.fixture
def town() -> Iterator[Machine]:
    with machine() as made:
        yield made


def test_with_everything_recorded_each_command_of_the_daemons_own_user_is_and_the_chain_holds(town: Machine) -> None:
    folder = town.home / ".config" / "moot"
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    rules = folder / "access.toml"
    rules.write_text(f'audit = "all"\n[users.bob]\nrole = "reader"\nuids = [{os.getuid() + 1}]\n')
    rules.chmod(0o600)
    town.start()
    town.ok("init", "--prefix", PROJECT, "--spool")
    town.ok("create", "One", "--quiet")
    socket, town.environment["MOOT_SPOOL"] = dict(town.environment), "1"
    town.ok("create", "Two", "--quiet", "--wait=30")
    town.environment = socket
    assert town.run("access", "check", "bob", "issue:write").returncode == 4
    token = town.json("access", "token", "create", "bob")
    asker, town.environment = town.environment, {**town.environment, "MOOT_TOKEN": token["token"]}
    del town.environment["MOOT_ACTOR"]
    assert "One" in town.ok("list")
    assert town.run("comment", "One", "no").returncode == 4
    with Client(town.folder, socket=town.socket, token=token["token"]) as bob, pytest.raises(MootError) as caught:
        bob.create("No")
    assert caught.value.code is Code.DENIED
    town.environment = asker
    town.ok("access", "token", "revoke", token["id"])
    town.ok("list")
    town.ok("daemon", "stop")
    *lines, last = [json.loads(line) for line in town.ok("audit", "export").splitlines()]
    asked = [(line["event_type"], line["action"]) for line in lines]
    assert ("town_created", "init_town") in asked
    assert asked.count(("requested", "create")) == 2, "one of them came through the spool"
    assert ("requested", "check_access") in asked
    revoked = asked.index(("requested", "revoke_token"))
    assert ("requested", "list") in asked[revoked:], "a stop writes what waits"
    by_bob = [
        line["result"] for line in lines if line["details"].get("token") == token["id"] and line["actor"] == "bob"
    ]
    assert {"allowed", "denied"} <= set(by_bob)
    assert token["token"] not in str(lines)
    verified = town.json("audit", "verify", "--head", last["head"])
    assert verified["ok"]
    assert verified["records"] >= len(lines)

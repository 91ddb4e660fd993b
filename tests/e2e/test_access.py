"""The access rules around a running daemon: what the file asks to be recorded, and a chain that can be checked."""

import json
import os
from collections.abc import Iterator

import pytest

from moot_testkit.machine import PROJECT, Machine, machine


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
    town.ok("init", "--prefix", PROJECT)
    town.ok("create", "One", "--quiet")
    assert town.run("access", "check", "bob", "issue:write").returncode == 4
    *lines, last = [json.loads(line) for line in town.ok("audit", "export").splitlines()]
    asked = [(line["event_type"], line["action"]) for line in lines]
    assert ("town_created", "init_town") in asked
    assert ("requested", "create") in asked
    assert ("requested", "check_access") in asked
    verified = town.json("audit", "verify", "--head", last["head"])
    assert verified["ok"]
    assert verified["records"] >= len(lines)

"""Claims between two machines of a town, with real daemons that exchange through a real broker."""

from collections.abc import Iterator

import pytest

from moot_testkit.clients.control import until
from moot_testkit.machines.machine import Machine, town_of_two
from moot_testkit.machines.mqtt_broker import MqttBroker


class Town:
    """Two machines and the broker between them."""

    def __init__(self, one: Machine, two: Machine, broker: MqttBroker) -> None:
        self.one = one
        self.two = two
        self.broker = broker

    def issue(self, title: str) -> str:
        """An issue that both have."""
        name = self.one.ok("q", title).strip()
        until(lambda: self.two.run("show", name).returncode == 0)
        return name


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    broker = MqttBroker(tmp_path_factory.mktemp("broker"))
    broker.start()
    try:
        with town_of_two("mqtt", f"mqtt://127.0.0.1:{broker.port}") as (one, two):
            yield Town(one, two, broker)
    finally:
        broker.stop()


def test_a_claim_is_confirmed_when_the_other_machine_has_said_that_it_holds_it(town: Town) -> None:
    name = town.issue("Seal keys")
    (claimed,) = town.one.json("claim", name, "--confirm", "30")
    assert claimed["_confirmed"] == {"result": "confirmed", "holder": "ada", "agreed": 1, "silent": 0}
    late = town.two.run("--actor", "bob", "claim", name)
    assert (late.returncode, "already claimed by ada" in late.stderr) == (5, True), "a confirmed claim is known there"


def test_of_two_claims_made_apart_the_first_counts_and_the_loser_is_told_by_a_confirmation_and_once(town: Town) -> None:
    name = town.issue("Contended")
    town.broker.stop()
    town.two.ok("--actor", "bob", "claim", name)
    town.one.ok("claim", name)
    (unheard,) = town.one.json("claim", name, "--confirm", "0.1")
    assert unheard["_confirmed"] == {"result": "not answered in time", "holder": "ada", "agreed": 0, "silent": 1}
    town.broker.start()
    until(lambda: town.one.run("--actor", "carol", "list", "--assignee", "bob", "--json").stdout != "[]\n")
    confirmed = town.one.run("claim", name, "--confirm", "30")
    assert confirmed.returncode == 5
    told = town.one.run("ready")
    assert f"Lost claim: {name} is bob's, not yours" in confirmed.stderr + told.stderr
    assert "Lost claim" not in town.one.run("ready").stderr

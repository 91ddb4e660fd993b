"""Three hosts agree, and nothing acknowledged is lost, whatever the network between them does.

Every host is a real daemon with a real client in a network namespace, and so are the broker and the Git server. Nothing
here is timed: the deadline is long, and what a test prints (`-s`) is for people.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from moot_testkit.machines.git_servers import at_scale
from moot_testkit.machines.hosts import BROKER, DEADLINE_S, GIT, HOSTS, Site, site

AWAY_EVENTS = int(os.environ.get("MOOT_AWAY_EVENTS") or at_scale(200, 2_000))
"""Events that another writes while one host is away."""
AWAY_S = DEADLINE_S + AWAY_EVENTS / 25
"""How long that may take: this is no measurement."""
WRITES = at_scale(3, 20)
"""Issues that each host writes while the network fails."""
LOST_PERCENT, LATE_MS = at_scale(20, 30), at_scale(100, 200)
"""Of packets each way. TCP waits twice as long after every loss: with the larger numbers a line may stand still."""


class Shape(NamedTuple):
    """How a network falls apart."""

    cut: list[tuple[str, str]]
    together: list[set[str]]
    """The hosts that still hear of one another, through whichever server."""


def from_all(*servers: str) -> list[tuple[str, str]]:
    return [(host, server) for host in HOSTS for server in servers]


SHAPES = {
    "one host is cut off": Shape([("eva", BROKER), ("eva", GIT)], [{"ada", "ben"}, {"eva"}]),
    "nobody reaches the broker": Shape(from_all(BROKER), [set(HOSTS)]),
    "nobody reaches the Git server": Shape(from_all(GIT), [set(HOSTS)]),
    "one has the broker, one the Git server, one both": Shape([("ada", GIT), ("eva", BROKER)], [set(HOSTS)]),
    "two have the broker, one the Git server": Shape(
        [("ada", GIT), ("ben", GIT), ("eva", BROKER)], [{"ada", "ben"}, {"eva"}]
    ),
    "everybody is alone": Shape(from_all(BROKER, GIT), [{"ada"}, {"ben"}, {"eva"}]),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("net")) as made:
        yield made


@pytest.fixture
def town(made: Site) -> Iterator[Site]:
    """Three hosts in step on a network without faults, which each test breaks in its own way."""
    yield made
    made.net.heal()
    made.patience_s = DEADLINE_S


@pytest.mark.parametrize("name", SHAPES)
def test_hosts_that_a_partition_leaves_together_agree_and_all_do_once_it_heals(town: Site, name: str) -> None:
    shape, before = SHAPES[name], town.net.dropped.packets
    town.net.cut(shape.cut)
    town.all_write(WRITES, name)
    for group in shape.together:
        known = set().union(*(town[host].written for host in group))
        assert town.agree(group, known), "\n".join(town[host].standing() for host in group)
    assert len({town[host].ledger()["digest"] for host in HOSTS}) == len(shape.together)
    assert town.comes_true(lambda: town.net.dropped.packets > before)
    for server, kind in awaited(name):
        assert town.lose_sight([host for host, cut in shape.cut if cut == server], kind)
    town.net.heal()
    town.check_whole()
    print(town.costs(name))


ONE_WAY = {
    "one hears the servers, which don't hear it": [("eva", BROKER), ("eva", GIT)],
    "the servers hear one, which doesn't hear them": [(BROKER, "eva"), (GIT, "eva")],
    "one is heard by the broker alone, another hears it alone": [(BROKER, "eva"), ("eva", GIT), ("ben", BROKER)],
}
"""Who isn't heard by whom."""


@pytest.mark.parametrize("name", ONE_WAY)
def test_hosts_agree_once_a_partition_of_one_direction_heals(town: Site, name: str) -> None:
    before = town.net.dropped.packets
    town.net.mute(ONE_WAY[name])
    town.all_write(WRITES, name)
    assert town.agree({"ada"}, town["ada"].written)
    assert town.comes_true(lambda: town.net.dropped.packets > before)
    town.net.heal()
    town.check_whole()
    print(town.costs(name))


def awaited(name: str) -> Iterator[tuple[str, str]]:
    """The servers whose loss must be noticed before the network heals, and their kinds: it takes a while."""
    if name == "everybody is alone" or at_scale(0, 1):
        yield BROKER, "mqtt"
    if name == "everybody is alone" and at_scale(0, 1):
        yield GIT, "git"


@pytest.mark.timeout(3 * AWAY_S)
def test_a_host_that_was_away_while_another_wrote_a_lot_catches_up(town: Site, tmp_path: Path) -> None:
    before = town["ada"].ledger()["events"]
    town.patience_s = AWAY_S
    town.isolate("eva")
    town["eva"].write("written while away")
    town["ada"].written |= take_in(town, tmp_path / "many.jsonl", AWAY_EVENTS)
    assert town["ada"].ledger()["events"] - before >= AWAY_EVENTS
    assert town.agree({"ada", "ben"})
    assert len(town["eva"].issues() & town["ada"].written) < AWAY_EVENTS
    town.net.heal()
    town.check_whole()
    print(town.costs(f"away for {AWAY_EVENTS} events"))


def take_in(town: Site, path: Path, events: int) -> set[str]:
    """Import so many events, as a file of issues; their ids."""
    ids = [f"old-{number:06d}" for number in range(events)]
    lines = [
        {"id": each, "title": f"Issue {each}", "status": "open", "priority": 2, "issue_type": "task",
         "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z"}
        for each in ids
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    town["ada"].ok("import", str(path))
    return set(ids)


def test_hosts_agree_over_a_network_that_is_slow_and_loses_much(town: Site) -> None:
    town.net.lose(LOST_PERCENT)
    town.net.delay(LATE_MS)
    before = town.net.dropped.packets
    town.all_write(WRITES, "through the storm")
    town.check_whole()
    assert town.net.dropped.packets > before
    print(town.costs(f"{LOST_PERCENT} % loss, {LATE_MS} ms delay"))

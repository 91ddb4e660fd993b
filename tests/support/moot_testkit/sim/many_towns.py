"""Many towns on one simulated plane: an hour of edits behind partitions, and what it takes to agree after it.

Every replica now and then begins a round with one other, whoever it is, as far as the network lets it: so what one
sends doesn't depend on how many there are, unless the protocol makes it. Everything follows from one seed.
"""

import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Final, NamedTuple

from msgspec.structs import replace

from moot_protocol.exchange.messages import MessageType
from moot_protocol.log.batch import Batch
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter import Admission, admission_draft, charter_draft
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.bytes.feeds import FeedWriter, signer
from moot_testkit.laws import replica as laws
from moot_testkit.laws.replica import BrokenLawError
from moot_testkit.naive import model
from moot_testkit.sim.network import Network, Weather
from moot_testkit.sim.node import Node, World
from moot_testkit.sim.portions import small_portions
from moot_testkit.sim.towns import write_charter
from moot_testkit.towns.town import PROJECT, Member, make_town
from moot_testkit.towns.workload import Workload
from mootd.engine.exchange.receive import receive, resettle
from mootd.engine.membership.charter_writing import adopt_plane, certify, enter_plane
from mootd.engine.state import TOWN_KEY
from mootd.engine.stored import layout
from mootd.engine.stored.log import encode_row
from mootd.engine.unit import Unit
from mootd.service.snapshot import Snapshot
from mootd.store.port import Table

MINUTES: Final = 60
"""How long people edit."""
PARTITIONS: Final = ((10, 25, 2), (35, 55, 3))
"""From which minute to which one the network has fallen into so many parts."""
WEATHER: Final = Weather(loss=3, repeats=2, delay_ms=5_000)
ROUNDS: Final = 30
"""Rounds in which healed replicas must agree; in each everyone talks to one other."""
_MINUTE_MS: Final = 60_000


class Hour(NamedTuple):
    """What kind of hour it is."""

    towns: int
    replicas: int = 3
    """Of each town."""
    edits: int = 3
    """That each replica makes, about."""
    every: int = 5
    """Minutes after which each replica begins a round, about."""


class Figures(NamedTuple):
    """What an hour took. Bytes are what a replica sends, before it is sealed; means over all, but where they say so."""

    towns: int
    replicas: int
    edits: int
    """Commits in the hour, of all replicas."""
    rounds: int
    """After everything was healed, until all agreed."""
    messages: float
    """That a replica sent, in the hour and after it."""
    sent: float
    """Bytes that a replica sent."""
    sent_most: int
    """By the one that sent most."""
    batches: float
    """Bytes of those that were messages with batches, as many as it was sent itself."""
    sent_an_edit: float
    """Bytes that a replica sent for each edit that anybody made."""
    seconds: float
    """Processor time of one replica for all of it."""


def run(hour: Hour, seed: int = 0) -> Figures:
    """Let an hour pass, and all agree.

    Raises:
        BrokenLawError: they don't, or what they agree on isn't what was written.
    """
    with small_portions():
        return ManyTowns(hour, seed).run()


class ManyTowns:
    """One run.

    Args:
        hour: what it is like.
        seed: what everything follows from.
    """

    def __init__(self, hour: Hour, seed: int) -> None:
        self._hour = hour
        self._random = Random(seed)
        self._world = World()
        self._workload = Workload(self._random, PROJECT)
        self._network = Network(self._random, Weather())
        members = list(_members(hour, seed))
        self._now_ms = members[0].clock.now_ms()
        self._nodes = [Node(at, member, self._world, b"") for at, member in enumerate(members)]
        self._bytes: Counter[int] = Counter()
        self._messages: Counter[str] = Counter()
        self._edits = 0

    def run(self) -> Figures:
        """Let the hour pass, heal, agree, and check the laws."""
        self._agree()  # everybody's certificate is everywhere, which is no edit
        self._bytes.clear()
        self._messages.clear()
        began = time.process_time()
        self._network.weather = WEATHER
        for minute in range(MINUTES):
            self._pass_minute(minute)
        self._network.heal()
        rounds = self._agree()
        seconds = time.process_time() - began
        self._check()
        count = len(self._nodes)
        sent = sum(self._bytes.values())
        return Figures(
            self._hour.towns,
            count,
            self._edits,
            rounds,
            self._messages["all"] / count,
            sent / count,
            max(self._bytes.values()),
            self._messages["bytes of batches"] / count,
            sent / count / self._edits,
            seconds / count,
        )

    # -- The hour ------------------------------------------------------------------------------------------------
    def _pass_minute(self, minute: int) -> None:
        for start, end, parts in PARTITIONS:
            if minute == start:
                self._network.split({node.index: self._random.randrange(parts) for node in self._nodes})
            elif minute == end:
                self._network.split({})
        self._now_ms += _MINUTE_MS
        for node in self._nodes:
            node.set_clock(self._now_ms)
            if self._random.randrange(MINUTES) < self._hour.edits:
                self._edit(node)
            if self._random.randrange(self._hour.every) == 0:
                self._begin(node)
        self._deliver()

    def _edit(self, node: Node) -> None:
        with node.member.replica.read() as reader:
            issues = Snapshot(node.member.replica, reader, self._now_ms).issues
            known = [name for name in self._world.knowledge.issues if issues.names.eid(name) is not None]
        request = self._workload.request(known, lambda name: {"id": name}, self._now_ms)
        before = node.member.replica.arrival
        node.commit([(request, "")])
        self._edits += node.member.replica.arrival > before

    # -- Talk ----------------------------------------------------------------------------------------------------
    def _begin(self, node: Node) -> None:
        to = self._random.randrange(len(self._nodes) - 1)
        to += to >= node.index
        self._send(node, to, [each.message for each in node.start(self._nodes[to].member.id)])

    def _send(self, node: Node, to: int, messages: list[bytes]) -> None:
        for message in messages:
            self._bytes[node.index] += len(message)
            self._messages["all"] += 1
            if message[2] == MessageType.BATCHES:
                self._messages["bytes of batches"] += len(message)
            self._network.send(node.index, to, message, self._now_ms)

    def _deliver(self) -> None:
        while (parcel := self._network.receive(self._now_ms)) is not None:
            node, sender = self._nodes[parcel.to], self._nodes[parcel.sender].member.id
            self._send(node, parcel.sender, [each.message for each in node.take(sender, parcel.message)])

    def _agree(self) -> int:
        """Talk until all stand at the same place; how many rounds it took."""
        for finished in range(ROUNDS):
            positions = {node.exchange.log.position() for node in self._nodes}
            if len(positions) == 1:
                return finished
            self._now_ms += _MINUTE_MS
            for node in self._nodes:
                node.set_clock(self._now_ms)
                self._begin(node)
            self._deliver()
        frontiers = {position.frontier for position in positions}
        raise BrokenLawError(f"healed replicas agree: {len(frontiers)} frontiers after {ROUNDS} rounds")

    def _check(self) -> None:
        """All agree already: what one of them holds is all that was acknowledged, and says what it must."""
        members = [node.member for node in self._nodes]
        expected = model.expect(members[0].ledger.id, laws.gathered(members[0]))
        laws.check_state(members[0], expected)
        laws.check_acknowledged(members, self._world.acknowledged, expected)


# -- Who takes part ----------------------------------------------------------------------------------------------
def _members(hour: Hour, seed: int) -> Iterator[Member]:
    """All replicas, each with every charter and its own certificate; the founder is of the first town."""
    (founder,) = make_town(1, seed)
    keys = [founder.keys.signer(TOWN_KEY), *(signer(f"{seed} town {number}") for number in range(1, hour.towns))]
    drafts = [
        admission_draft(key.public, Admission(f"town {number}", Role.ADMIN if number < 3 else Role.WRITER), "keeper")
        for number, key in enumerate(keys[1:], start=1)
    ]
    founder.commit(lambda unit: write_charter(unit, drafts))
    charters = founder.batches(keys[0].public)
    for number, town in enumerate(keys[1:], start=1):
        feed = FeedWriter(founder.ledger.id, signer(f"{seed} town {number}"))
        charters.append(feed.write(charter_draft(town.public, f"town {number}", "keeper")))
    pattern = _holding(founder, charters, seed)
    founder.take(*charters)
    yield founder
    for number in range(1, hour.towns * hour.replicas):
        member, town = Member(f"replica {number}", seed), keys[number % hour.towns]
        _copy(pattern, member, town.public)
        certificate = certify(town, founder.ledger.id, member.id, member.keys, Role.WRITER)
        member.commit(partial(_enter, certificate=certificate))
        yield member


def _holding(founder: Member, charters: list[Batch], seed: int) -> Member:
    """A machine that holds these charters and has written nothing: what the others begin as."""
    pattern = Member("pattern", seed)

    def hold(unit: Unit) -> None:
        ledger = founder.ledger
        adopt_plane(unit, ledger.id, PlaneKind(ledger.kind), ledger.name, ledger.town)
        for batch in charters:
            receive(unit, batch)

    pattern.commit(hold)
    return pattern


def _copy(pattern: Member, member: Member, town: bytes) -> None:
    """Let a machine have what another one holds, as one of a certain town."""
    plane = replace(pattern.ledger, town=town)
    with pattern.store.read() as reader, member.store.write() as writer:
        for table in Table:
            for key, value in reader.scan(table, b""):
                writer.put(table, key, value)
        writer.put(Table.META, layout.plane_key(plane.number), encode_row(plane))
    member.restart()


def _enter(unit: Unit, certificate: list[bytes]) -> None:
    plane = unit.replica.ledger.number
    enter_plane(unit, plane, certificate)
    unit.seal()
    resettle(unit, plane, unit.replica.id)

"""A town of real replicas in one process, from one seed: what happens, in which order, and what goes wrong.

Everything random comes from one generator, every clock is set by hand, and nothing runs beside anything else, so a
seed always makes the same run. `run` lets people work while the network, the clocks, the disks and hostile replicas
misbehave; then it heals everything, lets the replicas exchange until they are in step, and checks the laws.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

from moot_protocol import crypto
from moot_protocol.batch import ZEROS
from moot_protocol.certificate import FORMAT, CertificateBody, build_certificate
from moot_protocol.charter import End, end_draft
from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.kinds import CERTIFICATE, Role
from moot_protocol.requests import Mutation
from moot_testkit import laws, model
from moot_testkit.hostile import Branch, Hostile, Knowledge
from moot_testkit.laws import Acknowledged, BrokenLawError, require
from moot_testkit.network import Network, Weather
from moot_testkit.town import PROJECT, START_MS, Member, make_town
from moot_testkit.workload import Workload
from mootd.engine.exchange import Exchange, Outgoing
from mootd.engine.issues.reading import Issues
from mootd.engine.log import LogReader
from mootd.engine.membership import end_replica
from mootd.engine.rebuild import Rebuild
from mootd.engine.receive import release_parked, resettle
from mootd.engine.state import REPLICA_KEY, TOWN_KEY
from mootd.engine.stored_feeds import StoredFeeds
from mootd.engine.unit import Unit
from mootd.service.reads import Snapshot
from mootd.service.writes import carry_out, is_atomic, once
from mootd.store.memory_store import CrashError, Faults

ROUNDS = 12
"""Rounds in which healed replicas must have come into step."""
MOST_MESSAGES = 5000
"""Messages after which the talk of one round counts as endless."""
_DAY_MS = 86_400_000


class Plan(NamedTuple):
    """What kind of run a seed makes."""

    members: int
    hostiles: int
    steps: int
    weather: Weather
    jumps: bool
    """Whether clocks are set while people work."""
    ends: bool
    """Whether the town ends feeds."""
    breaks: bool
    """Whether stores crash and fill up."""
    town_is_stolen: bool
    """Whether somebody else has the town key too."""


class Report(NamedTuple):
    """What came of a run that broke no law."""

    seed: int
    trace: str
    """A hash of everything that happened."""
    counts: Counter[str]
    """Faults and other things that happened, by kind."""


class Node:
    """A member of the town as the simulation runs it."""

    def __init__(self, index: int, member: Member, skew_ms: int) -> None:
        self.index = index
        self.member = member
        self.offset_ms = skew_ms
        """How far its wall clock is off."""
        self.exchange: Exchange = member.exchange()
        self.is_down = False
        self.known: dict[bytes, int] = {}
        """Its own feeds' (its key's, and the town's): the last number whose batch everybody may know."""
        self.unanswered: tuple[Mutation[Any], str] | None = None
        """A request that got no answer, and its idempotency key."""


def plan_of(random: Random) -> Plan:
    """Choose what a run is like."""
    bad = random.randrange(3)
    weather = Weather(
        loss=(0, 10, 40)[bad], repeats=(0, 10, 25)[bad], delay_ms=(0, 3_000, 60_000)[bad], garbled=(0, 0, 4)[bad]
    )
    return Plan(
        members=random.choice((2, 2, 3, 3, 4, 5)),
        hostiles=random.choice((0, 1, 1, 2)),
        steps=random.randrange(60, 140),
        weather=weather,
        jumps=random.randrange(3) == 0,
        ends=random.randrange(2) == 0,
        breaks=random.randrange(2) == 0,
        town_is_stolen=random.randrange(16) == 0,
    )


class Simulation:
    """One run.

    Args:
        seed: what everything follows from.
        plan: what it is like; chosen by the seed if left out.
    """

    def __init__(self, seed: int, plan: Plan | None = None) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.plan = plan or plan_of(self.random)
        self.now_ms = START_MS
        self.latest_ms = START_MS
        """The furthest that any wall clock ever stood."""
        self.counts: Counter[str] = Counter()
        self.knowledge = Knowledge()
        self.network = Network(self.random, self.plan.weather)
        self.acknowledged: list[Acknowledged] = []
        self._trace = sha256()
        self._workload = Workload(self.random, PROJECT)
        self._requests = 0
        members = make_town(self.plan.members, seed)
        self.nodes = [Node(at, member, self.random.randrange(-3000, 3000)) for at, member in enumerate(members)]
        self._plane = members[0].ledger.id
        self._peers: list[bytes] = [node.member.id for node in self.nodes]
        for node in self.nodes:
            self._set_clock(node)
            self._learn_own(node)
        self.hostiles = [self._hostile(at) for at in range(self.plan.hostiles)]
        if self.plan.town_is_stolen:
            self.hostiles.append(self._thief(self.nodes[0].member.keys.signer(TOWN_KEY), self._town))
        self._peers += [hostile.key.public for hostile in self.hostiles]

    @property
    def _town(self) -> bytes:
        return self.nodes[0].member.ledger.town

    def note(self, *what: object) -> None:
        """Add to the trace."""
        self._trace.update(repr(what).encode())

    # -- Who takes part ------------------------------------------------------------------------------------------
    def _hostile(self, at: int) -> Hostile:
        sort = self.random.randrange(8)
        if sort == 0:
            victim = self.random.choice(self.nodes).member
            return self._thief(victim.keys.signer(REPLICA_KEY), victim.id)
        key = SeedSigner(sha256(b"hostile %d %d" % (self.seed, at)).digest())
        if sort == 1:
            return Hostile(self.random, self._plane, key, None)
        town = self.nodes[0].member.keys.signer(TOWN_KEY)
        role = Role.READER if sort == 2 else Role.ADMIN if sort == 3 else Role.WRITER
        signer = key if sort == 4 else town
        body = CertificateBody(FORMAT, self._plane, town.public, key.public, bytes(32), role)
        certificate = build_certificate(body, signer)
        opening = (CERTIFICATE, key_text(key.public), CERTIFICATE, certificate)
        return Hostile(self.random, self._plane, key, opening)

    def _thief(self, key: SeedSigner, author: bytes) -> Hostile:
        """Somebody with a copy of an honest key, who goes on from where its feed stood then."""
        node = next(node for node in self.nodes if node.member.replica.feed_number(node.member.ledger.number, author))
        batch = next(node.member.batches(author)[-1] for node in self.nodes if node.member.batches(author))
        del node
        self.counts["stolen keys"] += 1
        start = Branch(batch.header.last, batch.id, batch.header.hlc_last)
        return Hostile(self.random, self._plane, key, None, start)

    def _up(self) -> list[Node]:
        return [node for node in self.nodes if not node.is_down]

    # -- The run -------------------------------------------------------------------------------------------------
    def run(self) -> Report:
        """Let everything happen, heal, and check the laws.

        Raises:
            BrokenLawError: one doesn't hold.
        """
        names, weights = self._actions()
        for _ in range(self.plan.steps):
            name = self.random.choices(names, weights)[0]
            self.note(name, self.now_ms)
            getattr(self, f"_do_{name}")()
        self._heal()
        self._bring_into_step()
        self._check()
        self.counts.update(self.network.faults)
        trace = sha256(self._trace.digest() + laws.fingerprint([node.member for node in self.nodes]).encode())
        return Report(self.seed, trace.hexdigest(), self.counts)

    def _actions(self) -> tuple[list[str], list[int]]:
        weights = {
            "write": 34,
            "talk": 16,
            "deliver": 24,
            "pass_time": 10,
            "break_store": 6 if self.plan.breaks else 0,
            "restart": 3 if self.plan.breaks else 0,
            "jump": 3 if self.plan.jumps else 0,
            "part": 3 if len(self.nodes) > 2 else 0,
            "join": 2,
            "hostile": 12 if self.hostiles else 0,
            "end": 2 if self.plan.ends else 0,
            "rebuild": 1,
            "check": 1,
        }
        return list(weights), list(weights.values())

    # -- Work ----------------------------------------------------------------------------------------------------
    def _do_write(self) -> None:
        """One commit of one to three requests at one replica; one that was not answered before is repeated first."""
        node = self._some_node()
        if node is None:
            return
        requests = [self._request(node) for _ in range(self.random.choice((1, 1, 1, 2, 3)))]
        if node.unanswered is not None:
            requests.insert(0, node.unanswered)
            self.counts["repeated requests"] += 1
        self._commit(node, requests)

    def _some_node(self) -> Node | None:
        up = self._up()
        return self.random.choice(up) if up else None

    def _request(self, node: Node) -> tuple[Mutation[Any], str]:
        self._requests += 1
        with node.member.replica.read() as reader:
            snapshot = Snapshot(node.member.replica, reader, node.member.clock.now_ms())
            request = self._workload.request(
                self.knowledge.issues, lambda name: _shown(snapshot.issues, name), self.now_ms
            )
        return request, f"key-{self._requests}" if self.random.randrange(2) else ""

    def _commit(self, node: Node, requests: list[tuple[Mutation[Any], str]]) -> None:
        first = node.member.replica.arrival
        node.unanswered = requests[-1] if requests[-1][1] else None

        def work(unit: Unit) -> int:
            done = 0
            for request, key in requests:
                done += self._carry_out(unit, request, key)
            return done

        if self._guarded(node, lambda: node.member.commit(work)):
            node.unanswered = None
            self._acknowledge(node, first)
            self._learn_own(node)

    def _carry_out(self, unit: Unit, request: Mutation[Any], key: str) -> bool:
        try:
            if is_atomic(request):
                with unit.savepoint():
                    once(unit, request, key, lambda unit: carry_out(unit, request))
            else:
                once(unit, request, key, lambda unit: carry_out(unit, request))
        except RefusedError as error:
            if error.code in {Code.STORE_FULL, Code.STORE_READ_ONLY}:
                raise
            self.counts["refused requests"] += 1
            self.note(error.code)
            return False
        self.counts["requests"] += 1
        return True

    def _acknowledge(self, node: Node, first: int) -> None:
        """Take down which writes were answered."""
        replica = node.member.replica
        with replica.read() as reader:
            log = LogReader(reader)
            for arrival in range(first, replica.arrival):
                stored = log.event(arrival)
                skeleton = stored.event.skeleton
                keys = tuple(change.key for change in skeleton.changes if not change.removes)
                author = replica.feeds[stored.feed].author
                self.acknowledged.append(
                    Acknowledged(
                        node.index, author, stored.event.n, stored.event.leaf, skeleton.kind, skeleton.entity, keys
                    )
                )
                self.note(stored.event.leaf)

    def _learn_own(self, node: Node) -> None:
        """Let everybody's knowledge have what a node has just written."""
        authors = (node.member.id, self._town) if node.index == 0 else (node.member.id,)
        for author in authors:
            known = node.known.get(author, 0)
            for batch in node.member.batches(author, after=known):
                self.knowledge.learn(batch)
                node.known[author] = max(node.known.get(author, 0), batch.header.last)

    def _guarded(self, node: Node, act: Callable[[], object]) -> bool:
        """Do something at a node; whether it ended well. Crashes and full disks are part of the run."""
        try:
            act()
        except CrashError:
            self.counts["crashes"] += 1
            self.note("crash")
            node.is_down = True
            return False
        except RefusedError as error:
            if error.code is not Code.STORE_FULL:
                raise
            self.counts["full disks"] += 1
            self.note("full")
            return False
        return True

    # -- Talk ----------------------------------------------------------------------------------------------------
    def _do_talk(self) -> None:
        """A node begins a round with another one."""
        node = self._some_node()
        if node is not None:
            to = self.random.choice([other.index for other in self.nodes if other is not node])
            self._start(node, to)

    def _start(self, node: Node, to: int) -> None:
        self._guarded(node, lambda: self._send(node, node.exchange.start(self._peers[to]), to))

    def _send(self, node: Node, outgoing: list[Outgoing], to: int) -> None:
        for each in outgoing:
            self.counts["messages"] += 1
            self.network.send(node.index, to, each.message, self.now_ms)

    def _do_deliver(self) -> None:
        for _ in range(self.random.randrange(1, 12)):
            if not self._deliver():
                return

    def _deliver(self) -> bool:
        """Let the next message arrive; whether there was one."""
        parcel = self.network.receive(self.now_ms)
        if parcel is None:
            return False
        if parcel.to >= len(self.nodes) or self.nodes[parcel.to].is_down:
            return True
        node = self.nodes[parcel.to]
        self.note(parcel.sender, parcel.to, sha256(parcel.message).digest())
        self._guarded(node, lambda: self._take(node, parcel.sender, parcel.message))
        return True

    def _take(self, node: Node, sender: int, message: bytes) -> None:
        try:
            taken = node.exchange.take(self._peers[sender], message)
        except MalformedError as error:
            self.counts["malformed messages"] += 1
            self.note(error.code)
            return
        for outcome in taken.outcomes:
            self.counts[f"batches {outcome}"] += 1
        self.counts["malformed batches"] += len(taken.malformed)
        self.note(taken.outcomes)
        honest = {peer: alarm for peer, alarm in node.exchange.alarms.items() if self._is_honest(peer)}
        require(not honest, "equal frontiers mean equal digests", node.member.name, honest)
        self._send(node, taken.outgoing, sender)

    def _is_honest(self, peer: bytes) -> bool:
        return peer not in {hostile.key.public for hostile in self.hostiles}

    # -- Time ----------------------------------------------------------------------------------------------------
    def _do_pass_time(self) -> None:
        self.now_ms += self.random.choice((1, 500, 5_000, 60_000, 700_000))
        for node in self._up():
            self._set_clock(node)
        for node in self._up():
            self._guarded(node, lambda node=node: node.member.commit(release_parked))  # type: ignore[misc]

    def _set_clock(self, node: Node) -> None:
        wall = self.now_ms + node.offset_ms
        node.member.clock.set_wall(wall)
        self.latest_ms = max(self.latest_ms, wall)

    def _do_jump(self) -> None:
        node = self._some_node()
        if node is not None:
            self.counts["clock jumps"] += 1
            node.offset_ms = self.random.choice(
                (0, 0, -5_000, 8_000, -3_600_000, 3_600_000, 660_000, _DAY_MS, -_DAY_MS)
            )
            self._set_clock(node)

    # -- Faults --------------------------------------------------------------------------------------------------
    def _do_break_store(self) -> None:
        """Let one of the next commits crash, before or after it, or one of the next writes find no room."""
        node = self._some_node()
        if node is None:
            return
        faults = node.member.store.faults
        match self.random.randrange(3):
            case 0:
                faults.crash_before_commit = faults.commits + self.random.randrange(1, 4)
            case 1:
                faults.crash_after_commit = faults.commits + self.random.randrange(1, 4)
            case 2:
                faults.full_at_write = faults.writes + self.random.randrange(1, 60)

    def _do_restart(self) -> None:
        for node in self.nodes:
            if node.is_down or not self.random.randrange(4):
                self._restart(node)

    def _restart(self, node: Node) -> None:
        """Begin anew with what the store has; every answered write must be there, or be reported as cut."""
        self.counts["restarts"] += 1
        node.member.restart(Faults())
        node.exchange = node.member.exchange()
        node.is_down = False
        self._learn_own(node)
        reports = laws.cuts_of(node.member)
        mine = [write for write in self.acknowledged if write.member == node.index]
        with node.member.replica.read() as reader:
            log = LogReader(reader)
            for write in mine:
                number = node.member.replica.feed_number(node.member.ledger.number, write.author) or 0
                stored = log.batch_holding(number, write.n)
                is_there = stored is not None and (
                    log.event(stored.arrival + write.n - stored.header.first).event.leaf == write.leaf
                )
                is_cut = any(each.author == write.author and each.first <= write.n <= each.last for each in reports)
                require(is_there or is_cut, "an acknowledged write survives a crash", write)

    def _do_part(self) -> None:
        self.network.split({node.index: self.random.randrange(2) for node in self.nodes})

    def _do_join(self) -> None:
        self.network.split({})

    def _do_rebuild(self) -> None:
        node = self._some_node()
        if node is not None:
            self.counts["rebuilds"] += 1
            self._guarded(node, lambda: node.member.commit(Rebuild().step))

    # -- Hostility -----------------------------------------------------------------------------------------------
    def _do_hostile(self) -> None:
        at = self.random.randrange(len(self.hostiles))
        to = self.random.randrange(len(self.nodes))
        name, message = self.hostiles[at].act(self.knowledge, self.now_ms)
        self.counts[f"hostile: {name}"] += 1
        self.note(name, sha256(message).digest())
        self.network.send(len(self.nodes) + at, to, message, self.now_ms)

    def _do_end(self) -> None:
        """The town ends somebody's feed: where it is accepted, or on one of its branches, or where nobody can see."""
        node = self.nodes[0]
        if node.is_down:
            return
        replica = node.member.replica
        own = {node.member.id, self._town}
        rows = [
            row for row in replica.feeds.values() if row.plane == node.member.ledger.number and row.author not in own
        ]
        forked = [row for row in rows if row.forked_at]
        chosen = self.random.choice(forked or rows) if rows else None
        if chosen is None or not (forked or self.random.randrange(3) == 0):
            return
        n = self.random.randrange(chosen.n + 1)

        def end(unit: Unit) -> None:
            if self.random.randrange(3) == 0:
                end_replica(unit, chosen.plane, chosen.author, n)
            else:
                self._end_a_branch(unit, chosen.plane, chosen.author)

        first = replica.arrival
        try:
            done = self._guarded(node, lambda: node.member.commit(end))
        except RefusedError as error:
            self.note(error.code)
            return
        if done:
            self.counts["ends"] += 1
            del first
            self._learn_own(node)

    def _end_a_branch(self, unit: Unit, plane: int, author: bytes) -> None:
        branches = list(StoredFeeds(unit, plane).branches(author).refs.values())
        if branches and self.random.randrange(8):
            ref = self.random.choice(branches)
            end = End(self.random.randrange(ref.first, ref.last + 1), ref.id, self._town)
        else:
            end = End(0, ZEROS, self._town)
        unit.append(plane, end_draft(author, end, "admin"), feed=unit.feed_number(plane, self._town))
        unit.seal()
        resettle(unit, plane, self._town)

    # -- Checking ------------------------------------------------------------------------------------------------
    def _do_check(self) -> None:
        """At any moment a replica's state follows from what it holds."""
        node = self._some_node()
        if node is not None:
            expected = model.expect(self._plane, laws.gathered(node.member))
            laws.check_state(node.member, expected)

    def _heal(self) -> None:
        """End every fault, set all clocks right, and let everybody have what hostile replicas made."""
        self.network.heal()
        self.now_ms = self.latest_ms
        for node in self.nodes:
            node.member.store.faults.crash_before_commit = None
            node.member.store.faults.crash_after_commit = None
            node.member.store.faults.full_at_write = None
            node.offset_ms = 0
            if node.is_down:
                self._restart(node)
            self._set_clock(node)
            node.member.commit(release_parked)
        for at, hostile in enumerate(self.hostiles):
            if hostile.made:
                self.network.send(len(self.nodes) + at, 0, hostile.all_batches(), self.now_ms)

    def _bring_into_step(self) -> None:
        for _ in range(ROUNDS):
            for node in self.nodes:
                for other in self.nodes:
                    if other is not node:
                        self._start(node, other.index)
            messages = 0
            while self._deliver():
                messages += 1
                require(messages < MOST_MESSAGES, "the sessions come to rest")
            self.counts["rounds"] += 1
            if len({node.exchange.log.position() for node in self.nodes}) == 1:
                return
        positions = {node.member.name: node.exchange.log.position() for node in self.nodes}
        frontiers = {position.frontier for position in positions.values()}
        law = "equal frontiers mean equal digests" if len(frontiers) == 1 else "healed replicas come into step"
        everything = [set(position.frontier) for position in positions.values()]
        common = set.intersection(*everything)
        raise BrokenLawError(
            "\n  ".join(
                [
                    law,
                    *(
                        f"{name}: {[each for each in at.frontier if each not in common]}"
                        for name, at in positions.items()
                    ),
                ]
            )
        )

    def _check(self) -> None:
        members = [node.member for node in self.nodes]
        for node in self.nodes:
            self._learn_own(node)
        batches = dict(self.knowledge_of_honest())
        proofs = []
        for member in members:
            held, evidence = laws.held_of(member)
            proofs += evidence
            for batch, _ in held:
                batches.setdefault((batch.id, batch.is_complete), batch)
        expected = model.expect(self._plane, model.gather(self._plane, batches.values(), proofs, self.now_ms))
        issues = model.issues_of(expected)
        self.counts["issues"] += len(issues)
        self.counts["events"] += len(expected.events)
        for member in members:
            laws.check_state(member, expected)
            laws.check_issues(member, issues)
            laws.check_fsck(member)
            laws.check_rebuild(member)
            laws.check_limits(member)
        laws.check_acknowledged(members, self.acknowledged, expected)

    def knowledge_of_honest(self) -> Iterator[tuple[tuple[bytes, bool], Any]]:
        """Every batch that an honest replica ever wrote."""
        stolen = {hostile.key.public for hostile in self.hostiles}
        for batch in self.knowledge.batches.values():
            if batch.header.author not in stolen:
                yield (batch.id, True), batch


def _shown(issues: Issues, name: str) -> dict[str, Any]:
    eid = issues.names.eid(name)
    record = None if eid is None else issues.entities.record(eid)
    return {} if record is None else issues.document(record)


@contextmanager
def remembered_signatures() -> Iterator[None]:
    """Verify each signature once in this process, however many replicas ask."""
    with patch.object(crypto, "is_signed", lru_cache(maxsize=1 << 16)(crypto.is_signed)):
        yield


def run(seed: int, plan: Plan | None = None) -> Report:
    """Run a seed; see `Simulation.run`."""
    with remembered_signatures():
        return Simulation(seed, plan).run()

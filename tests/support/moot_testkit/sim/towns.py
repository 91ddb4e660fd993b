"""Several towns on one simulated plane: their machines, what their keepers write into charters, and who steals keys."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from random import Random

from moot_protocol.crypto import SeedSigner, Signer
from moot_protocol.ids import key_from_text, key_text
from moot_protocol.log.batch import ZEROS, Batch
from moot_protocol.log.event import LEAF_PREFIX_BYTES, Dot, Draft
from moot_protocol.merge.kinds import CERTIFICATE, CHARTER, END, Role
from moot_protocol.trust.certificate import FORMAT, CertificateBody, build_certificate
from moot_protocol.trust.charter import (
    Admission,
    End,
    Invite,
    admission_draft,
    charter_draft,
    close_draft,
    end_draft,
    end_of,
    invite_draft,
)
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.sim.hostile import Branch, Hostile
from moot_testkit.towns.town import Member, make_town
from mootd.edges.entropy import SeededEntropy
from mootd.engine.exchange.receive import receive, resettle
from mootd.engine.membership.charter_writing import adopt_plane, certify, enter_plane
from mootd.engine.membership.charters import charter_events
from mootd.engine.state import REPLICA_KEY, TOWN_KEY
from mootd.engine.stored.feeds import StoredFeeds
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit

_ROLES = (Role.ADMIN, Role.ADMIN, Role.ADMIN, Role.WRITER, Role.READER)


# -- Machines --------------------------------------------------------------------------------------------------------
def make_towns(count: int, towns: int, seed: int, random: Random) -> list[Member]:
    """Members of several towns on the first one's ledger; the first `towns` of them hold their towns' keys.

    The founder lets in the second town as an admin, and either of them each other one.
    """
    if towns == 1:
        return make_town(count, seed)
    founder, *others = [*make_town(1, seed), *(Member(f"member {number}", seed) for number in range(1, count))]
    holders = [founder, *others[: towns - 1]]
    for at, holder in enumerate(holders[1:], start=1):
        holder.keys.create(TOWN_KEY)
        admitter = random.choice(holders[: min(at, 2)])
        role = Role.ADMIN if at == 1 else random.choice(_ROLES)
        _write(admitter, admission_draft(_town(holder).public, Admission(f"town {at}", role), "keeper"))
        holder.commit(_adopting(founder, _town(holder).public, _charters(holders[:at])))
        holder.commit(_opening(f"town {at}"))
    charters = _charters(holders)
    for at, member in enumerate(others, start=1):
        key = holders[at % towns].keys.signer(TOWN_KEY)
        member.commit(_adopting(founder, key.public, charters))
        certificate = certify(key, founder.ledger.id, member.id, member.keys, Role.WRITER)
        member.commit(_entering(certificate))
    return [founder, *others]


def _town(member: Member) -> Signer:
    return member.keys.signer(TOWN_KEY)


def _charters(holders: Sequence[Member]) -> list[Batch]:
    return [batch for holder in holders for batch in holder.batches(_town(holder).public)]


def _adopting(founder: Member, town: bytes, charters: Sequence[Batch]) -> Callable[[Unit], None]:
    ledger = founder.ledger

    def adopt(unit: Unit) -> None:
        adopt_plane(unit, ledger.id, PlaneKind(ledger.kind), ledger.name, town)
        for batch in charters:
            receive(unit, batch)

    return adopt


def _opening(name: str) -> Callable[[Unit], None]:
    def open_charter(unit: Unit) -> None:
        plane = unit.replica.ledger
        number = unit.feed_number(plane.number, plane.town)
        unit.set_feed(number, FeedRow(plane.number, plane.town, kind=CHARTER, town=plane.town))
        unit.append(plane.number, charter_draft(plane.town, name, "keeper"), feed=number)
        unit.seal()
        resettle(unit, plane.number, plane.town)

    return open_charter


def _entering(certificate: list[bytes]) -> Callable[[Unit], None]:
    def enter(unit: Unit) -> None:
        plane = unit.replica.ledger.number
        enter_plane(unit, plane, certificate)
        unit.seal()
        resettle(unit, plane, unit.replica.id)  # the town may be a reader

    return enter


def _write(member: Member, *drafts: Draft) -> None:
    member.commit(lambda unit: write_charter(unit, drafts))


def write_charter(unit: Unit, drafts: Sequence[Draft], plane: PlaneRow | None = None) -> None:
    """Write into the charter of this machine's town on a plane, its ledger where none is named, and act on it."""
    plane = plane or unit.replica.ledger
    for draft in drafts:
        unit.append(plane.number, draft, feed=unit.feed_number(plane.number, plane.town))
    unit.seal()
    resettle(unit, plane.number, plane.town)


# -- What keepers of town keys write ---------------------------------------------------------------------------------
class Keeper:
    """Somebody with a town's key, who lets in, removes and takes back whom chance says.

    Args:
        random: what all chance comes from.
        member: the machine with the key.
    """

    def __init__(self, random: Random, member: Member) -> None:
        self._random = random
        self._member = member

    def act(self, unit: Unit) -> str:
        """Write something into the town's charter; what it was."""
        rows = [row for row in unit.replica.feeds.values() if row.plane == self._member.ledger.number]
        acts = (self._admit, self._remove, self._remove, self._end, self._take_back, self._invite)
        act = self._random.choice(acts)
        drafts = act(unit, sorted(rows, key=lambda row: row.author))
        write_charter(unit, drafts)
        return act.__name__.strip("_") if drafts else "nothing"

    def _admit(self, unit: Unit, rows: list[FeedRow]) -> list[Draft]:
        del unit
        admission = Admission("somebody", self._random.choice(_ROLES))
        return [admission_draft(self._random.choice(rows).author, admission, "keeper")]

    def _remove(self, unit: Unit, rows: list[FeedRow]) -> list[Draft]:
        """Remove another town; now and then one of its replicas is forgotten."""
        del unit
        charters = [row for row in rows if row.kind == CHARTER and row.author != self._member.ledger.town]
        if not charters:
            return []
        removed = self._random.choice(charters)
        listed = [row for row in rows if row.town == removed.author and (row is removed or self._random.randrange(5))]
        ends = [(row.author, End(row.n, row.head if row.n else ZEROS, removed.author)) for row in listed]
        drafts = [end_draft(author, end, "keeper") for author, end in ends]
        if self._random.randrange(2):  # so that what a deeper town let in doesn't lapse
            admission = Admission("kept", Role.WRITER)
            drafts.append(admission_draft(removed.author, admission, "keeper"))
        return drafts

    def _end(self, unit: Unit, rows: list[FeedRow]) -> list[Draft]:
        """End somebody's feed on any of its branches, as one of any town's."""
        row = self._random.choice(rows)
        branches = sorted(StoredFeeds(unit, row.plane).branches(row.author).refs.values())
        town = self._random.choice([row.town or row.author, self._random.choice(rows).author])
        if row.author == self._member.ledger.town or not branches:
            return []
        ref = self._random.choice(branches)
        end = End(self._random.randrange(ref.first, ref.last + 1), ref.id, town)
        return [end_draft(row.author, end if self._random.randrange(5) else End(0, ZEROS, town), "keeper")]

    def _take_back(self, unit: Unit, rows: list[FeedRow]) -> list[Draft]:
        """Write a void end over one of its own."""
        del rows
        plane = unit.replica.ledger
        ends = [placed for placed in charter_events(unit, plane) if placed.event.skeleton.kind == END]
        if not ends:
            return []
        event = self._random.choice(ends).event
        author = key_from_text(event.skeleton.entity) or b""
        end = end_of(event, author)
        if end is None or end.n == 0:
            return []
        over = [Dot(plane.town, event.n, event.leaf[:LEAF_PREFIX_BYTES])]
        return [end_draft(author, end._replace(n=10**9), "keeper", over)]

    def _invite(self, unit: Unit, rows: list[FeedRow]) -> list[Draft]:
        """Make an invite that everybody knows the seed of, or close it."""
        del unit
        key = stranger_key(self._random.randrange(2)).public
        if self._random.randrange(3) == 0:
            return [close_draft(key, [self._random.choice(rows).author], "keeper")]
        town = self._random.choice((ZEROS, ZEROS, self._member.ledger.town))
        return [invite_draft(key, Invite(self._random.choice(_ROLES[2:]), town, 0, bytes(32)), "keeper")]


def stranger_key(number: int) -> SeedSigner:
    """A key whose seed everybody knows."""
    return SeedSigner(sha256(b"known to all %d" % number).digest())


# -- Who steals keys -------------------------------------------------------------------------------------------------
def hostile_town(random: Random, members: Sequence[Member], towns: int, seed: int, at: int) -> tuple[str, Hostile]:
    """Somebody with a copy of a town's key, or a replica that such a one certified; and what they do."""
    plane = members[0].ledger.id
    keys = [_signer(member.keys.signer(TOWN_KEY)) for member in members[:towns]]
    publics = [key.public for key in keys]
    own = SeedSigner(sha256(b"hostile %d %d" % (seed, at)).digest())
    match random.randrange(6):
        case 0:  # goes on, or forks, from where the charter stood
            victim = random.randrange(1, towns)
            batch = members[victim].batches(publics[victim])[-1]
            start = Branch(batch.header.last, batch.id, batch.header.hlc_last)
            return "stolen towns", Hostile(random, plane, keys[victim], None, start, publics)
        case 1:
            key = random.choice(keys[1:])
            return "towns forked at the first batch", Hostile(random, plane, key, charter_of(key), None, publics)
        case 2:
            opening = certificate_of(plane, random.choice(keys[1:]), own.public)
            return "fresh keys of a town", Hostile(random, plane, own, opening)
        case 3:
            stolen = _signer(random.choice(members).keys.signer(REPLICA_KEY))
            opening = certificate_of(plane, random.choice(keys), stolen.public)
            return "replicas forked at the first batch", Hostile(random, plane, stolen, opening)
        case 4:
            paper = SeedSigner(SeededEntropy(f"{seed} recovery".encode()).bytes(32))
            return "stolen recovery keys", Hostile(random, plane, paper, charter_of(paper), None, publics)
    return "strange towns", Hostile(random, plane, own, charter_of(own), None, publics)


def _signer(key: Signer) -> SeedSigner:
    if not isinstance(key, SeedSigner):
        raise TypeError("keys in memory are seeds")
    return key


def charter_of(key: SeedSigner) -> tuple[str, str, str, list[str]]:
    """What opens a charter."""
    return CHARTER, key_text(key.public), CHARTER, ["mallory's"]


def certificate_of(plane: bytes, town: SeedSigner, subject: bytes) -> tuple[str, str, str, list[bytes]]:
    """What opens a replica's feed."""
    body = CertificateBody(FORMAT, plane, town.public, subject, bytes(32), Role.ADMIN)
    return CERTIFICATE, key_text(subject), CERTIFICATE, build_certificate(body, town)

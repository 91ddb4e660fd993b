"""Leases over the store: taking, prolonging and giving them back, on the first ledger of this machine's town.

Invariant: a machine writes claims and terms in its own name only, and only over what it saw; what counts is
`moot_protocol.exchange.task_lease`'s to say, of the machines of one's own town. Where that has had other keys, its
leases go on: the epoch begins above the highest under any of them, and who holds a lease under one holds it until it
ends. An epoch never goes back: where a live claim counts for nothing, or isn't above those that it superseded, all
that the log has are read. What this machine takes itself to hold is noted on it alone, so that it is told when another
has taken it over, also after a restart.
"""

import re
from collections.abc import Callable, Container, Iterator, Set
from functools import cached_property
from typing import Any, Final, NamedTuple

from moot_protocol.clock import to_ms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.exchange.task_lease import (
    CLAIMS,
    TERMS,
    Standing,
    Token,
    claim_of,
    is_free,
    may_act,
    passes,
    standing_of,
    term_name,
    token_of,
)
from moot_protocol.ids import key_text
from moot_protocol.limits import LEASE_LEAST_MS, LEASE_MARGIN_MS, LEASE_MOST_MS
from moot_protocol.merge.kinds import LEASE
from moot_protocol.merge.register import Sibling
from moot_protocol.time_units import DAY_MS, MINUTE_MS
from mootd.engine.editor import Editor
from mootd.engine.membership.former import held_replicas, line_of
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import FeedRow, PlaneRow, StoredEvent
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities, Name, value_in
from mootd.engine.views.record import Record
from mootd.store.port import Reader, Table

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)


class Held(NamedTuple):
    """A lease and who holds it."""

    name: str
    standing: Standing | None


class LeaseView:
    """The leases of this machine's town, inside a transaction.

    Args:
        entities: the transaction.
        plane: the ledger they stand on.
        feed_of: a feed by its number.
    """

    def __init__(self, entities: Entities, plane: PlaneRow, feed_of: Callable[[int], FeedRow]) -> None:
        self._entities = entities
        self._plane = plane
        self._feed_of = feed_of

    @cached_property
    def _towns(self) -> tuple[bytes, ...]:
        """The keys that the town has had, the latest first: of two that say the same the latest counts."""
        return line_of(self._entities.reader, self._plane)

    def entity(self, name: str) -> str:
        """The id of a lease's entity: towns that share a ledger have leases of their own."""
        return _begin(self._plane.town) + name

    def standing(self, name: str) -> Standing | None:
        """Who holds a lease."""
        found = [standing for town in self._towns if (standing := self._under(town, name)) is not None]
        return max(found, key=lambda standing: standing.token.epoch, default=None)

    def all(self) -> Iterator[Held]:
        """Every lease, by name."""
        names = {name for town in self._towns for name in self._names(town)}
        return (Held(name, self.standing(name)) for name in sorted(names))

    def _names(self, town: bytes) -> Iterator[str]:
        start = layout.id_key(self._plane.number, LEASE, _begin(town))
        for key, _ in self._entities.reader.scan(self._entities.views.ids, start, layout.after(start)):
            yield layout.id_entity(key).removeprefix(_begin(town))

    def _under(self, town: bytes, name: str) -> Standing | None:
        """Who holds a lease by what was written under one of the town's keys."""
        record = self._record(town, name)
        if record is None:
            return None
        live = self._entities.live(record)
        claims = live.get(CLAIMS, ())
        if not claims or not all(self._is_plain(town, record, claim) for claim in claims):
            claims = self._ever(town, record)
        return standing_of(claims, live.get(TERMS, ()))

    def _record(self, town: bytes, name: str) -> Record | None:
        key = layout.id_key(self._plane.number, LEASE, _begin(town) + name)
        eid = self._entities.reader.get(self._entities.views.ids, key)
        return None if eid is None else self._entities.record(int.from_bytes(eid, "big"))

    def _is_plain(self, town: bytes, record: Record, claim: Sibling) -> bool:
        """Whether a claim counts, and has an epoch above all that it superseded, be it by claims that don't count."""
        token, lineage = self._token(town, claim), self._entities.lineage(record, CLAIMS)
        if token is None:
            return False
        left, met = [*lineage.over((claim.author, claim.n))], set[Name]()
        while left:
            met.add(name := left.pop())
            stored = self._entities.stored(self._plane.number, name)
            earlier = None if stored is None else self._token(town, self._claim(stored))
            if earlier is not None and earlier.epoch >= token.epoch:
                return False
            left += [each for each in lineage.over(name) if each not in met]
        return True

    def _ever(self, town: bytes, record: Record) -> list[Sibling]:
        """The claims that count of all that were ever made, as far as they are accepted."""
        found, head = [], record.head
        while head:
            stored = self._entities.event(head)
            if self._token(town, claim := self._claim(stored)) is not None:
                found.append(claim)
            head = stored.previous
        return found

    def _claim(self, stored: StoredEvent) -> Sibling:
        """What an event claimed, as if nothing had superseded it."""
        skeleton, author = stored.event.skeleton, self._entities.author_of(stored.feed)
        return Sibling(value_in(stored, CLAIMS), skeleton.hlc, author, stored.event.n, skeleton.actor)

    def _token(self, town: bytes, claim: Sibling) -> Token | None:
        """The token of a claim that a machine of the town made; None where it counts for nothing."""
        feed = self._entities.feed_number(self._plane.number, claim.author)
        return token_of(claim) if feed is not None and self._feed_of(feed).town == town else None

    def leapt(self, name: str) -> Token | None:
        """The highest epoch to which no claim led, and who claimed it: no machine does that by itself."""
        records = ((town, record) for town in self._towns if (record := self._record(town, name)) is not None)
        tokens = {token for town, record in records for each in self._ever(town, record) if (token := token_of(each))}
        epochs = {0} | {token.epoch for token in tokens}
        return max((token for token in tokens if token.epoch - 1 not in epochs), default=None)


def _begin(town: bytes) -> str:
    return f"{key_text(town)}/"


def view_in(unit: Unit) -> LeaseView:
    """The leases as a unit has left them so far."""
    unit.flush()
    return LeaseView(unit.entities(), unit.replica.ledger, unit.feed)


def hybrid_ms(unit: Unit) -> int:
    """The time that leases go by: the wall clock, or what was heard of others if that is later."""
    return max(unit.now_ms, to_ms(unit.clock.last))


# -- Taking and keeping ------------------------------------------------------------------------------------------
def acquire(unit: Unit, name: str, actor: str, ttl_ms: int, *, force: bool = False) -> Held:
    """Take a lease under the next epoch; where this machine holds it, prolong it under its own.

    What it held under a key that it had before and that counts no more it takes anew at once.

    Raises:
        RefusedError: `conflict`: another machine holds it, and `force` isn't given; `invalid`, `limit`.
    """
    _check(name, ttl_ms)
    standing, me, now_ms = view_in(unit).standing(name), unit.replica.id, hybrid_ms(unit)
    if standing is not None and standing.token.holder == me and may_act(standing.token, standing, now_ms):
        return renew(unit, name, standing.token.epoch, actor, ttl_ms)
    if standing is not None and not force and not is_free(standing, now_ms) and not _is_mine(unit, standing):
        raise RefusedError(
            f"lease {name} is held by {key_text(standing.token.holder)} under epoch {standing.token.epoch}",
            code=Code.CONFLICT,
            hint="`moot town promote` with --force takes it from a machine that is gone",
            retryable=True,
        )
    _take(unit, name, standing, actor, now_ms + ttl_ms)
    return Held(name, view_in(unit).standing(name))


def _take(unit: Unit, name: str, standing: Standing | None, actor: str, until_ms: int) -> None:
    """Claim a lease under the next epoch."""
    epoch = 1 if standing is None else standing.token.epoch + 1
    if epoch > hybrid_ms(unit):
        raise _too_early(name, epoch, view_in(unit).leapt(name), unit.now_ms)
    token = Token(epoch, unit.replica.id)
    editor = _editor(unit, name, actor)
    editor.add(CLAIMS, claim_of(token), over=[group for group, _ in editor.elements(CLAIMS)])
    ends = [group for group, _ in editor.elements(TERMS)]
    editor.add(TERMS, [term_name(token), until_ms], over=ends)
    editor.save()
    unit.transaction.put(Table.META, layout.lease_held_key(name), epoch.to_bytes(8, "big"))


def _too_early(name: str, epoch: int, leapt: Token | None, now_ms: int) -> RefusedError:
    """The refusal to take a lease under an epoch that no claim of now can have yet."""
    hint = f"try again in {(epoch - now_ms) // 1000 + 1} seconds"
    if leapt is not None:
        hint += f"; if {key_text(leapt.holder)}, which claimed epoch {leapt.epoch} out of turn, was stolen: "
        hint += "`moot replica retire`"
    return RefusedError(
        f"lease {name} can't be taken under epoch {epoch} yet", code=Code.LIMIT, hint=hint, retryable=True
    )


def _is_mine(unit: Unit, standing: Standing) -> bool:
    return standing.token.holder in OwnKeys(unit, unit.replica)


def renew(unit: Unit, name: str, epoch: int, actor: str, ttl_ms: int) -> Held:
    """Prolong a lease that this machine holds under an epoch.

    Raises:
        RefusedError: `lost_race`: another holds it by now, or its end has passed; `invalid`, `limit`.
    """
    _check(name, ttl_ms)
    standing, token, now_ms = view_in(unit).standing(name), Token(epoch, unit.replica.id), hybrid_ms(unit)
    if standing is None or not passes(token, standing):
        raise _fenced(name, epoch, standing)
    if now_ms >= standing.until_ms:
        raise RefusedError(f"lease {name} has run out", code=Code.LOST_RACE, hint="take it anew", retryable=True)
    _write_end(unit, name, token, actor, now_ms + ttl_ms)
    return Held(name, view_in(unit).standing(name))


def release(unit: Unit, name: str, epoch: int, actor: str) -> Held:
    """Give a lease back, where this machine holds it under this epoch."""
    _check(name, LEASE_LEAST_MS)
    token = Token(epoch, unit.replica.id)
    standing = view_in(unit).standing(name)
    if passes(token, standing):
        _write_end(unit, name, token, actor, 0)
    elif standing is not None and _is_mine(unit, standing):
        if standing.token.epoch != epoch:
            return Held(name, standing)  # held under another epoch by now, which stays noted
        _take(unit, name, standing, actor, 0)  # nothing more can be said in the name of a former key
    unit.transaction.delete(Table.META, layout.lease_held_key(name))
    return Held(name, view_in(unit).standing(name))


def _write_end(unit: Unit, name: str, token: Token, actor: str, until_ms: int) -> None:
    editor = _editor(unit, name, actor)
    editor.set_entry(TERMS, term_name(token), until_ms)
    editor.save()


def _editor(unit: Unit, name: str, actor: str) -> Editor:
    return Editor(unit, unit.replica.ledger.number, LEASE, view_in(unit).entity(name), actor)


def _check(name: str, ttl_ms: int) -> None:
    if not _NAME.fullmatch(name):
        raise RefusedError(f"{name!r} can't name a lease: lowercase letters, digits and hyphens, 40 at most")
    if not LEASE_LEAST_MS <= ttl_ms <= LEASE_MOST_MS:
        least, most = LEASE_LEAST_MS // MINUTE_MS, LEASE_MOST_MS // DAY_MS
        raise RefusedError(f"a lease holds for {least} minutes to {most} days", code=Code.LIMIT)


class OwnKeys:
    """Under which keys this machine holds leases: its own, and those that it had before and that count no more.

    None that another machine may have had, too: of a machine and its copy at most one goes on under what they held.
    Keys are read when another than its own is asked about, and not before.

    Args:
        source: one state of the log.
        replica: the replica.
    """

    def __init__(self, source: Source, replica: State) -> None:
        self._source = source
        self._replica = replica

    def __contains__(self, key: object) -> bool:
        return key == self._replica.id or key in self._former

    @cached_property
    def _former(self) -> Set[bytes]:
        return held_replicas(self._source, self._replica, self._replica.ledger)


def _fenced(name: str, epoch: int, standing: Standing | None) -> RefusedError:
    now = "nobody holds it" if standing is None else f"{key_text(standing.token.holder)} holds it"
    under = f" under epoch {standing.token.epoch}" if standing else ""
    return RefusedError(
        f"lease {name} is no longer this machine's under epoch {epoch}: {now}{under}",
        code=Code.LOST_RACE,
        hint="stop what was done on its behalf",
    )


# -- Being told --------------------------------------------------------------------------------------------------
def fenced(reader: Reader, view: LeaseView, own: Container[bytes]) -> dict[str, int]:
    """Leases that this machine took itself to hold and another has taken over → the epoch that it held them under."""
    found = {}
    prefix = layout.LEASES_HELD
    for key, value in reader.scan(Table.META, prefix, layout.after(prefix)):
        name, epoch = key[len(prefix) :].decode(), int.from_bytes(value, "big")
        standing = view.standing(name)
        if standing is not None and standing.token.holder not in own:
            found[name] = epoch
    return found


def document(held: Held, own: Container[bytes], now_ms: int, lost: int = 0) -> dict[str, Any]:
    """A lease as requests answer it; `own` are the keys under which this machine holds leases."""
    standing = held.standing
    return {
        "name": held.name,
        "epoch": standing.token.epoch if standing else 0,
        "holder": key_text(standing.token.holder) if standing else "",
        "is_here": standing is not None and standing.token.holder in own,
        "actor": standing.actor if standing else "",
        "since_ms": standing.since_ms if standing else 0,
        "until_ms": standing.until_ms if standing else 0,
        "state": _state(standing, now_ms),
        "fenced": lost,
    }


def _state(standing: Standing | None, now_ms: int) -> str:
    if standing is not None and standing.until_ms == 0:
        return "released"
    if standing is None or is_free(standing, now_ms):
        return "free"
    return "held" if now_ms < standing.until_ms - LEASE_MARGIN_MS else "ending"

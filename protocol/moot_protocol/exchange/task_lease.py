"""Leases: work that one machine of a town does at a time, and the numbers that keep two from doing it at once.

A lease is an entity with two keys. `claims` holds `[epoch, holder]` of those who took it; `terms` holds, by name
`epoch:holder`, until when (milliseconds since 1970; 0: given back). Both count only from the replica that they name,
and a claim only with an epoch no higher than the milliseconds since 1970 of its own timestamp: no honest one comes near
that, and since timestamps only go on, one more can always be taken. So nobody uses up a lease's epochs.

    who holds it     of the highest epoch the claim of the lowest rank (hlc, author, n)
    taking it        a claim with the next epoch, over every claim and term that was seen
    acting           until `LEASE_MARGIN_MS` before the end, by the holder's hybrid clock
    taking it over   from `LEASE_MARGIN_MS` after the end, by the taker's

Guarantees: of one set of events there is one holder, so that all who hold the same events agree; for each epoch, at
most one holder passes `passes` there. A resource that hears of no log and refuses a lower epoch, and of one epoch every
holder but the first, is never worked on by two under one epoch, nor by an earlier one after a later. An epoch only
grows, also where the town has taken another key since: leases of all keys that it has had are read as one; and where
somebody's claim has superseded a higher one, or counts for nothing itself, all that were ever made are read instead.
Not guaranteed: that nobody else *believes* to hold it. Two machines that can't hear one another both may, each for its
own end of the partition, and clocks further apart than twice the margin may overlap. Nor that epochs grow where a
machine of the town takes all claims away and then makes one that supersedes nothing. What was done under a lease has to
be checked by its token where it takes effect.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from moot_protocol.clock import to_ms
from moot_protocol.ids import key_text
from moot_protocol.limits import LEASE_MARGIN_MS, LEASE_MOST_MS
from moot_protocol.merge.register import Sibling

CLAIMS = "claims"
TERMS = "terms"
_KEY_BYTES = 32


class Token(NamedTuple):
    """What somebody shows who acts on a lease's behalf: the fencing token."""

    epoch: int
    holder: bytes
    """The holder's replica key."""


class Standing(NamedTuple):
    """Who holds a lease."""

    token: Token
    until_ms: int
    """The end of it; 0 where it was given back."""
    actor: str
    """Who took it."""
    since_ms: int
    """When it was taken, by the taker's clock."""


def claim_of(token: Token) -> list[Any]:
    """A claim as it is written."""
    return [token.epoch, token.holder]


def term_name(token: Token) -> str:
    """The name that a token's term stands under."""
    return f"{token.epoch}:{key_text(token.holder)}"


def standing_of(claims: Sequence[Sibling], terms: Sequence[Sibling]) -> Standing | None:
    """Who holds a lease by its live claims and terms, in whatever order; None where nobody ever took it."""
    read = [(token, claim) for claim in claims if (token := token_of(claim)) is not None]
    if not read:
        return None
    token, claim = min(read, key=lambda each: (-each[0].epoch, each[1].rank))
    return Standing(token, _end(token, terms), claim.actor, to_ms(claim.hlc))


def token_of(claim: Sibling) -> Token | None:
    """A claim's token; None where it is none, is made in another's name, or has an epoch that nobody can have reached.

    Whoever is to say that an epoch was reached has to look at more than what is live: a claim that counts for nothing
    may have superseded others.
    """
    value = claim.value
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    epoch, holder = value
    fits = type(epoch) is int and 0 < epoch <= to_ms(claim.hlc) and holder == claim.author
    return Token(epoch, claim.author) if fits and len(claim.author) == _KEY_BYTES else None


def _end(token: Token, terms: Sequence[Sibling]) -> int:
    """The end that the holder wrote last, never further ahead of that writing than a lease may last."""
    name = term_name(token)
    own = [term for term in terms if term.author == token.holder and _is_term(term.value, name)]
    if not own:
        return 0
    last = max(own, key=lambda term: term.rank)
    until_ms: int = last.value[1]
    return max(min(until_ms, to_ms(last.hlc) + LEASE_MOST_MS), 0)


def _is_term(value: Any, name: str) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and value[0] == name and type(value[1]) is int


# -- What it allows ----------------------------------------------------------------------------------------------
def is_free(standing: Standing | None, now_ms: int) -> bool:
    """Whether somebody else may take a lease."""
    return standing is None or standing.until_ms == 0 or now_ms >= standing.until_ms + LEASE_MARGIN_MS


def passes(token: Token, standing: Standing | None) -> bool:
    """Whether a token is the one that holds, as far as is known here."""
    return standing is not None and standing.token == token


def may_act(token: Token, standing: Standing | None, now_ms: int) -> bool:
    """Whether its holder may go on."""
    return passes(token, standing) and standing is not None and now_ms < standing.until_ms - LEASE_MARGIN_MS

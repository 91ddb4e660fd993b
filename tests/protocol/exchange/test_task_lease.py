"""Leases: one holder for one set of events, and never two that pass for one epoch, whatever clocks and networks do."""

from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.clock import from_ms
from moot_protocol.exchange.task_lease import (
    Standing,
    Token,
    claim_of,
    is_free,
    may_act,
    passes,
    standing_of,
    term_name,
)
from moot_protocol.limits import LEASE_LEAST_MS, LEASE_MARGIN_MS, LEASE_MOST_MS
from moot_protocol.merge.register import Sibling

ADA, BOB, CAT = (bytes([number]) * 32 for number in (1, 2, 3))
NOW = 1_700_000_000_000

authors = st.sampled_from([ADA, BOB, CAT])


def claim(epoch: Any, author: bytes, at: int = 0, n: int = 1, holder: Any = None) -> Sibling:
    return Sibling([epoch, author if holder is None else holder], from_ms(NOW + at), author, n, "ada")


def term(epoch: int, author: bytes, until: Any, at: int = 0, n: int = 2, holder: bytes | None = None) -> Sibling:
    name = term_name(Token(epoch, holder or author))
    return Sibling([name, until], from_ms(NOW + at), author, n)


claims = st.lists(
    st.builds(claim, st.integers(1, 3), authors, st.integers(0, 3), st.integers(1, 9), st.none()),
    max_size=5,
    unique_by=lambda each: (each.author, each.n),
)


def token_of(*live: Sibling) -> Token | None:
    standing = standing_of(live, ())
    return standing.token if standing else None


# -- Who holds it ------------------------------------------------------------------------------------------------
@given(claims, st.randoms(use_true_random=False))
def test_one_holder_whatever_the_order_of_highest_epoch_and_lowest_rank(live: list[Sibling], random: Random) -> None:
    mixed = list(live)
    random.shuffle(mixed)
    found = token_of(*mixed)
    assert found == token_of(*live)
    if found is not None:
        highest = max(each.value[0] for each in live)
        first = min((each for each in live if each.value[0] == highest), key=lambda each: each.rank)
        assert found == Token(highest, first.author)
        assert (
            sum(
                passes(Token(*each.value), standing_of(live, ())) for each in {tuple(c.value): c for c in live}.values()
            )
            == 1
        )


@pytest.mark.parametrize(
    "wrong",
    [
        claim(9, ADA, holder=BOB), claim(9, ADA, holder="ada"), claim(0, ADA), claim(-1, ADA), claim("9", ADA),
        claim(True, ADA), claim(NOW + 1, ADA), claim(9.0, ADA), Sibling("9", 0, ADA, 1),
        Sibling([9], 0, ADA, 1), claim(9, b"short"),
    ],
)  # fmt: skip
def test_what_is_no_claim_or_one_in_anothers_name_counts_for_nothing(wrong: Sibling) -> None:
    assert token_of(wrong) is None
    assert token_of(wrong, claim(1, BOB, n=3)) == Token(1, BOB)


def test_an_epoch_is_no_higher_than_the_time_of_its_claim_in_milliseconds() -> None:
    assert token_of(claim(NOW, ADA)) == Token(NOW, ADA)
    assert token_of(claim(NOW + 5, ADA, at=5), claim(NOW + 6, BOB, at=5)) == Token(NOW + 5, ADA)


def test_the_end_is_what_the_holder_wrote_last_and_nobody_else() -> None:
    live = [claim(2, ADA)]
    ends = [
        term(2, ADA, 300),
        term(2, ADA, 200, at=5, n=4),
        term(1, ADA, 999, at=9, n=5),
        term(2, BOB, 999, 9, holder=ADA),
    ]
    standing = standing_of(live, ends)
    assert standing == Standing(Token(2, ADA), 200, "ada", NOW)


@pytest.mark.parametrize(("written", "read"), [("soon", 0), (-5, 0), (True, 0), (NOW * 2, NOW + LEASE_MOST_MS)])
def test_no_end_is_further_away_than_a_lease_may_last(written: Any, read: int) -> None:
    standing = standing_of([claim(1, ADA)], [term(1, ADA, written)])
    assert standing is not None
    assert standing.until_ms == read


# -- What it allows ----------------------------------------------------------------------------------------------
def test_a_holder_stops_before_others_begin() -> None:
    standing = Standing(Token(1, ADA), NOW, "ada", 0)
    assert may_act(standing.token, standing, NOW - LEASE_MARGIN_MS - 1)
    assert not may_act(standing.token, standing, NOW - LEASE_MARGIN_MS)
    assert not is_free(standing, NOW + LEASE_MARGIN_MS - 1)
    assert is_free(standing, NOW + LEASE_MARGIN_MS)
    assert is_free(standing._replace(until_ms=0), 0)
    assert is_free(None, 0)
    assert not may_act(Token(1, BOB), standing, 0)


# -- A town of machines ------------------------------------------------------------------------------------------
class Seen(NamedTuple):
    """What one machine holds: writes by name, and what superseded them."""

    writes: dict[tuple[str, bytes, int], tuple[Sibling, frozenset[tuple[str, bytes, int]]]]

    def live(self, key: str) -> list[Sibling]:
        over = {name for _, names in self.writes.values() for name in names}
        return [sibling for name, (sibling, _) in self.writes.items() if name[0] == key and name not in over]

    def standing(self) -> Standing | None:
        return standing_of(self.live("c"), self.live("t"))


class Machine:
    """A machine with a clock that is wrong by a fixed amount."""

    def __init__(self, author: bytes, skew: int) -> None:
        self.author, self.skew, self.n = author, skew, 0
        self.seen = Seen({})
        self.token: Token | None = None

    def clock(self, now: int) -> int:
        return now + self.skew

    def write(self, key: str, value: Any, over: list[Sibling], now: int) -> None:
        self.n += 1
        names = frozenset((key, each.author, each.n) for each in over)
        self.seen.writes[key, self.author, self.n] = (
            Sibling(value, from_ms(self.clock(now)), self.author, self.n),
            names,
        )

    def acquire(self, now: int, *, force: bool) -> None:
        standing = self.seen.standing()
        if not force and not is_free(standing, self.clock(now)):
            return
        self.token = Token(1 if standing is None else standing.token.epoch + 1, self.author)
        self.write("c", claim_of(self.token), self.seen.live("c"), now)
        self.renew(now)

    def renew(self, now: int) -> None:
        if self.token is None or not passes(self.token, self.seen.standing()):
            self.token = None  # fenced, and told so
            return
        over = [each for each in self.seen.live("t") if each.author == self.author]
        self.write("t", [term_name(self.token), self.clock(now) + LEASE_LEAST_MS], over, now)

    def acts(self, now: int) -> bool:
        return self.token is not None and may_act(self.token, self.seen.standing(), self.clock(now))


def _meet(machines: list[Machine]) -> None:
    every = {name: write for machine in machines for name, write in machine.seen.writes.items()}
    for machine in machines:
        machine.seen.writes.update(every)


def _step(random: Random, machines: list[Machine], now: int) -> None:
    machine = random.choice(machines)
    match random.randrange(4):
        case 0:
            machine.acquire(now, force=random.randrange(6) == 0)
        case 1:
            machine.renew(now)
        case _:
            _meet(random.sample(machines, 2))


@given(st.integers(0, 2**32))
def test_under_partitions_and_skew_never_two_pass_for_one_epoch_and_all_agree_in_the_end(seed: int) -> None:
    random = Random(seed)
    machines = [
        Machine(author, random.randrange(-10 * LEASE_MARGIN_MS, 10 * LEASE_MARGIN_MS)) for author in (ADA, BOB, CAT)
    ]
    now = NOW
    epochs = dict.fromkeys((ADA, BOB, CAT), 0)
    for _ in range(60):
        now += random.randrange(LEASE_LEAST_MS // 2)
        _step(random, machines, now)
        for machine in machines:
            standing = machine.seen.standing()
            passing = {each.token for each in machines if each.token and passes(each.token, standing)}
            assert len(passing) <= 1
            if standing is not None:
                assert standing.token.epoch >= epochs[machine.author]
                epochs[machine.author] = standing.token.epoch
    _meet(machines)
    assert len({machine.seen.standing() for machine in machines}) == 1
    for machine in machines:
        machine.renew(now)
    assert sum(machine.token is not None for machine in machines) <= 1


@given(st.integers(0, 2**32))
def test_machines_that_hear_one_another_and_whose_clocks_are_nearly_right_never_act_at_once(seed: int) -> None:
    random = Random(seed)
    machines = [Machine(author, random.randrange(-LEASE_MARGIN_MS, LEASE_MARGIN_MS)) for author in (ADA, BOB, CAT)]
    now = NOW
    for _ in range(60):
        now += random.randrange(LEASE_LEAST_MS)
        machine = random.choice(machines)
        machine.acquire(now, force=False) if random.randrange(2) else machine.renew(now)
        _meet(machines)
        assert sum(each.acts(now) for each in machines) <= 1

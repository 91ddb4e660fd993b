"""When an exchange that somebody asked for is over, though others go on writing."""

from moot_protocol.exchange.frontier import FORMAT, Entry, Form, FrontierBody
from mootd.exchange.goals import UNDER_WAY_MS, Goals

ME, ADA, BOB = (bytes([number]) * 32 for number in (1, 2, 3))
ASKED_MS = 10_000
HEARD_MS = ASKED_MS + UNDER_WAY_MS
"""The first moment at which what comes was surely sent after that."""


def entries(**held: int) -> tuple[Entry, ...]:
    keys = {"me": ME, "ada": ADA, "bob": BOB}
    return tuple(Entry(keys[name], n, bytes(32)) for name, n in held.items())


def told(form: Form, **held: int) -> FrontierBody:
    return FrontierBody(FORMAT, bytes(16), ADA, ME, 1, bytes(32), bytes(32), form, entries(**held))


def asked(own_n: int) -> Goals:
    goals = Goals(ME)
    goals.begin(own_n, ASKED_MS)
    return goals


def test_a_peer_is_reached_when_what_it_held_is_here_whatever_it_writes_meanwhile() -> None:
    goals = asked(5)
    goals.hear(ADA, told(Form.ALL, me=5, ada=7), HEARD_MS, is_in_step=False)
    goals.look(entries(me=6, ada=6))
    assert (goals.is_open, goals.reached) == (True, set())
    goals.hear(ADA, told(Form.ALL, me=5, ada=9), HEARD_MS, is_in_step=False)
    goals.look(entries(me=6, ada=7))
    assert (goals.is_open, goals.reached) == (False, {ADA})


def test_a_peer_that_lacks_what_was_written_here_is_not_reached_until_it_says_that_it_holds_it() -> None:
    goals = asked(5)
    for lacking in (told(Form.ALL, ada=7), told(Form.SOME, me=4, ada=7)):
        goals.hear(ADA, lacking, HEARD_MS, is_in_step=False)
        goals.look(entries(me=5, ada=7))
        assert not goals.reached
    goals.hear(
        ADA, told(Form.SOME, ada=8), HEARD_MS, is_in_step=False
    )  # of this replica's nothing differs from what it told
    goals.look(entries(me=5, ada=7))
    assert goals.reached == {ADA}


def test_a_peer_that_was_in_step_for_a_moment_is_reached() -> None:
    goals = asked(5)
    goals.hear(ADA, told(Form.SUMMARY), HEARD_MS, is_in_step=True)
    goals.hear(BOB, told(Form.SUMMARY), HEARD_MS, is_in_step=False)
    assert (goals.is_open, goals.reached) == (False, {ADA})


def test_what_comes_right_after_somebody_asked_may_be_older_and_counts_for_nothing() -> None:
    goals = asked(5)
    goals.hear(ADA, told(Form.ALL, me=5, ada=7), HEARD_MS - 1, is_in_step=True)
    goals.look(entries(me=5, ada=7))
    assert (goals.is_open, goals.reached) == (False, set())


def test_what_was_reached_before_counts_for_nothing_when_somebody_asks_again() -> None:
    goals = asked(5)
    goals.hear(ADA, told(Form.ALL, me=5), HEARD_MS, is_in_step=True)
    goals.begin(6, ASKED_MS)
    goals.look(entries(me=6))
    assert (goals.is_open, goals.reached) == (False, set())
    goals.hear(ADA, told(Form.ALL, me=5), HEARD_MS, is_in_step=False)
    goals.look(entries(me=6))
    assert not goals.reached, "it holds what had been written by then, not by now"


def test_what_tells_of_some_authors_only_is_not_where_a_peer_stands() -> None:
    for form in (Form.SPANS, Form.PART):
        goals = asked(5)
        goals.hear(ADA, told(form, me=5), HEARD_MS, is_in_step=False)
        goals.look(entries(me=5))
        assert (goals.is_open, goals.reached) == (False, set())

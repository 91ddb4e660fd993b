"""When it is time to look what went with refs that somebody took away."""

from mootd.exchange.losses import LOST_MS, Losses

NOW_MS = 1_000_000


def lost(*names: str, is_own_gone: bool = False) -> Losses:
    made = Losses()
    made.note(names, is_own_gone=is_own_gone, now_ms=NOW_MS)
    return made


def test_where_nothing_is_gone_nothing_is_counted() -> None:
    assert not lost().is_due(NOW_MS + LOST_MS)


def test_the_ref_of_another_is_waited_for_and_then_counted_once() -> None:
    losses = lost("bob")
    assert not losses.is_due(NOW_MS + LOST_MS - 1)
    losses.note(["bob"], is_own_gone=False, now_ms=NOW_MS + LOST_MS)
    assert losses.is_due(NOW_MS + LOST_MS)
    losses.count(NOW_MS + LOST_MS)
    losses.note(["bob"], is_own_gone=False, now_ms=NOW_MS + 3 * LOST_MS)
    assert not losses.is_due(NOW_MS + 3 * LOST_MS)


def test_a_ref_that_comes_back_is_no_loss_and_one_that_goes_again_is_another() -> None:
    losses = lost("bob")
    losses.count(NOW_MS)
    losses.note([], is_own_gone=False, now_ms=NOW_MS + 1)
    assert not losses.is_due(NOW_MS + LOST_MS)
    losses.note(["bob"], is_own_gone=False, now_ms=NOW_MS + 2)
    assert losses.is_due(NOW_MS + 2 + LOST_MS)


def test_where_the_own_ref_is_gone_it_is_counted_at_once_but_not_again_and_again() -> None:
    losses = lost("bob", is_own_gone=True)
    assert losses.is_due(NOW_MS)
    losses.count(NOW_MS)
    assert not losses.is_due(NOW_MS + LOST_MS)
    losses.note([], is_own_gone=True, now_ms=NOW_MS + 1)
    losses.note([], is_own_gone=False, now_ms=NOW_MS + 2)
    assert not losses.is_due(NOW_MS + LOST_MS - 1)
    assert losses.is_due(NOW_MS + LOST_MS)


def test_a_clock_that_was_set_back_keeps_nobody_waiting() -> None:
    assert lost("bob").is_due(NOW_MS - 1)

"""Progress: what people are told of an exchange."""

from moot_protocol.errors import Code, MalformedError, RefusedError
from mootd.exchange.progress import MOST_PROBLEMS, Progress
from mootd.remotes import Dropped


def test_what_is_sent_and_received_is_counted_and_the_planes_of_it_known() -> None:
    progress = Progress()
    progress.note_sent(1, 3)
    progress.note_received(1, 2)
    progress.note_received(2, 1)
    progress.note_received(3, 0)
    assert (progress.sent, progress.received, progress.moved) == (3, 3, {1: 5, 2: 1})


def test_equal_problems_are_counted_and_told_once() -> None:
    progress = Progress()
    progress.note_problems([MalformedError("cut short"), MalformedError("cut short")])
    progress.note_problems([MalformedError("cut short", code=Code.BAD_SEAL)])
    assert progress.problems == {"bad_structure: cut short": 2, "bad_seal: cut short": 1}


def test_a_remote_that_makes_up_ever_new_problems_fills_no_memory() -> None:
    progress = Progress()
    progress.note_problems(MalformedError(f"problem {number}") for number in range(3 * MOST_PROBLEMS))
    assert len(progress.problems) == MOST_PROBLEMS
    progress.note_problems([MalformedError("problem 0"), MalformedError("one more")])
    assert progress.problems["bad_structure: problem 0"] == 2
    progress.note_unopened(1, (number.to_bytes(8, "big") for number in range(3 * MOST_PROBLEMS)))
    progress.note_unopened(1, [bytes(8), bytes([255] * 8)])
    assert (len(progress.unopened), progress.unopened[1, bytes(8)]) == (MOST_PROBLEMS, 2)
    assert len(progress.problems) == MOST_PROBLEMS


def test_new_counts_of_unopened_frames_replace_those_of_the_planes_that_were_read() -> None:
    progress = Progress()
    progress.note_unopened(1, [b"one", b"two"])
    progress.note_unopened(2, [b"one"])
    shown = progress.unopened
    progress.renew_unopened({1}, {(1, b"two"): 5})
    assert progress.unopened == {(1, b"two"): 5, (2, b"one"): 1}
    assert shown == {(1, b"one"): 1, (1, b"two"): 1, (2, b"one"): 1}  # who looked meanwhile sees one or the other


def test_a_remote_is_failing_since_the_first_of_the_tries_that_failed_in_a_row() -> None:
    progress = Progress()
    for now_ms in (5, 6):
        progress.fail(RefusedError("no route", code=Code.UNREACHABLE), now_ms)
    assert (progress.state, progress.why(), progress.failures, progress.failing_ms) == ("waiting", "no route", 2, 5)
    progress.succeed(7)
    assert (progress.state, progress.why(), progress.failures, progress.failing_ms) == ("idle", "", 0, 0)
    assert (progress.rounds, progress.last_ok_ms) == (1, 7)
    progress.fail(RefusedError("no route"), 9)
    assert (progress.failures, progress.failing_ms, progress.last_ok_ms) == (1, 9, 7)


def test_what_a_live_remote_left_out_is_told() -> None:
    progress = Progress()
    progress.note_dropped(Dropped(foreign=2, too_large=1))
    assert (progress.dropped.foreign, progress.dropped.too_large, progress.dropped.overflowed) == (2, 1, 0)


def test_why_a_try_failed_is_told_with_what_helps() -> None:
    progress = Progress()
    assert progress.why() == ""
    progress.error = RefusedError("nobody there")
    assert progress.why() == "nobody there"
    progress.error = RefusedError("nobody there", hint="look for it")
    assert progress.why() == "nobody there (look for it)"

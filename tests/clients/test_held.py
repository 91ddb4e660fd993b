"""When a claim that is kept asks for a heartbeat, and when for none any longer."""

import pytest

from moot.answers import Issue
from moot.held import Held, keep, keep_awaited
from moot.rpc import UnansweredError
from moot_protocol.errors import Code, MootError, RefusedError

AWAY = RefusedError("no daemon", code=Code.UNREACHABLE, retryable=True)
LOST = RefusedError("it is bob's", code=Code.LOST_RACE)


class Beats:
    """What each heartbeat comes to; waits end after the last of them."""

    def __init__(self, *answers: "bool | MootError") -> None:
        self._answers = list(answers)
        self.waits: list[float] = []

    def beat(self) -> bool:
        answer = self._answers.pop(0)
        if isinstance(answer, MootError):
            raise answer
        return answer

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return not self._answers


def kept(*answers: "bool | MootError") -> tuple[Held, list[float]]:
    """A claim of 100 seconds after heartbeats that came to this, and how long was waited before each and at the end."""
    held, beats = Held(Issue(id="demo-1"), 100), Beats(*answers)
    keep(held, beats.beat, beats.wait)
    return held, beats.waits


def test_it_is_renewed_whenever_half_of_its_time_is_over() -> None:
    held, waits = kept(True, True, True)
    assert waits == [50, 50, 50, 50]
    held.check()


def test_what_was_too_early_or_failed_in_passing_is_tried_again_soon() -> None:
    held, waits = kept(False, AWAY, True)
    assert waits == [50, 10, 10, 50]
    held.check()


def test_a_heartbeat_that_may_have_been_done_is_tried_again_since_twice_is_as_good_as_once() -> None:
    held, waits = kept(UnansweredError(AWAY, "").without_key(), True)
    assert waits == [50, 10, 50]
    held.check()


def test_a_claim_that_is_anothers_is_not_asked_for_again_and_says_so() -> None:
    held, waits = kept(True, LOST, True)
    assert waits == [50, 50]
    with pytest.raises(RefusedError) as caught:
        held.check()
    assert caught.value is LOST


async def test_awaited_it_does_the_same() -> None:
    held, beats = Held(Issue(id="demo-1"), 100), Beats(True, AWAY, False, True, LOST)

    async def beat() -> bool:
        return beats.beat()

    async def pause(seconds: float) -> None:
        beats.wait(seconds)

    await keep_awaited(held, beat, pause)
    assert beats.waits == [50, 50, 10, 10, 50]
    assert held.ended is LOST

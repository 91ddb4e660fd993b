"""What the daemon can't see to: it stands until it has worked, and the log has a line for each end of that time."""

from structlog.testing import capture_logs

from moot_protocol.errors import Code, RefusedError
from mootd.troubles import Troubles

BUSY = RefusedError("the store is busy", code=Code.BUSY)


def test_what_failed_stands_with_its_reason_until_it_works() -> None:
    troubles = Troubles()
    assert troubles.now("remotes", BUSY) == "the store is busy"
    assert troubles.now("mirrors", None) == ""
    assert troubles.messages() == ["the daemon can't see to its remotes: the store is busy"]
    troubles.now("remotes", None)
    assert troubles.messages() == []


def test_the_reason_is_that_of_the_last_try_and_a_defect_is_called_one() -> None:
    troubles = Troubles()
    troubles.now("remotes", BUSY)
    troubles.now("remotes", KeyError("of no use to people"))
    assert troubles.messages() == ["the daemon can't see to its remotes: a defect in Moot, KeyError"]


def test_the_log_is_told_once_when_it_begins_to_fail_and_once_when_it_works_again() -> None:
    troubles = Troubles()
    with capture_logs() as lines:
        for error in (None, BUSY, BUSY, None, None):
            troubles.now("remotes", error)
    assert [(line["event"], line["what"]) for line in lines] == [
        ("daemon.failing", "remotes"),
        ("daemon.works_again", "remotes"),
    ]
    assert lines[0]["exc_info"] is BUSY

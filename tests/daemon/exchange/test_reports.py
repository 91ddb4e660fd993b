"""What the log is told of exchanges: enough to look into them later, and one line for what stays as it is."""

from typing import Any

from structlog.testing import capture_logs

from moot_protocol.errors import Code, RefusedError
from mootd.config import OutboxConfig
from mootd.engine.exchange.outbox import Gauge
from mootd.engine.machine.remotes import RemoteRow
from mootd.exchange.progress import Progress
from mootd.exchange.reports import EVERY_S, Reports

CAPS = OutboxConfig(frames=100, bytes=1000)


PLANES = {1: "ledger", 2: "common", 3: "quiet"}


class Told:
    """Reports of one remote, and the lines that each call has made."""

    def __init__(self, url: str = "/srv/x") -> None:
        self.progress = Progress()
        self.reports = Reports(RemoteRow(1, "origin", "git", url, "auto", {}), self.progress)

    def by(self, method: str, *given: Any) -> list[dict[str, Any]]:
        with capture_logs() as lines:
            getattr(self.reports, method)(*given)
        return [dict(line) for line in lines]

    def round(self, now_s: float, *, sent: int = 0, received: int = 0, plane: int = 1) -> Any:
        """A round of half a second that goes through, and moves something of one plane."""
        self.progress.note_sent(plane, sent)
        self.progress.note_received(plane, received)
        return self.by("went", PLANES, now_s - 0.5, now_s)

    def failure(self, code: Code, now_s: float = 0.0, words: str = "no route") -> list[dict[str, Any]]:
        error = RefusedError(words, code=code)
        return self.by("failed", error, error, now_s)

    def queue(self, frames: int, size: int = 0, dropped: int = 0) -> list[str]:
        return [line["event"] for line in self.by("filled", Gauge(frames, size, 0, dropped, CAPS))]


# -- Rounds ------------------------------------------------------------------------------------------------------
def test_a_round_that_brought_or_sent_something_is_told_with_its_planes_and_how_long_it_took() -> None:
    told = Told()
    told.progress.note_sent(1, 1)
    assert told.round(10.0, sent=2, received=2, plane=2) == [
        {
            "event": "exchange.done",
            "log_level": "info",
            "remote": "origin",
            "planes": ["ledger", "common"],
            "sent": 3,
            "received": 2,
            "duration_ms": 500,
        }
    ]


def test_a_round_in_which_nothing_came_or_went_is_not_told() -> None:
    told = Told()
    assert told.round(10.0) == []
    told.round(20.0, sent=1)
    assert told.round(30.0) == []


def test_rounds_close_together_are_told_together() -> None:
    told = Told()
    assert len(told.round(10.0, sent=1)) == 1
    assert told.round(11.0, sent=2) == []
    assert told.round(12.0, received=5, plane=2) == []
    (line,) = told.round(10.0 + EVERY_S)
    assert (line["sent"], line["received"], line["planes"], line["duration_ms"]) == (2, 5, ["ledger", "common"], 1500)


def test_a_plane_is_named_by_the_lines_that_count_something_of_it_alone() -> None:
    told = Told()
    told.progress.note_received(3, 0)
    lines = [told.round(10.0, sent=1), told.round(20.0, received=1, plane=2), told.round(30.0, sent=1)]
    assert [line["planes"] for (line,) in lines] == [["ledger"], ["common"], ["ledger"]]


def test_what_is_not_told_yet_is_told_at_the_end() -> None:
    told = Told()
    told.round(10.0, sent=1)
    told.round(11.0, sent=2)
    assert [(line["event"], line["sent"]) for line in told.by("tell")] == [("exchange.done", 2)]
    assert told.by("tell") == []


# -- Failures ----------------------------------------------------------------------------------------------------
def test_a_remote_that_begins_to_fail_is_told_once_with_its_cause() -> None:
    told = Told()
    assert told.failure(Code.UNREACHABLE) == [
        {
            "event": "exchange.failing",
            "log_level": "warning",
            "remote": "origin",
            "code": "unreachable",
            "reason": "no route",
        }
    ]
    assert [told.failure(Code.UNREACHABLE, now_s, f"no route {now_s}") for now_s in range(100)] == [[]] * 100


def test_each_cause_of_one_failing_is_told_once() -> None:
    told = Told()
    causes = (Code.UNREACHABLE, Code.DENIED, Code.UNREACHABLE, Code.DENIED, Code.TIMEOUT)
    lines = [line for code in causes for line in told.failure(code)]
    assert [line["code"] for line in lines] == ["unreachable", "denied", "timeout"]


def test_that_it_works_again_is_told_once_with_how_long_it_did_not() -> None:
    told = Told()
    for now_s in (3.0, 4.0, 5.0):
        told.failure(Code.UNREACHABLE, now_s)
    assert told.round(13.0) == [
        {"event": "exchange.works_again", "log_level": "info", "remote": "origin", "tries": 3, "lasted_ms": 10_000}
    ]
    assert told.round(14.0) == []
    assert len(told.failure(Code.UNREACHABLE, 15.0)) == 1
    assert told.round(16.0)[0]["tries"] == 1


def test_a_defect_is_told_with_what_was_raised_and_once() -> None:
    told, defect = Told(), ZeroDivisionError()
    shown = RefusedError("the exchange broke", code=Code.INTERNAL)
    broke, failing = told.by("failed", shown, defect, 1.0)
    assert (broke["event"], broke["log_level"], broke["exc_info"]) == ("exchange.broke", "error", defect)
    assert failing["code"] == "internal"
    assert told.by("failed", shown, defect, 2.0) == []


def test_no_secret_of_an_address_is_told() -> None:
    for url in ("https://ada:hunter2@h/x", "https://hunter2@h/x", "https://h/x?t=hunter2"):
        told = Told(url)
        lines = told.failure(Code.DENIED, words=f"cannot fetch: unable to access '{url}/': no")
        assert lines
        assert "hunter2" not in repr(lines)


# -- The queue ---------------------------------------------------------------------------------------------------
def test_a_queue_that_is_nearly_full_is_told_once_until_it_has_emptied_by_half() -> None:
    told = Told()
    assert [told.queue(frames) for frames in (0, 79)] == [[], []]
    assert told.queue(80) == ["outbox.nearly_full"]
    assert [told.queue(frames) for frames in (100, 79, 80, 50, 90)] == [[]] * 5
    assert told.queue(49) == []
    assert told.queue(80) == ["outbox.nearly_full"]


def test_a_queue_that_is_nearly_full_in_bytes_is_told_too() -> None:
    told = Told()
    (line,) = told.by("filled", Gauge(3, 800, 0, 0, CAPS))
    assert (line["log_level"], line["remote"]) == ("warning", "origin")
    assert (line["frames"], line["most_frames"], line["bytes"], line["most_bytes"]) == (3, 100, 800, 1000)
    assert told.queue(3, 500) == []
    assert told.queue(3, 800) == []


def test_that_frames_make_room_is_told_when_the_first_does() -> None:
    told = Told()
    told.queue(90)
    (line,) = told.by("filled", Gauge(100, 0, 0, 4, CAPS))
    assert (line["event"], line["log_level"], line["dropped"]) == ("outbox.dropping", "warning", 4)
    assert [told.queue(100, dropped=dropped) for dropped in (5, 50, 5000)] == [[]] * 3
    assert told.queue(0, dropped=5000) == []
    assert told.queue(100, dropped=5001) == ["outbox.nearly_full", "outbox.dropping"]


def test_frames_that_were_dropped_before_the_daemon_began_are_no_news() -> None:
    told = Told()
    assert told.queue(10, dropped=7) == []
    assert told.queue(10, dropped=7) == []

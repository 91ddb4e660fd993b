"""The log: its shape, and what never stands in it."""

import asyncio
import io
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, RefusedError
from mootd.edges import logs
from mootd.edges.clock import ManualClock
from mootd.edges.logs import MASK, SECRET_WORDS, TEXT_FIELDS, Style, logging_to

SECRET = "the-secret-itself"  # noqa: S105
ISSUE_TEXT = "what a person wrote"
AT_INFO_AND_ABOVE = ("info", "warning", "error", "critical", "exception")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    with logging_to(ManualClock(), stream=stream, level="debug"):
        yield stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def emit(method: str, /, **fields: Any) -> None:
    getattr(structlog.get_logger(), method)("something_happened", **fields)


# -- Shape -------------------------------------------------------------------------------------------------------


def test_a_line_is_one_json_object_with_time_level_and_event_first(stream: io.StringIO) -> None:
    emit("info", count=3, ratio=0.5, nothing=None, names=("a", "b"), where=Path("/tmp/x"))  # noqa: S108
    assert stream.getvalue() == (
        '{"time":"2023-11-14T22:13:20.000Z","level":"info","event":"something_happened",'
        '"count":3,"ratio":0.5,"nothing":null,"names":["a","b"],"where":"/tmp/x"}\n'
    )


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    with logging_to(ManualClock(), stream=stream, level="warning"):
        emit("info")
        logging.getLogger("asyncio").info("something else")
        emit("warning")
    assert [line["level"] for line in lines(stream)] == ["warning"]


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(RefusedError, match="debug, info, warning, error"), logging_to(ManualClock(), level="loud"):
        pytest.fail("this is never reached")


def test_the_standard_librarys_loggers_end_up_in_the_same_log(stream: io.StringIO) -> None:
    logging.getLogger("asyncio").warning("socket %d is slow", 3)
    (line,) = lines(stream)
    assert (line["level"], line["event"], line["logger"]) == ("warning", "socket 3 is slow", "asyncio")


@pytest.mark.parametrize("style", Style)
def test_an_exception_brings_its_traceback_without_local_variables(style: Style) -> None:
    stream = io.StringIO()

    def fail() -> None:
        local = SECRET.upper()
        raise ZeroDivisionError(f"{len(local)} letters")

    with logging_to(ManualClock(), style=style, stream=stream):
        try:
            fail()
        except ZeroDivisionError as error:
            structlog.get_logger().exception("it_failed", error=error)
    assert stream.getvalue().count("17 letters") == 2
    assert "Traceback" in stream.getvalue()
    assert SECRET.upper() not in stream.getvalue()


def test_after_the_block_everything_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", 37)
    handlers = list(root.handlers)
    stream = io.StringIO()
    with logging_to(ManualClock(), stream=stream):
        pass
    logging.getLogger("asyncio").error("unheard")
    assert (root.level, list(root.handlers)) == (37, handlers)
    assert (stream.getvalue(), structlog.is_configured()) == ("", False)


def test_the_console_shows_the_same_for_people() -> None:
    stream = io.StringIO()
    with logging_to(ManualClock(), style=Style.CONSOLE, stream=stream):
        emit("info", count=3, token=SECRET, title=ISSUE_TEXT)
    shown = stream.getvalue()
    assert shown.startswith("2023-11-14T22:13:20.000Z [info     ] something_happened")
    assert "count=3" in shown
    assert SECRET not in shown
    assert ISSUE_TEXT not in shown


# -- Secrets and issue text --------------------------------------------------------------------------------------


SECRET_NAMES = [*sorted(SECRET_WORDS), "seeds", "town_key", "Plane-Key", "recovery_words", "api_token"]


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("method", ["debug", *AT_INFO_AND_ABOVE])
def test_a_secret_is_masked_at_every_level_wherever_it_stands(style: Style, method: str) -> None:
    for name in SECRET_NAMES:
        stream = io.StringIO()
        with logging_to(ManualClock(), style=style, stream=stream, level="debug"):
            emit(method, **{name: SECRET})
            emit(method, outer={name: SECRET, "inner": [{name: [SECRET]}]})
            emit(method, pairs=[{"deep": ({name: {"x": SECRET}},)}])
        assert SECRET not in stream.getvalue(), name
        assert stream.getvalue().count(MASK) == 4, name


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("method", AT_INFO_AND_ABOVE)
def test_issue_text_is_removed_at_info_and_above(style: Style, method: str) -> None:
    for name in [*sorted(TEXT_FIELDS), "Title"]:
        stream = io.StringIO()
        with logging_to(ManualClock(), style=style, stream=stream, level="debug"):
            emit(method, **{name: ISSUE_TEXT}, kept=1)
            emit(method, kept=1, outer={name: ISSUE_TEXT, "inner": [{name: [ISSUE_TEXT]}]})
        assert ISSUE_TEXT not in stream.getvalue(), name
        assert stream.getvalue().count("kept") == 2, name


def test_issue_text_stands_in_debug_lines(stream: io.StringIO) -> None:
    for name in sorted(TEXT_FIELDS):
        emit("debug", **{name: ISSUE_TEXT}, outer=[{name: ISSUE_TEXT}])
    assert stream.getvalue().count(ISSUE_TEXT) == 2 * len(TEXT_FIELDS)


def test_names_that_only_look_alike_are_kept(stream: io.StringIO) -> None:
    emit("info", monkey=1, keyed=2, passed=3, context=4, entitled=5)
    assert [lines(stream)[0][name] for name in ("monkey", "keyed", "passed", "context", "entitled")] == [1, 2, 3, 4, 5]


def test_a_secret_bound_to_the_context_is_masked_too(stream: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(token=SECRET, title=ISSUE_TEXT):
        emit("info")
    assert lines(stream)[0]["token"] == MASK
    assert ISSUE_TEXT not in stream.getvalue()


def test_an_object_shows_its_type_alone(stream: io.StringIO) -> None:
    class Issue(msgspec.Struct):
        title: str
        seed: str

    emit("debug", issue=Issue(ISSUE_TEXT, SECRET), issues=[Issue(ISSUE_TEXT, SECRET)])
    (line,) = lines(stream)
    assert (line["issue"], line["issues"]) == ("<Issue>", ["<Issue>"])


@pytest.mark.parametrize("style", Style)
def test_nothing_logged_steers_a_terminal_or_forges_a_line(style: Style) -> None:
    hostile = "a\x1b[2J\u202eb\u200b\x9b\ud800\r\n{}"
    stream = io.StringIO()
    with logging_to(ManualClock(), style=style, stream=stream):
        emit("info", who=hostile, outer={hostile: [hostile]})
        structlog.get_logger().info(hostile)
        structlog.get_logger().error("it_failed", exc_info=ZeroDivisionError(hostile.replace("\n", "")))
    shown = stream.getvalue()
    assert shown.replace("\n", "").isprintable()
    assert all(not line.startswith("{}") for line in shown.splitlines())


def test_long_values_are_cut_and_bytes_are_hex(stream: io.StringIO) -> None:
    emit("info", author=b"\x01\xff", line="x" * 5000)
    (line,) = lines(stream)
    assert (line["author"], line["line"]) == ("01ff", "x" * 1000 + "…")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.text(max_size=5).filter(lambda name: name not in {"event", "exc_info", "exception"})


@given(st.dictionaries(NAMES, PLAIN, max_size=4))
def test_whatever_the_fields_hold_one_line_of_json_comes_out(fields: dict[str, Any]) -> None:
    stream = io.StringIO()
    with logging_to(ManualClock(), stream=stream):
        structlog.get_logger().bind(**fields).info("something_happened")
    (line,) = lines(stream)
    assert line["event"] == "something_happened"


# -- Files -------------------------------------------------------------------------------------------------------


def test_a_log_file_is_the_users_alone_and_whole_at_the_end(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with logging_to(ManualClock(), file=tmp_path / "moot.log"):
            for number in range(500):
                emit("info", number=number)
    finally:
        os.umask(before)
    written = (tmp_path / "moot.log").read_text().splitlines()
    assert [json.loads(line)["number"] for line in written] == list(range(500))
    assert (tmp_path / "moot.log").stat().st_mode & 0o7777 == 0o600


def test_a_log_file_goes_on_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        with logging_to(ManualClock(), file=tmp_path / "moot.log"):
            emit("info")
    assert len((tmp_path / "moot.log").read_text().splitlines()) == 2


def test_a_log_file_is_rotated_daily_in_utc_and_30_are_kept(tmp_path: Path) -> None:
    file = logs._PrivateFile(tmp_path / "moot.log")
    assert (file.when, file.interval, file.backupCount, file.utc) == ("MIDNIGHT", 24 * 3600, 30, True)
    for day in range(40):
        file.rolloverAt = 86_400 * (19_000 + day + 1)
        file.doRollover()
        (tmp_path / "moot.log").write_text(f"day {day + 1}\n")
    file.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 31
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda file: file.symlink_to("/dev/null"), Code.DENIED),
        (lambda file: file.mkdir(), Code.DENIED),
        (lambda file: file.parent.rmdir(), Code.NOT_FOUND),
    ],
    ids=["a link", "a folder", "no folder to put it in"],
)
def test_a_log_file_that_cannot_be_written_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], code: Code
) -> None:
    file = tmp_path / "logs" / "moot.log"
    file.parent.mkdir()
    spoil(file)
    with pytest.raises(RefusedError) as caught, logging_to(ManualClock(), file=file):
        pytest.fail("this is never reached")
    assert caught.value.code is code


async def test_logging_to_a_file_does_not_block_the_loop(tmp_path: Path) -> None:
    with logging_to(ManualClock(), file=tmp_path / "moot.log"), blockbuster_ctx():
        emit("info")
        await asyncio.to_thread(str)
    assert (tmp_path / "moot.log").read_text()


def test_lines_that_a_slow_disk_cannot_take_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LINES_WAITING", 5)
    writing, go_on, written = threading.Event(), threading.Event(), threading.Semaphore(0)
    handle = logs._PrivateFile.handle

    def slow(self: logs._PrivateFile, record: logging.LogRecord) -> bool:
        writing.set()
        assert go_on.wait(30)
        handled = handle(self, record)
        written.release()
        return bool(handled)

    monkeypatch.setattr(logs._PrivateFile, "handle", slow)
    with logging_to(ManualClock(), file=tmp_path / "moot.log"):
        emit("info", number=0)
        assert writing.wait(30)
        for number in range(1, 9):
            emit("info", number=number)
        go_on.set()
        for _ in range(6):
            assert written.acquire(timeout=30)
        emit("info", number=9)
    kept = [json.loads(line) for line in (tmp_path / "moot.log").read_text().splitlines()]
    assert [line.get("number") for line in kept] == [0, 1, 2, 3, 4, 5, 9, None]
    assert (kept[-1]["event"], kept[-1]["count"]) == ("log_lines_dropped", 3)

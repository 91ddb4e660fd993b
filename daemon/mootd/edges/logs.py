"""The log: one line an event, as JSON for a machine or in colour for a person, to stderr or to a file.

Two rules hold for every line, whoever writes it:

* a value whose key sounds like a secret (key, seed, token, password, words…) is masked, at every level;
* issue text (title, description, notes, value…) is removed at INFO and above, because logs are read, copied and kept
  by others than the issues are. At DEBUG it stands there.

Both go by the names of fields, also inside maps and lists: what is put into the event's own words or into an error's
message is not seen. So events are fixed phrases, and data goes into fields.
"""

import datetime
import logging
import logging.handlers
import os
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from moot_protocol.errors import RefusedError
from mootd.edges.paths import refusal
from mootd.ports import Clock

DAYS_KEPT: Final = 30
"""Days that a log file is kept: long enough to look into what is noticed late."""
LINES_WAITING: Final = 10_000
"""Lines waiting for the disk; beyond that they are counted and dropped, since a log must not stop the daemon."""
VALUE_CHARS: Final = 1000
"""Characters of one value in a line."""
LEVELS: Final[Mapping[str, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}

MASK: Final = "***"
SECRET_WORDS: Final = frozenset({
    "authorization", "credential", "key", "mnemonic", "passphrase", "password", "private", "secret", "seed", "ticket",
    "token", "word",
})  # fmt: skip
"""A field is secret if one of these, or its plural, is a word of its name."""
TEXT_FIELDS: Final = frozenset({
    "acceptance_criteria", "argv", "body", "close_reason", "comment", "comments", "content", "description", "design",
    "label", "labels", "metadata", "note", "notes", "params", "query", "result", "stdin", "summary", "text", "texts",
    "title", "titles", "value", "values",
})  # fmt: skip
"""Fields that hold what people wrote, or may hold it."""


class Style(StrEnum):
    """How a line looks."""

    JSON = "json"
    CONSOLE = "console"


@contextmanager
def logging_to(
    clock: Clock,
    *,
    style: Style = Style.JSON,
    level: str = "info",
    file: Path | None = None,
    stream: TextIO | None = None,
) -> Iterator[None]:
    """Log for as long as the `with` block runs, what the standard library's loggers say included.

    Args:
        clock: for the time of each line.
        style: how lines look.
        level: the lowest level that is written: debug, info, warning or error.
        file: the log file: a new one every day at midnight UTC, 30 kept, mode 0600. Lines are written by a thread of
            their own, so that a slow disk delays nobody.
        stream: where lines go without a file; stderr by default.

    Raises:
        RefusedError: code `invalid` for another level; as `paths.refusal` where the log file cannot be opened.
    """
    if level not in LEVELS:
        raise RefusedError(f"{level!r} is no level of the log: one of {', '.join(LEVELS)}")
    stream = stream or sys.stderr
    output = _DailyFile(file) if file else logging.StreamHandler(stream)
    structlog.configure(
        processors=_processors(clock, style, colors=file is None and stream.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: _Lines(output),
        cache_logger_on_first_use=False,
    )
    root, bridge = logging.getLogger(), _Bridge()
    before = root.level
    root.addHandler(bridge)
    root.setLevel(LEVELS[level])
    try:
        yield
    finally:
        root.removeHandler(bridge)
        root.setLevel(before)
        structlog.reset_defaults()
        output.close()


def _processors(clock: Clock, style: Style, *, colors: bool) -> list[Processor]:
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamp(clock),
        structlog.processors.format_exc_info,  # the plain traceback; others print local variables, keys among them
        clean,
    ]
    if style is Style.CONSOLE:
        return [*shared, structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time")]
    return [*shared, _ordered, structlog.processors.JSONRenderer(serializer=_json)]


def _stamp(clock: Clock) -> Processor:
    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        moment = datetime.datetime.fromtimestamp(clock.now_ms() / 1000, datetime.UTC)
        event["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return event

    return stamp


def _ordered(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put first what every line has."""
    first = {name: event.pop(name) for name in ("time", "level", "event", "request") if name in event}
    return first | dict(event)


def _json(event: Any, **_options: Any) -> str:
    return msgspec.json.encode(event).decode()


# -- Where lines go ----------------------------------------------------------------------------------------------
class _Lines:
    """What structlog takes for a logger: every method takes a finished line."""

    def __init__(self, output: logging.Handler) -> None:
        self._output = output

    def msg(self, line: str) -> None:
        self._output.handle(logging.makeLogRecord({"msg": line}))

    debug = info = warning = error = critical = exception = log = msg


class _Bridge(logging.Handler):
    """Hands what the standard library's loggers say (asyncio among them) to the same processors."""

    def emit(self, record: logging.LogRecord) -> None:
        line = structlog.get_logger().bind(logger=record.name)
        line.log(record.levelno, record.getMessage(), exc_info=record.exc_info)


class _PrivateFile(logging.handlers.TimedRotatingFileHandler):
    """The file itself: mode 0600, rotated at midnight UTC."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, when="midnight", backupCount=DAYS_KEPT, encoding="utf-8", utc=True)

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(self.baseFilename, flags, 0o600), "a", encoding="utf-8")


class _DailyFile(logging.Handler):
    """A log file behind a thread: who logs never waits for the disk. `close` writes what is waiting."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        try:
            self._file = _PrivateFile(file)
        except OSError as error:
            raise refusal(error, f"cannot write the log file {file}") from error
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(LINES_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="moot-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._dropped += 1
            return
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            structlog.get_logger().warning("log_lines_dropped", count=dropped)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()
        self._file.close()
        super().close()

    def _write(self) -> None:
        for record in iter(self._waiting.get, None):
            self._file.handle(record)


# -- What a line may hold ----------------------------------------------------------------------------------------
_OWN_FIELDS: Final = frozenset({"time", "level", "event", "exception"})


def clean(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor that masks secrets, removes issue text at INFO and above, and neutralises control characters."""
    with_text = event.get("level") == "debug"
    return {
        printable(name): _clean_own(name, value)
        if name in _OWN_FIELDS
        else _clean_field(name, value, with_text=with_text)
        for name, value in event.items()
        if _may_stand(name, with_text=with_text)
    }


def _clean_own(name: str, value: Any) -> str:
    text = _as_text(value)
    lines = text.split("\n") if name == "exception" else [text]
    return "\n".join(map(printable, lines))


def _may_stand(name: str, *, with_text: bool) -> bool:
    return with_text or name.lower() not in TEXT_FIELDS


def is_secret(name: str) -> bool:
    """Whether a field's name says that it holds a secret."""
    words = name.lower().replace("-", "_").split("_")
    return any(word in SECRET_WORDS or word.removesuffix("s") in SECRET_WORDS for word in words)


def _clean_field(name: str, value: Any, *, with_text: bool) -> Any:
    return MASK if is_secret(name) else _clean_value(value, with_text=with_text)


def _clean_value(value: Any, *, with_text: bool) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {
            printable(str(name)): _clean_field(str(name), inner, with_text=with_text)
            for name, inner in value.items()
            if _may_stand(str(name), with_text=with_text)
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean_value(inner, with_text=with_text) for inner in value]
    text = _as_text(value)
    return printable(text if len(text) <= VALUE_CHARS else text[:VALUE_CHARS] + "…")


def _as_text(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, str | Path | BaseException):
        return str(value)
    return f"<{type(value).__name__}>"  # what an object shows of itself may hold text and secrets


def printable(text: str) -> str:
    """Escape all but printable characters: what is logged must neither steer a terminal nor forge a line."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)

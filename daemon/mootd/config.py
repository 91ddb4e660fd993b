"""What one machine's daemon is told to do otherwise: the text of `config.toml` to values, or what is wrong with it.

    [exchange]
    debounce_seconds = 5
    poll_seconds = 60

    [outbox]
    frames = 1000
    bytes = 67108864

    [log]
    level = "info"

Invariant: a text that can't be read to its last key gives nothing at all, so that a slip of the pen is told and not
passed over; and whatever it gives lies within a range in which the daemon stays well. Only what is a machine's own
stands here: what all machines of a project should know is an event (`moot config`), and no key changes the protocol.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from moot_protocol.errors import RefusedError
from moot_protocol.limits import CONFIG_BYTES, FRAME_BYTES, MIB, OUTBOX_BYTES, OUTBOX_FRAMES

if TYPE_CHECKING:
    from moot_protocol.text.toml_text import Table

DEBOUNCE_S: Final = 5
"""How long a commit waits for others before it is pushed to a Git remote, unless the file says otherwise."""
POLL_S: Final = 60
"""How often a remote that can't call is looked at, unless the file says otherwise."""
LEVELS: Final = ("debug", "info", "warning", "error")
"""The levels of the log, the wordiest first."""
_SHOWN: Final = 10**15
"""A number from here on isn't repeated: it may have thousands of digits."""


class Range(NamedTuple):
    """Which whole numbers a setting may have, both ends included."""

    least: int
    most: int


DEBOUNCE_RANGE: Final = Range(1, 300)
"""Without any wait each round's own bookkeeping would set off the next one."""
POLL_RANGE: Final = Range(5, 86_400)
"""Each look is a connection with a handshake; and what nobody looks for in a day is taken for lost."""
FRAMES_RANGE: Final = Range(100, 10_000)
"""A few messages have to fit beside one another, and the queue is gone through in every round."""
BYTES_RANGE: Final = Range(FRAME_BYTES, 1024 * MIB)
"""One segment for a Git remote has to fit."""


class ExchangeConfig(msgspec.Struct, frozen=True):
    """`[exchange]`: the pace of the exchange with remotes that can't call, which are Git's."""

    debounce_seconds: int = DEBOUNCE_S
    poll_seconds: int = POLL_S


class OutboxConfig(msgspec.Struct, frozen=True):
    """`[outbox]`: how much may wait for each remote."""

    frames: int = OUTBOX_FRAMES
    bytes: int = OUTBOX_BYTES


class LogConfig(msgspec.Struct, frozen=True):
    """`[log]`: what is written of what happens."""

    level: str = "info"


class Config(msgspec.Struct, frozen=True):
    """The whole file; without arguments what holds where there is none."""

    exchange: ExchangeConfig = ExchangeConfig()
    outbox: OutboxConfig = OutboxConfig()
    log: LogConfig = LogConfig()


DEFAULTS: Final = Config()


def read_config(text: bytes) -> Config:
    """The settings that a `config.toml` gives; a key that is absent has its default.

    Raises:
        RefusedError: `invalid`: it gives none; says in which line or at which key, what is wrong and what may stand
            there. The file isn't named.
    """
    from moot_protocol.text.toml_text import Table, read_toml  # noqa: PLC0415 - few machines have a file to be read

    top = Table(read_toml(_decoded(text)))
    exchange, outbox, log = top.table("exchange"), top.table("outbox"), top.table("log")
    config = Config(
        ExchangeConfig(
            _number(exchange, "debounce_seconds", DEBOUNCE_RANGE, DEFAULTS.exchange.debounce_seconds),
            _number(exchange, "poll_seconds", POLL_RANGE, DEFAULTS.exchange.poll_seconds),
        ),
        OutboxConfig(
            _number(outbox, "frames", FRAMES_RANGE, DEFAULTS.outbox.frames),
            _number(outbox, "bytes", BYTES_RANGE, DEFAULTS.outbox.bytes),
        ),
        LogConfig(_level(log)),
    )
    for table, shape in ((top, Config), (exchange, ExchangeConfig), (outbox, OutboxConfig), (log, LogConfig)):
        for name in table.others():
            raise table.error(name, f"there is no such key, only {', '.join(shape.__struct_fields__)}")
    return config


def _decoded(text: bytes) -> str:
    if len(text) > CONFIG_BYTES:
        raise RefusedError(f"it has more than {CONFIG_BYTES} bytes")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise RefusedError(f"line {line}: it is not UTF-8 text") from error


def _number(table: "Table", name: str, allowed: Range, default: int) -> int:
    value = table.any(name)
    if value is None:
        return default
    if type(value) is int and allowed.least <= value <= allowed.most:
        return value
    told = f", and is {value}" if type(value) in {int, float} and -_SHOWN < value < _SHOWN else ""
    raise table.error(name, f"it must be a whole number from {allowed.least} to {allowed.most}{told}")


def _level(table: "Table") -> str:
    value = table.any("level")
    if value is None:
        return DEFAULTS.log.level
    if value not in LEVELS:
        raise table.error("level", f"it must be one of {', '.join(LEVELS)}")
    return str(value)

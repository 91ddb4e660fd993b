"""The settings of one machine's daemon: what a file may say, and how it is told what it may not."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import CONFIG_BYTES
from mootd.config import (
    BYTES_RANGE,
    DEBOUNCE_RANGE,
    DEFAULTS,
    FRAMES_RANGE,
    LEVELS,
    POLL_RANGE,
    Config,
    ExchangeConfig,
    LogConfig,
    OutboxConfig,
    Range,
    read_config,
)
from mootd.edges import logs

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
SAMPLE = PAGE.split("```toml\n")[1].split("```")[0]
"""The file on the page."""
RANGES = {
    "exchange.debounce_seconds": DEBOUNCE_RANGE,
    "exchange.poll_seconds": POLL_RANGE,
    "outbox.frames": FRAMES_RANGE,
    "outbox.bytes": BYTES_RANGE,
}


def refusal(text: str | bytes) -> str:
    """Why a file gives no settings."""
    with pytest.raises(RefusedError) as caught:
        read_config(text if isinstance(text, bytes) else text.encode())
    assert caught.value.code is Code.INVALID
    return caught.value.message


def with_value(key: str, value: object) -> str:
    """A file with one key."""
    table, name = key.split(".")
    return f"[{table}]\n{name} = {value}\n"


# -- What is said ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["", "# nothing\n", "[exchange]\n[outbox]\n[log]\n"])
def test_what_says_nothing_gives_the_defaults(text: str) -> None:
    assert read_config(text.encode()) == DEFAULTS == Config()


def test_every_key_is_read_and_the_others_keep_their_defaults() -> None:
    assert read_config(b"[exchange]\npoll_seconds = 10\n") == Config(exchange=ExchangeConfig(5, 10))
    assert read_config(b"[exchange]\ndebounce_seconds = 1\n") == Config(exchange=ExchangeConfig(1, 60))
    assert read_config(b"[outbox]\nframes = 200\n") == Config(outbox=OutboxConfig(200, 64 << 20))
    assert read_config(b"outbox.bytes = 16_777_216\n") == Config(outbox=OutboxConfig(1000, 16 << 20))
    assert read_config(b'[log]\nlevel = "debug"\n') == Config(log=LogConfig("debug"))


def test_the_page_shows_every_key_with_its_default_and_its_range() -> None:
    assert read_config(SAMPLE.encode()) == DEFAULTS
    assert tomllib.loads(SAMPLE) == msgspec.to_builtins(DEFAULTS)
    for key, allowed in RANGES.items():
        (line,) = (line for line in SAMPLE.splitlines() if line.startswith(key.split(".")[1]))
        assert f"# {allowed.least} to {allowed.most}" in line
    assert all(f'"{level}"' in SAMPLE for level in LEVELS)


def test_its_levels_are_the_logs() -> None:
    assert (*logs.LEVELS,) == LEVELS


@pytest.mark.parametrize("level", LEVELS)
def test_the_log_has_any_of_its_levels(level: str) -> None:
    assert read_config(with_value("log.level", f'"{level}"').encode()).log.level == level


@pytest.mark.parametrize(("key", "allowed"), RANGES.items())
def test_a_number_may_be_either_end_of_its_range_and_nothing_beyond(key: str, allowed: Range) -> None:
    table, name = key.split(".")
    for value in allowed:
        assert msgspec.to_builtins(read_config(with_value(key, value).encode()))[table][name] == value
    for value in (allowed.least - 1, allowed.most + 1, -1, 0):
        words = f"{key}: it must be a whole number from {allowed.least} to {allowed.most}, and is {value}"
        assert refusal(with_value(key, value)) == words


# -- What is wrong -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", ["true", '"60"', "60.0", "[60]", "{}", "inf", "nan", "1979-05-27"])
def test_what_is_no_whole_number_is_told_with_what_may_stand_there(value: str) -> None:
    words = "exchange.poll_seconds: it must be a whole number from 5 to 86400"
    assert refusal(with_value("exchange.poll_seconds", value)).startswith(words)


def test_true_is_no_number_and_is_not_repeated_as_one() -> None:
    words = "exchange.debounce_seconds: it must be a whole number from 1 to 300"
    assert refusal(with_value("exchange.debounce_seconds", "true")) == words


def test_a_number_of_thousands_of_digits_is_refused_and_not_repeated() -> None:
    assert len(refusal(with_value("outbox.bytes", "0x" + "f" * 60_000))) < 200
    assert "a number of more than 640 digits" in refusal(with_value("outbox.bytes", "9" * 60_000))


@pytest.mark.parametrize("value", ['"loud"', '"INFO"', "20", '["info"]', "true"])
def test_another_level_is_told_with_those_there_are(value: str) -> None:
    assert refusal(with_value("log.level", value)) == "log.level: it must be one of debug, info, warning, error"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[exchnge]\n", "exchnge: there is no such key, only exchange, outbox, log"),
        ("poll_seconds = 5\n", "poll_seconds: there is no such key, only exchange, outbox, log"),
        ("[exchange]\npoll = 5\n", "exchange.poll: there is no such key, only debounce_seconds, poll_seconds"),
        ("[outbox]\nmax = 5\n", "outbox.max: there is no such key, only frames, bytes"),
        ("[log]\nstyle = 5\n", "log.style: there is no such key, only level"),
    ],
)
def test_a_key_that_is_not_known_is_refused_with_those_that_are(text: str, words: str) -> None:
    assert refusal(text) == words


@pytest.mark.parametrize("text", ["exchange = 5\n", "[[exchange]]\n", "outbox = 'full'\n", "log = true\n"])
def test_what_should_be_a_table_is_one(text: str) -> None:
    assert refusal(text).endswith("it must be a table")


@pytest.mark.parametrize(
    ("text", "line"),
    [("[exchange]\npoll_seconds =\n", 2), ("[log]\n[log]\n", 2), (b"[log]\n# \xff\n", 2), ("\n\nfree text\n", 3)],
)
def test_what_is_no_toml_is_told_with_its_line(text: str | bytes, line: int) -> None:
    assert refusal(text).startswith(f"line {line}: it is no")


def test_a_file_has_its_limit() -> None:
    comment = b"#" * CONFIG_BYTES
    assert read_config(comment) == DEFAULTS
    assert refusal(comment + b"#") == f"it has more than {CONFIG_BYTES} bytes"


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_whatever_a_file_holds_it_gives_settings_or_is_refused(text: bytes) -> None:
    try:
        read_config(text)
    except RefusedError as error:
        assert error.message  # noqa: PT017 - either is right


VALUES: Any = st.one_of(st.integers(-5, 2**31), st.booleans(), st.floats(), st.text(max_size=5))


@given(st.dictionaries(st.sampled_from([*RANGES]), VALUES))
def test_what_is_given_lies_in_its_range_whatever_was_said(said: dict[str, Any]) -> None:
    lines = [f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in said.items()]
    try:
        found = msgspec.to_builtins(read_config("".join(lines).encode()))
    except RefusedError:
        return
    for key, allowed in RANGES.items():
        table, name = key.split(".")
        assert allowed.least <= found[table][name] <= allowed.most
        assert found[table][name] == said.get(key, msgspec.to_builtins(DEFAULTS)[table][name])

"""The file with this machine's settings: none is well, one that gives none isn't, and every refusal names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import CONFIG_BYTES
from mootd.config import Config, ExchangeConfig
from mootd.edges.config_file import read_config_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def refusal(path: Path) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        read_config_file(path)
    assert str(path) in caught.value.message
    return caught.value


def test_where_there_is_no_file_there_are_no_settings(path: Path) -> None:
    assert read_config_file(path) is None
    assert read_config_file(path / "below" / "config.toml") is None


def test_what_stands_there_is_read_through_a_link_too(path: Path) -> None:
    kept = path.with_name("kept.toml")
    kept.write_text("[exchange]\npoll_seconds = 7\n")
    path.symlink_to(kept)
    assert read_config_file(path) == Config(exchange=ExchangeConfig(poll_seconds=7))


def test_an_empty_file_is_there_and_changes_nothing(path: Path) -> None:
    path.touch()
    assert read_config_file(path) == Config()


def test_one_that_gives_no_settings_is_named_with_what_is_wrong_and_what_helps(path: Path) -> None:
    path.write_text("[exchange]\npoll_seconds = 1\n")
    error = refusal(path)
    assert error.code is Code.INVALID
    told = f"{path}: exchange.poll_seconds: it must be a whole number from 5 to 86400, and is 1"
    assert error.message == told
    assert "move the file away" in error.hint


def test_one_that_has_no_end_is_not_read_to_it(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert f"more than {CONFIG_BYTES} bytes" in refusal(path).message


def test_a_folder_a_pipe_and_a_circle_of_links_are_no_file(path: Path) -> None:
    path.mkdir()
    assert refusal(path).code is Code.DENIED
    path.rmdir()
    os.mkfifo(path)
    assert refusal(path).code is Code.DENIED
    path.unlink()
    path.symlink_to(path)
    assert refusal(path).code is Code.DENIED


def test_a_link_that_leads_nowhere_is_not_the_same_as_none(path: Path) -> None:
    path.symlink_to("elsewhere.toml")
    assert refusal(path).code is Code.DENIED


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_one_that_can_not_be_read_is_not_the_same_as_none(path: Path) -> None:
    path.touch(mode=0)
    assert refusal(path).code is Code.DENIED


@pytest.mark.parametrize("is_there", [False, True])
def test_what_reads_toml_is_loaded_only_where_there_is_a_file(path: Path, *, is_there: bool) -> None:
    if is_there:
        path.touch()
    told = (
        "import sys; from pathlib import Path; import mootd.command; before = 'tomllib' in sys.modules;"
        "from mootd.edges.config_file import read_config_file; read_config_file(Path(sys.argv[1]));"
        "print(before, 'tomllib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", told, path], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", str(is_there)]

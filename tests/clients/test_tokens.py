"""The token that a client presents: where it is taken from, and which files are refused."""

import os
from pathlib import Path

import pytest

from moot.tokens import UnusableError, given_token, is_given


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOOT_TOKEN", raising=False)
    monkeypatch.delenv("MOOT_TOKEN_FILE", raising=False)


def written(folder: Path, text: str = " mtk_file\n", mode: int = 0o600) -> str:
    path = folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def refusal() -> UnusableError:
    with pytest.raises(UnusableError) as caught:
        given_token()
    return caught.value


def test_without_either_variable_there_is_none() -> None:
    assert not is_given()
    assert given_token() == ""


def test_it_comes_from_the_variable_or_from_the_file_and_the_variable_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOOT_TOKEN_FILE", written(tmp_path))
    assert is_given()
    assert given_token() == "mtk_file"
    monkeypatch.setenv("MOOT_TOKEN", " mtk_variable ")
    assert given_token() == "mtk_variable"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_can_get_at_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setenv("MOOT_TOKEN_FILE", written(tmp_path, mode=mode))
    failure = refusal()
    assert "chmod 600" in failure.hint


def test_a_file_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOOT_TOKEN_FILE", written(tmp_path))
    own = os.geteuid()
    if own == 0:
        os.chown(tmp_path / "token", 65534, -1)
    else:
        monkeypatch.setattr("moot.tokens.os.geteuid", lambda: own + 1)
    assert "others can get at it" in refusal().message


@pytest.mark.parametrize("what", ["missing", "a folder", "empty"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    path = {"missing": str(tmp_path / "nowhere"), "a folder": str(tmp_path)}.get(what) or written(tmp_path, "\n")
    monkeypatch.setenv("MOOT_TOKEN_FILE", path)
    failure = refusal()
    assert path in failure.message


@pytest.mark.timeout(5)
def test_a_pipe_in_the_token_s_place_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    monkeypatch.setenv("MOOT_TOKEN_FILE", str(tmp_path / "pipe"))
    assert "it is no file" in str(refusal())

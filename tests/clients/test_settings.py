"""What a client is told once."""

from pathlib import Path
from typing import Any

import pytest

from moot.facts import ACTORS
from moot.settings import Settings, may_repeat, new_key
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import IDEMPOTENCY_KEY_BYTES
from moot_protocol.requests.issues import Close, InitTown
from moot_protocol.requests.machine import Events, Ping, Stop
from moot_testkit.clients.gates import GOOD


def test_the_socket_is_this_users_unless_another_is_named() -> None:
    assert Settings().path is None
    assert Settings(socket="/run/other").path == "/run/other"


def test_a_project_that_is_named_is_not_asked_for() -> None:
    assert Settings(project="demo").is_found
    assert Settings(project="demo").need_project() == "demo"


def test_a_workspace_that_the_daemon_does_not_know_has_no_project() -> None:
    settings = Settings()
    for ask in (lambda: settings.found(None), settings.need_project):
        with pytest.raises(RefusedError, match="no project here") as caught:
            ask()
        assert caught.value.code is Code.NOT_FOUND
    settings.found({"project": "demo", "folder": "/x", "plane": "ab"})
    assert (settings.need_project(), settings.plane) == ("demo", "ab")


def test_waiting_for_news_does_not_use_up_the_deadline() -> None:
    settings = Settings(timeout=2)
    assert settings.deadline_ms(Ping(), None) == 2000
    assert settings.deadline_ms(Events(wait_ms=30_000), None) == 32_000
    assert settings.deadline_ms(Ping(), 0.5) == 500
    assert settings.deadline_ms(Ping(), 0) == 1, "the daemon takes no deadline of nothing"


@pytest.mark.parametrize("given", [-1, float("nan"), float("inf"), "soon", None])
def test_a_timeout_that_is_none_is_refused_in_words(given: Any) -> None:
    with pytest.raises(RefusedError, match="a timeout is a number of seconds") as caught:
        Settings(timeout=given)
    assert caught.value.code is Code.USAGE


def test_what_is_no_text_and_what_is_no_request_is_refused_in_words() -> None:
    wrong: Any = 7
    for given in ({"actor": wrong}, {"project": wrong}, {"token": wrong}):
        with pytest.raises(RefusedError, match="is text, and no int"):
            Settings(**given)
    with pytest.raises(RefusedError, match="is a request of moot_protocol"):
        Settings().deadline_ms(wrong, None)


def test_a_key_fits_and_is_new_each_time() -> None:
    assert new_key() != new_key()
    assert len(new_key()) <= IDEMPOTENCY_KEY_BYTES


@pytest.mark.parametrize(
    ("request_", "key", "repeats"),
    [
        (Ping(), "", True),
        (Close(actor="a", id="b"), "", False),
        (Close(actor="a", id="b"), "k", True),
        (InitTown(), "", False),
        (Stop(), "", False),
    ],
)
def test_only_what_is_done_once_however_often_it_is_asked_may_be_repeated(
    request_: Ping, key: str, repeats: bool
) -> None:
    assert may_repeat(request_, key) is repeats


def test_a_token_is_the_one_given_else_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().token() == ""
    monkeypatch.setenv("MOOT_TOKEN", "of the environment")
    assert Settings().token() == "of the environment"
    assert Settings(token=GOOD).token() == GOOD
    monkeypatch.delenv("MOOT_TOKEN")
    monkeypatch.setenv("MOOT_TOKEN_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(RefusedError) as caught:
        Settings().token()
    assert caught.value.code is Code.BAD_TOKEN


def test_with_a_token_whoever_it_belongs_to_acts_unless_somebody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ACTORS:
        monkeypatch.delenv(name, raising=False)
    assert Settings().place.actor != ""
    assert Settings(token=GOOD).place.actor == ""
    assert Settings(token=GOOD, actor="ada").place.actor == "ada"
    monkeypatch.setenv("BD_ACTOR", "bob")
    assert Settings(token=GOOD).place.actor == "bob"

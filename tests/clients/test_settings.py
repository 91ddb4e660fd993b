"""What a client is told once."""

import pytest

from moot.paths import socket_path
from moot.settings import Settings, may_repeat, new_key
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import IDEMPOTENCY_KEY_BYTES
from moot_protocol.requests import Close, Events, InitTown, Ping, Stop


def test_the_socket_is_this_users_unless_another_is_named() -> None:
    assert Settings().path == socket_path()
    assert Settings(socket="/run/other").path == "/run/other"


def test_a_project_that_is_named_is_not_asked_for() -> None:
    assert Settings(project="demo").is_found
    assert Settings(project="demo").need_project() == "demo"


def test_a_workspace_that_the_daemon_does_not_know_has_no_project() -> None:
    settings = Settings()
    settings.found(None)
    with pytest.raises(RefusedError) as caught:
        settings.need_project()
    assert caught.value.code is Code.NOT_FOUND
    settings.found({"project": "demo", "folder": "/x", "plane": "ab"})
    assert (settings.need_project(), settings.plane) == ("demo", "ab")


def test_waiting_for_news_does_not_use_up_the_deadline() -> None:
    settings = Settings(timeout=2)
    assert settings.deadline_ms(Ping(), None) == 2000
    assert settings.deadline_ms(Events(wait_ms=30_000), None) == 32_000
    assert settings.deadline_ms(Ping(), 0.5) == 500
    assert settings.deadline_ms(Ping(), 0) == 1, "the daemon takes no deadline of nothing"


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

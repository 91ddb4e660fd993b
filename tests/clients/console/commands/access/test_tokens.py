"""access token create|list|revoke: what is asked of the daemon, and where the secret goes."""

from typing import Any

import pytest

from moot.console import exits
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.access import CreateToken, RevokeToken
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import run_console

DAY_MS = 24 * 3600 * 1000
SHOWN_ONCE = "mtk_7m3k9q2x4c_abc"
TOKEN: dict[str, Any] = {
    "id": "7m3k9q2x4c", "user": "ci\x1b[31m", "note": "", "created_by": "ada", "created_ms": NOW_MS,
    "expires_ms": None, "revoked_ms": None, "used_ms": None,
}  # fmt: skip


def test_a_token_is_printed_alone_and_what_to_do_with_it_beside_it() -> None:
    ran = run_console(
        "access token create ci --expires 30d --note deploys", {"create_token": TOKEN | {"token": SHOWN_ONCE}}
    )
    assert ran.request == CreateToken(actor="unknown", user="ci", expires_ms=NOW_MS + 30 * DAY_MS, note="deploys")
    assert ran.out == f"{SHOWN_ONCE}\n"
    assert "expires never, is shown this once" in ran.err
    assert "MOOT_TOKEN_FILE" in ran.err
    assert "\x1b" not in ran.err


def test_a_token_for_a_file_is_written_for_its_owner_alone_and_not_shown() -> None:
    ran = run_console("access token create ci --out ci.token --json", {"create_token": TOKEN | {"token": SHOWN_ONCE}})
    assert ran.terminal.files["ci.token"] == f"{SHOWN_ONCE}\n".encode()
    assert ran.terminal.modes["ci.token"] == 0o600
    assert ran.terminal.in_folders_that_are_there == {"ci.token"}
    assert SHOWN_ONCE not in ran.out + ran.err
    assert ran.document["id"] == TOKEN["id"]


def test_a_token_whose_file_cannot_be_written_is_revoked_at_once() -> None:
    answers = {"create_token": TOKEN | {"token": SHOWN_ONCE}, "revoke_token": TOKEN | {"changed": True}}
    ran = run_console("access token create ci --out ci.token", answers, files={"ci.token": b"something"})
    assert ran.code != exits.OK
    assert [type(each) for each in ran.asked] == [CreateToken, RevokeToken]
    assert SHOWN_ONCE not in ran.out + ran.err


def test_tokens_are_listed_with_how_they_stand() -> None:
    old = TOKEN | {"id": "old", "expires_ms": NOW_MS, "used_ms": NOW_MS}
    gone = TOKEN | {"id": "gone", "revoked_ms": NOW_MS, "note": "n"}
    ran = run_console("access token list", {"list_tokens": [TOKEN, old, gone]})
    good, expired, revoked = ran.out.splitlines()
    assert "good" in good
    assert good.endswith("expires never used never")
    assert expired.startswith("old")
    assert "expired" in expired
    assert "revoked" in revoked
    assert "\x1b" not in ran.out
    assert run_console("access token", {"list_tokens": [TOKEN]}).out == good + "\n"
    assert run_console("access token list --json", {"list_tokens": [TOKEN]}).document == [TOKEN]
    assert run_console("access token list", {"list_tokens": []}).err == "no tokens\n"


@pytest.mark.parametrize(("changed", "words"), [(True, "✓ Revoked token"), (False, "was revoked before")])
def test_a_token_is_revoked_by_its_id(changed: bool, words: str) -> None:
    ran = run_console("access token revoke 7m3k9q2x4c", {"revoke_token": TOKEN | {"changed": changed}})
    assert ran.request == RevokeToken(actor="unknown", id="7m3k9q2x4c")
    assert words in ran.out


def test_a_bad_token_has_an_exit_code_of_its_own() -> None:
    refused = RefusedError("not good", code=Code.BAD_TOKEN)
    assert run_console("access token list", {"list_tokens": refused}).code == exits.BAD_TOKEN == 77

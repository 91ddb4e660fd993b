"""Requests about the access rules: shown, asked, checked, and taken from another tool's file."""

from pathlib import Path

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests.access import CheckAccess, ImportAccess, ShowAccess, ValidateAccess
from moot_protocol.requests.audit import ListAudit
from moot_testkit.towns.town import Api, make_api

YAML = 'users:\n  - name: alice\n    role: user\n    uid: 7\n    permissions: ["rig:read", "polecat:*"]\n'


@pytest.fixture
def api(tmp_path: Path) -> Api:
    tmp_path.chmod(0o700)
    return make_api(folder=tmp_path)


def test_without_a_file_there_are_no_rules_and_everything_is_allowed(api: Api, tmp_path: Path) -> None:
    shown = api.call(ShowAccess())
    assert shown["path"] == str(tmp_path / "access.toml")
    assert not shown["present"]
    assert shown["users"] == []
    checked = api.call(CheckAccess(subject="anybody", permission="plane:admin"))
    assert (checked["allowed"], checked["bound"]) == (True, False)


def test_rules_are_taken_from_another_tools_file_and_the_change_is_recorded(api: Api, tmp_path: Path) -> None:
    done = api.call(ImportAccess(actor="ada", text=YAML))
    assert (done["users"], done["replaced"]) == (1, False)
    assert done["idle"] == [{"user": "alice", "rule": "polecat:*"}]
    assert (tmp_path / "access.toml").read_text() == done["text"]
    shown = api.call(ShowAccess())
    assert shown["audit"] == "decisions"
    assert shown["users"] == [
        {
            "name": "alice", "role": "user", "permissions": ["polecat:*", "rig:read"], "restrictions": [], "uids": [7],
        }
    ]  # fmt: skip
    assert [each["event_type"] for each in api.call(ListAudit())["records"]] == ["permission_changed"]


def test_rules_that_stand_are_replaced_only_when_asked(api: Api) -> None:
    api.call(ImportAccess(actor="ada", text=YAML))
    assert api.refusal(ImportAccess(actor="ada", text=YAML)) is Code.EXISTS
    assert api.call(ImportAccess(actor="ada", text="", form="toml", replace=True))["replaced"]
    assert api.call(ShowAccess())["users"] == []
    assert api.call(ShowAccess())["present"]


def test_what_gives_no_rules_changes_nothing(api: Api, tmp_path: Path) -> None:
    assert api.refusal(ImportAccess(actor="ada", text="users: alice")) is Code.INVALID
    assert api.refusal(ImportAccess(actor="ada", text=YAML, form="json")) is Code.INVALID
    api.call(ImportAccess(actor="ada", text=YAML, dry_run=True))
    assert not (tmp_path / "access.toml").exists()
    assert api.call(ListAudit())["records"] == []


def test_a_question_is_answered_with_the_rule_that_decides(api: Api) -> None:
    api.call(ImportAccess(actor="ada", text=YAML))
    answer = api.call(CheckAccess(subject="alice/claude", permission="issue:read", resource="demo-1"))
    assert answer == {"allowed": True, "rule": "alice: rig:read", "bound": True}
    assert not api.call(CheckAccess(subject="alice", permission="issue:write"))["allowed"]
    assert api.refusal(CheckAccess(subject="alice", permission="issue:teleport")) is Code.INVALID


def test_a_broken_file_is_told_and_answers_nothing(api: Api, tmp_path: Path) -> None:
    (tmp_path / "access.toml").write_text("users = 1")
    shown = api.call(ShowAccess())
    assert shown["present"]
    assert "users" in shown["problem"]
    assert api.refusal(CheckAccess(subject="alice", permission="issue:read")) is Code.INVALID


def test_a_text_is_checked_without_being_taken(api: Api, tmp_path: Path) -> None:
    assert api.call(ValidateAccess(text=YAML, form="yaml"))["valid"]
    answer = api.call(ValidateAccess(text="audit = 7"))
    assert not answer["valid"]
    assert "audit" in answer["problem"]
    assert not (tmp_path / "access.toml").exists()

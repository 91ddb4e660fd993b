"""Access files: rules from TOML and from others' YAML, refused whole where anything in them is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.access.file import idle_rules, read_rules, rules_from_yaml, write_rules
from moot_protocol.access.rules import AccessRole, Audit, Rules, User
from moot_protocol.access.table import EVERY_PERMISSION
from moot_protocol.limits import ACCESS_BYTES
from moot_protocol.text.toml_text import DocumentError

TOML = """\
audit = "decisions"

[users.alice]
role = "user"
uids = [1000]
permissions = ["rig:read", "crew:*", "no:*secret*"]
restrictions = ["no:*polecat*"]

[users."ci/builder"]
role = "service_account"
"""
RULES = Rules(
    {
        "alice": User(AccessRole.USER, ("crew:*", "rig:read"), ("*polecat*", "*secret*"), (1000,)),
        "ci/builder": User(AccessRole.SERVICE_ACCOUNT),
    },
    Audit.DECISIONS,
)
YAML = """\
audit: decisions
users:
  - name: alice
    role: user
    uid: 1000
    permissions: [rig:read, crew:*, "no:*secret*"]
    restrictions: ["no:*polecat*"]
  - name: ci/builder
    role: service_account
"""
words = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp", "Cf", "Co", "Cn")), min_size=1, max_size=8
)
names = words.map(lambda word: word.replace("/", "") or "x")
rule = words.filter(lambda word: not word.startswith("no:"))
rule_lists = st.lists(rule, max_size=3).map(lambda each: tuple(sorted(set(each))))
users = st.builds(User, st.sampled_from(AccessRole), st.none() | rule_lists, rule_lists, st.just(()))


def test_toml_and_yaml_give_the_same_rules() -> None:
    assert read_rules(TOML) == RULES
    assert rules_from_yaml(YAML) == RULES


def test_users_by_name_are_read_from_yaml_too() -> None:
    assert rules_from_yaml("users:\n  bob:\n    role: reader\n    uids: [7]\n") == Rules(
        {"bob": User(AccessRole.READER, uids=(7,))}
    )


def test_no_users_are_rules_too_by_which_nobody_gets_in() -> None:
    assert read_rules("") == Rules({}, Audit.DECISIONS) == Rules({})


@given(st.dictionaries(names, users, max_size=3), st.sampled_from(Audit))
def test_rules_are_read_as_they_were_written(found: dict[str, User], audit: Audit) -> None:
    rules = Rules(found, audit)
    assert read_rules(write_rules(rules)) == rules


@pytest.mark.parametrize(
    "text",
    [
        "[users.alice]\n",
        '[users.alice]\nrole = "root"',
        '[users.alice]\nrole = "user"\npermision = ["*"]',
        '[users.alice]\nrole = "user"\npermissions = "*"',
        '[users.alice]\nrole = "user"\npermissions = [""]',
        '[users.alice]\nrole = "user"\nrestrictions = ["*polecat*"]',
        '[users.alice]\nrole = "user"\nrestrictions = ["no:"]',
        '[users.alice]\nrole = "user"\nuids = [true]',
        '[users.alice]\nrole = "user"\nuids = [-1]',
        '[users.alice]\nrole = "user"\nuids = [4294967295]',
        '[users.a]\nrole = "user"\nuids = [1]\n[users.b]\nrole = "user"\nuids = [1]',
        '[users."/alice"]\nrole = "user"',
        '[users."a\\u0000"]\nrole = "user"',
        'audit = "some"',
        'user = "alice"',
        "audit = ",
        "#" * (ACCESS_BYTES + 1),
    ],
)
def test_a_file_with_anything_wrong_in_it_gives_no_rules(text: str) -> None:
    with pytest.raises(DocumentError):
        read_rules(text)


@pytest.mark.parametrize(
    "text",
    [
        "- a",
        "users: [a]",
        "users:\n  - role: user",
        "users:\n  - name: a\n    role: user\n  - name: a\n    role: admin",
        "users: alice",
        "users:\n  - name: a\n    role: user\n    uid: ten",
        "people:\n  - name: a\n    role: user",
    ],
)
def test_yaml_that_is_no_access_file_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        rules_from_yaml(text)


def test_permissions_that_fit_nothing_are_found() -> None:
    listed = ("issue:*", "isue:read", "polecat:spawn", "issue:write:demo-*", "*", "rig:read")
    rules = Rules({"alice": User(AccessRole.USER, listed)})
    assert sorted(idle_rules(rules, EVERY_PERMISSION)) == [("alice", "isue:read"), ("alice", "polecat:spawn")]

"""The one function that decides who may do what: wildcards, roles, restrictions, and whose rules bind whom."""

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moot_protocol.access.rules import (
    AccessRole,
    Decision,
    Rules,
    User,
    acts_for,
    decide,
    is_named,
    matches,
    may_some,
    restriction_of,
    restricts,
    sees_all,
    user_of,
)
from moot_protocol.access.table import EVERY_PERMISSION

ADMIN, USER, READER, SERVICE = AccessRole

names = st.sampled_from(["alice", "alice/claude", "alice/claude/2", "bob"])
permissions = st.sampled_from(EVERY_PERMISSION)
resources = st.sampled_from(["demo-1", "secret-7", "polecat/toast", "Polecat-3", "*"])
patterns = st.sampled_from(
    ["*", "issue:*", "rig:read", "crew:*", "memory:write", "*:read", "issue:write:demo-*", "nothing:*", "*polecat*"]
)
lists = st.lists(patterns, max_size=4).map(tuple)
users = st.builds(User, st.sampled_from(AccessRole), st.none() | lists, lists, st.just(()))
rules = st.dictionaries(names, users, max_size=4).map(Rules)
who_may = st.builds(
    User, st.just(ADMIN), st.none() | st.just(("*",)), st.lists(patterns, max_size=1).map(tuple), st.just(())
)
deputies = st.dictionaries(st.sampled_from(["alice/claude", "alice/claude/2"]), who_may | users)
helped = st.builds(lambda alice, others: Rules({"alice": alice, **others}), who_may | users, deputies)
"""Rules by which whoever works for alice may do something about every other time."""


def allowed(user: User, permission: str, resource: str = "*") -> bool:
    return decide(Rules({"alice": user}), "alice", permission, resource).allowed


# -- Laws --------------------------------------------------------------------------------------------------------
@given(rules, names, permissions, resources, patterns)
def test_whatever_is_allowed_a_restriction_more_can_only_deny(
    rules: Rules, name: str, permission: str, resource: str, pattern: str
) -> None:
    before = decide(rules, name, permission, resource)
    user = rules.users.get(name, User(ADMIN))
    more = user._replace(restrictions=(*user.restrictions, pattern))
    after = decide(Rules({**rules.users, name: more}), name, permission, resource)
    fits = matches(pattern, permission) or matches(pattern, resource)
    assert not (fits and after.allowed)
    assert before.allowed or name not in rules.users or not after.allowed


@given(rules, names, permissions, resources)
def test_whoever_sees_all_may_do_it_to_each_thing_and_to_each_thing_only_who_may_do_it_to_some(
    rules: Rules, name: str, permission: str, resource: str
) -> None:
    one = decide(rules, name, permission, resource).allowed
    assert one or not sees_all(rules, name, permission)
    assert may_some(rules, name, permission).allowed or not one


@given(rules, names, permissions, resources)
def test_a_restriction_is_what_denies_before_anything_is_granted(
    rules: Rules, name: str, permission: str, resource: str
) -> None:
    taken = restriction_of(rules, name, permission, resource)
    everything = Rules({each: user._replace(role=ADMIN, permissions=None) for each, user in rules.users.items()})
    assert (taken is None) == (decide(everything, name, permission, resource).allowed or not is_named(rules, name))


@given(st.data(), rules, names, permissions, resources)
def test_the_order_in_which_rules_stand_never_shows(
    data: Any, rules: Rules, name: str, permission: str, resource: str
) -> None:
    def mixed(user: User) -> User:
        listed = None if user.permissions is None else tuple(data.draw(st.permutations(user.permissions)))
        return user._replace(permissions=listed, restrictions=tuple(data.draw(st.permutations(user.restrictions))))

    order = data.draw(st.permutations(sorted(rules.users)))
    again = Rules({each: mixed(rules.users[each]) for each in order})
    assert decide(again, name, permission, resource) == decide(rules, name, permission, resource)


@given(helped, permissions, resources)
def test_whoever_works_for_somebody_may_never_do_more(rules: Rules, permission: str, resource: str) -> None:
    assume(decide(rules, "alice/claude/2", permission, resource).allowed)
    assert decide(rules, "alice", permission, resource).allowed


@given(st.text("ab:*", max_size=8), st.text("ab:", max_size=10))
def test_a_star_stands_for_any_run_of_characters(pattern: str, text: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None
    assert matches(pattern, text) is expected


# -- Rules -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("role", "may"),
    [
        (ADMIN, {"issue:read", "issue:write", "issue:delete", "plane:admin"}),
        (USER, {"issue:read", "issue:write", "issue:delete"}),
        (READER, {"issue:read"}),
        (SERVICE, set()),
    ],
)
def test_a_role_alone_allows_what_it_is_for(role: AccessRole, may: set[str]) -> None:
    asked = {"issue:read", "issue:write", "issue:delete", "plane:admin"}
    assert {each for each in asked if allowed(User(role), each)} == may


def test_no_permission_goes_beyond_the_role() -> None:
    assert not allowed(User(READER, ("*",)), "issue:write")
    assert not allowed(User(SERVICE, ("*",)), "plane:admin")
    assert allowed(User(SERVICE, ("*",)), "issue:write")


def test_listed_permissions_are_all_there_is() -> None:
    user = User(USER, ("issue:read",))
    assert allowed(user, "issue:read", "demo-1")
    assert not allowed(user, "issue:write", "demo-1")
    assert not allowed(User(ADMIN, ()), "issue:read")


def test_a_permission_with_a_resource_covers_that_and_never_everything() -> None:
    user = User(USER, ("issue:write:demo-*",))
    assert allowed(user, "issue:write", "demo-1")
    assert not allowed(user, "issue:write", "secret-1")
    assert not allowed(user, "issue:write")


def test_words_of_others_for_projects_and_workers_are_understood() -> None:
    user = User(USER, ("rig:read", "crew:*"))
    assert allowed(user, "issue:read")
    assert allowed(user, "claim:write")
    assert not allowed(user, "issue:write")
    assert not allowed(User(ADMIN, None, ("rig:write",)), "issue:write")


def test_a_restriction_fits_names_whatever_their_case() -> None:
    user = User(ADMIN, ("*",), ("*polecat*",))
    assert not allowed(user, "claim:write", "gastown/PoleCats/toast")
    assert allowed(user, "claim:write", "gastown/crew/joe")
    assert not allowed(user._replace(restrictions=("*POLEcat*",)), "claim:write", "gastown/polecats/toast")


def test_a_restriction_on_a_permission_and_a_resource_takes_away_nothing_else_of_either() -> None:
    user = User(ADMIN, ("*",), ("issue:write:secret-*",))
    assert not allowed(user, "issue:write", "secret-7")
    assert allowed(user, "issue:read", "secret-7")
    assert allowed(user, "issue:write", "demo-1")


def test_a_decision_names_the_rule_that_decided() -> None:
    rules = Rules({"alice": User(USER, ("rig:read",), ("*secret*",)), "alice/claude": User(READER)})
    assert decide(rules, "alice", "issue:read", "secret-1") == Decision(False, "alice: no:*secret*")
    assert decide(rules, "alice", "issue:read", "demo-1") == Decision(True, "alice: rig:read")
    assert decide(rules, "alice", "issue:write") == Decision(False, "alice: no permission of theirs")
    assert decide(rules, "alice/claude", "issue:read") == Decision(True, "alice/claude: role reader")
    assert decide(rules, "mallory", "issue:read") == Decision(False, "no rule names mallory")


def test_a_name_that_only_begins_like_another_is_another() -> None:
    rules = Rules({"alice": User(ADMIN)})
    assert decide(rules, "alice/claude-3", "issue:write").allowed
    assert not decide(rules, "alicea", "issue:write").allowed
    assert acts_for("alice/x", "alice")
    assert not acts_for("alicea", "alice")


def test_a_user_id_is_the_user_who_has_it() -> None:
    rules = Rules({"alice": User(ADMIN, uids=(1000, 1001)), "bob": User(ADMIN)})
    assert user_of(rules, 1001) == "alice"
    assert user_of(rules, 7) is None


# -- Some and all ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("restriction", "whole"),
    [
        ("issue:delete", True),
        ("memory:*", True),
        ("rig:delete", True),
        ("*:delete", False),  # it fits what is called `delete`
        ("m*:delete", True),
        ("issue:read:secret-*", False),
        ("RIG:read:secret-*", False),
        ("issue:*", False),
        ("*:read", False),
        ("iss*d:x", False),
        ("*polecat*", False),
        ("secret-7", False),
    ],
)
def test_a_restriction_on_other_permissions_leaves_a_list_whole(restriction: str, whole: bool) -> None:
    assert sees_all(Rules({"alice": User(USER, restrictions=(restriction,))}), "alice", "issue:read") is whole


@pytest.mark.parametrize(
    ("user", "some"),
    [
        (User(USER), True),
        (User(SERVICE), False),
        (User(SERVICE, ("issue:read:build-*",)), True),
        (User(SERVICE, ("issue:write:build-*",)), False),
        (User(READER, ("issue:*:build-*",)), True),
        (User(USER, restrictions=("issue:read",)), False),
        (User(USER, restrictions=("*",)), False),
        (User(USER, restrictions=("secret-*",)), True),
    ],
)
def test_a_permission_on_one_thing_is_one_on_some(user: User, some: bool) -> None:
    assert may_some(Rules({"alice": user}), "alice", "issue:read").allowed is some
    assert not may_some(Rules({"alice": user}), "bob", "issue:read").allowed


def test_who_works_for_somebody_with_rules_is_named_by_them() -> None:
    rules = Rules({"alice": User(USER), "bob/builder": User(USER)})
    assert [is_named(rules, name) for name in ("alice", "alice/claude", "bob/builder/2", "bob", "alicea")] == [
        True, True, True, False, False
    ]  # fmt: skip


def test_it_is_told_whether_anything_is_taken_away_from_somebody_or_whom_they_work_for() -> None:
    known = Rules({"ann": User(ADMIN, restrictions=("x",)), "bob": User(ADMIN)})
    assert [restricts(known, name) for name in ("ann", "ann/claude", "bob", "carol")] == [True, True, False, False]

"""Settings: which keys there are, and which values they may have."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.settings import (
    KEPT,
    KNOWN,
    NAMESPACES,
    CustomStatus,
    check_key,
    custom_statuses,
    custom_types,
    problem_of,
)
from moot_protocol.limits import SETTING_BYTES, SETTING_KEY_BYTES


def refusal(key: str, *, secrets: bool = False) -> Code:
    with pytest.raises(RefusedError) as raised:
        check_key(key, secrets=secrets)
    return raised.value.code


@pytest.mark.parametrize("key", sorted({*KNOWN, *KEPT, *(f"{name}x" for name in NAMESPACES)}))
def test_known_keys_and_keys_of_known_namespaces_can_be_set(key: str) -> None:
    check_key(key)


@pytest.mark.parametrize(
    "key", ["", " ", "status.custom ", "nonsense", "custom.", "no\nway", "custom.\x1b[2J", "prefix"]
)
def test_what_nothing_can_mean_is_refused(key: str) -> None:
    assert refusal(key) is Code.INVALID


def test_a_mistyped_key_is_told_where_keys_of_ones_own_go() -> None:
    with pytest.raises(RefusedError) as raised:
        check_key("statuscustom")
    assert "custom.statuscustom" in raised.value.hint


def test_a_key_without_a_name_is_told_where_one_goes() -> None:
    with pytest.raises(RefusedError) as raised:
        check_key("custom.")
    assert raised.value.hint == "write a name after the dot: custom.NAME"


@pytest.mark.parametrize(
    "key", ["jira.api_token", "linear.api_key", "ado.pat", "custom.password", "github.token", "dolt.credentials"]
)
def test_a_secret_is_kept_only_by_who_insists(key: str) -> None:
    assert refusal(key) is Code.DENIED
    check_key(key, secrets=True)


@pytest.mark.parametrize("key", ["custom.path", "custom.tokens-per-day", "kv.api_key"])
def test_what_only_sounds_like_a_secret_is_kept(key: str) -> None:
    check_key(key)


def test_a_key_has_a_limit() -> None:
    name = "custom." + "x" * (SETTING_KEY_BYTES - len("custom."))
    check_key(name)
    assert refusal(name + "x") is Code.LIMIT


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("agent.profile", "minimal", "maximal"),
        ("export.auto", "true", "yes"),
        ("federation.sovereignty", "T2", "T5"),
        ("no-git-ops", "false", "0"),
        ("prime.max-memories", "12", "-1"),
        ("prime.max-memory-chars", "0", "²"),
        ("routing.mode", "auto", "anywhere"),
        ("status.custom", "review:active, parked", "Review:active"),
        ("types.custom", "spike,rig", "9lives"),
    ],
)
def test_a_known_setting_has_a_value_it_can_have(key: str, good: str, bad: str) -> None:
    assert problem_of(key, good) == ""
    assert problem_of(key, bad)


def test_a_value_of_others_is_anything_up_to_a_limit() -> None:
    assert problem_of("custom.x", "é" * (SETTING_BYTES // 2)) == ""
    assert problem_of("custom.x", "é" * (SETTING_BYTES // 2) + "x")


def test_of_a_category_that_is_none_those_are_told_that_are() -> None:
    told = problem_of("status.custom", "review:wip,a:b:c")
    assert told == "'b:c' is no category: one of active, done, frozen, wip"
    assert problem_of("status.custom", "a,a") == "status a stands twice"


def test_statuses_have_names_and_categories() -> None:
    assert custom_statuses("review:active, ,parked") == [CustomStatus("review", "active"), CustomStatus("parked", "")]
    for wrong in ("review:", "review:soon", "a,a", ",".join(f"s{number}" for number in range(51))):
        with pytest.raises(RefusedError):
            custom_statuses(wrong)


def test_types_are_names() -> None:
    assert custom_types(" rig,agent,, rig") == ["rig", "agent"]

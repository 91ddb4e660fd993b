"""Memories and settings as entities of a project's plane: written, read, merged, taken away."""

from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.limits import MEMORY_KEY_BYTES, TEXT_BYTES
from moot_protocol.merge.kinds import MEMORY, SETTING
from moot_protocol.requests.issues import InitProject
from moot_protocol.requests.memories import EraseMemory, Forget, Memories, Remember, SetSetting, Settings
from moot_testkit.towns.engine import PROJECT, Desk, exchange, town_of
from moot_testkit.towns.planes import TEAM, two_planes
from mootd.engine.memories import Shelf


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.do(InitProject(actor="alice", prefix=PROJECT))
    return made


def remember(desk: Desk, key: str, text: str, project: str = PROJECT) -> bool:
    answer = desk.do(Remember(actor="alice", project=project, key=key, text=text))
    assert (answer["key"], answer["text"]) == (key, text.strip())
    return bool(answer["created"])


def memories(desk: Desk, **parts: Any) -> dict[str, str]:
    return {each["key"]: each["text"] for each in desk.ask(Memories(project=PROJECT, **parts))}


def settings(desk: Desk, project: str = PROJECT, prefix: str = "") -> dict[str, str]:
    return {each["key"]: each["value"] for each in desk.ask(Settings(project=project, prefix=prefix))}


# -- Memories ----------------------------------------------------------------------------------------------------
def test_a_memory_is_kept_under_its_key_until_it_is_forgotten(desk: Desk) -> None:
    assert remember(desk, "auth", "sessions") is True
    assert remember(desk, "auth", "  tokens\nnot sessions\n") is False
    assert memories(desk) == {"auth": "tokens\nnot sessions"}
    assert desk.do(Forget(actor="bob", project=PROJECT, key="auth"))["text"] == "tokens\nnot sessions"
    assert memories(desk) == {}
    assert remember(desk, "auth", "again") is True


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_a_memory_that_is_erased_is_gone_with_all_that_it_ever_said(desk: Desk, is_forgotten: bool) -> None:
    remember(desk, "auth", "kumquat one")
    remember(desk, "auth", "kumquat two")
    remember(desk, "other", "stays")
    if is_forgotten:
        desk.do(Forget(actor="bob", project=PROJECT, key="auth"))
    answer = desk.do(EraseMemory(actor="bob", project=PROJECT, key="auth"))
    assert answer == {"key": "auth", "events": 2}
    assert memories(desk) == {"other": "stays"}
    with desk.replica.read() as reader:
        live = desk.entities(reader).live(desk.records(MEMORY)[f"{PROJECT}/auth"])
    assert [sibling.value for sibling in live["text"]] == [""], "nothing is missing"
    assert not [key for rows in desk.tables().values() for key, value in rows.items() if b"kumquat" in value]
    assert remember(desk, "auth", "again") is True


def test_an_erased_memory_is_gone_on_the_other_machine_too() -> None:
    one, two = town_of("one", "two")
    one.do(InitProject(actor="alice", prefix=PROJECT))
    remember(one, "auth", "kumquat")
    exchange(one, two)
    two.do(EraseMemory(actor="bob", project=PROJECT, key="auth"))
    exchange(one, two)
    assert memories(one) == {}
    assert not [key for rows in one.tables().values() for key, value in rows.items() if b"kumquat" in value]


def test_a_memory_of_which_nothing_is_here_cannot_be_erased(desk: Desk) -> None:
    erasing = EraseMemory(actor="bob", project=PROJECT, key="auth")
    assert desk.refusal(erasing) is Code.NOT_FOUND
    remember(desk, "auth", "x")
    desk.do(erasing)
    assert desk.refusal(erasing) is Code.NOT_FOUND


def test_what_a_file_says_of_an_erased_memory_is_left_out_until_somebody_remembers_it_anew(desk: Desk) -> None:
    def from_file(text: str) -> dict[str, Any]:
        found: dict[str, Any] = desk.do(
            Remember(actor="carol", project=PROJECT, key="auth", text=text, unless_erased=True)
        )
        return found

    assert from_file("kumquat")["created"] is True
    assert "_erased" not in from_file("kumquat two"), "nothing was erased yet"
    desk.do(EraseMemory(actor="bob", project=PROJECT, key="auth"))
    length = desk.log_length()
    assert from_file("kumquat") == {"key": "auth", "text": "", "created": False, "_erased": True, "_unchanged": True}
    assert (memories(desk), desk.log_length()) == ({}, length)
    assert remember(desk, "auth", "anew") is True
    assert from_file("kumquat")["_erased"] is True
    assert "_erased" not in from_file("anew"), "it brings nothing that isn't here"
    assert memories(desk) == {"auth": "anew"}


def test_the_same_text_again_writes_nothing(desk: Desk) -> None:
    remember(desk, "auth", "tokens")
    before = desk.tables()
    remember(desk, "auth", "tokens")
    assert desk.tables() == before


def test_what_is_kept_or_set_so_already_is_told_as_such(desk: Desk) -> None:
    again = [
        Remember(actor="a", project=PROJECT, key="auth", text="tokens"),
        SetSetting(actor="a", project=PROJECT, key="custom.x", value="1"),
    ]
    assert ["_unchanged" in desk.do(each) for each in again] == [False, False]
    before = desk.log_length()
    assert [desk.do(each).get("_unchanged") for each in again] == [True, True]
    assert desk.do(SetSetting(actor="a", project=PROJECT, key="custom.y"))["_unchanged"] is True
    assert desk.log_length() == before


def test_setting_what_two_set_apart_settles_it_whichever_of_both_is_chosen() -> None:
    one, two = town_of("one", "two")
    for desk, value in ((one, "1"), (two, "2")):
        desk.do(SetSetting(actor="a", project=PROJECT, key="custom.x", value=value))
    exchange(one, two)
    for value in ("2", "1"):
        assert "_unchanged" not in one.do(SetSetting(actor="a", project=PROJECT, key="custom.x", value=value))


def test_a_project_has_its_own_memories(desk: Desk) -> None:
    remember(desk, "k", "mine")
    remember(desk, "k", "theirs", project=f"{PROJECT}x")
    remember(desk, f"{PROJECT}/k", "with a slash")
    assert memories(desk) == {"k": "mine", f"{PROJECT}/k": "with a slash"}


def test_memories_are_found_by_words_in_key_or_text(desk: Desk) -> None:
    remember(desk, "auth", "Tokens, not sessions")
    remember(desk, "broker", "runs in the session of tests")
    remember(desk, "style", "short")
    assert set(memories(desk, search="SESSION")) == {"auth", "broker"}
    assert set(memories(desk, search="sty")) == {"style"}
    assert set(memories(desk, key="auth")) == {"auth"}
    assert memories(desk, key="au") == {}


@pytest.mark.parametrize(
    ("key", "text", "code"),
    [
        ("", "x", Code.INVALID),
        (" ", "x", Code.INVALID),
        ("a\x00b", "x", Code.INVALID),
        ("k", " \n", Code.INVALID),
        ("k" * (MEMORY_KEY_BYTES + 1), "x", Code.LIMIT),
        ("k", "x" * (TEXT_BYTES + 1), Code.LIMIT),
    ],
)
def test_what_cannot_be_kept_is_refused(desk: Desk, key: str, text: str, code: Code) -> None:
    assert desk.refusal(Remember(actor="alice", project=PROJECT, key=key, text=text)) is code


def test_what_is_not_remembered_cannot_be_forgotten(desk: Desk) -> None:
    assert desk.refusal(Forget(actor="alice", project=PROJECT, key="auth")) is Code.NOT_FOUND


def test_two_machines_that_add_to_one_memory_keep_both_additions() -> None:
    one, other = town_of("one", "other")
    remember(one, "steps", "first\n\nmiddle\n\nlast")
    exchange(one, other)
    remember(one, "steps", "first, and more\n\nmiddle\n\nlast")
    remember(other, "steps", "first\n\nmiddle\n\nlast, and more")
    exchange(one, other)
    assert memories(one) == memories(other) == {"steps": "first, and more\n\nmiddle\n\nlast, and more"}
    assert not any(each["foreign"] or each["conflict"] for each in one.ask(Memories(project=PROJECT)))


def test_two_machines_that_disagree_are_in_conflict_until_somebody_writes_again() -> None:
    one, other = town_of("one", "other")
    remember(one, "port", "80")
    remember(other, "port", "8080")
    exchange(one, other)
    (found,) = one.ask(Memories(project=PROJECT))
    assert found["conflict"] is True
    remember(one, "port", "443")
    exchange(one, other)
    assert [each["conflict"] for each in other.ask(Memories(project=PROJECT))] == [False]
    assert memories(other) == {"port": "443"}


def test_memories_stand_on_their_projects_plane() -> None:
    desk = two_planes()
    desk.do(InitProject(actor="alice", prefix="shared", plane=TEAM))
    desk.do(Remember(actor="alice", project="shared", key="k", text="there"))
    team = desk.replica.plane_named(TEAM)
    with desk.replica.read() as reader:
        feed_of = desk.replica.feeds.__getitem__
        shelf = Shelf(desk.entities(reader), team, MEMORY, "shared", feed_of)
        assert [kept.key for kept in shelf.all()] == ["k"]
    assert [each["text"] for each in desk.ask(Memories(project="shared"))] == ["there"]


def test_a_rebuild_finds_every_memory_and_setting_again(desk: Desk) -> None:
    remember(desk, "auth", "tokens")
    desk.do(SetSetting(actor="alice", project=PROJECT, key="custom.x", value="1"))
    twin = Desk("twin").join(desk)
    assert memories(twin) == {"auth": "tokens"}
    assert settings(twin) == {"custom.x": "1"}


# -- Settings ----------------------------------------------------------------------------------------------------
def test_a_setting_is_set_changed_and_taken_away(desk: Desk) -> None:
    first = desk.do(SetSetting(actor="alice", project=PROJECT, key="custom.x", value="1"))
    assert first == {"key": "custom.x", "value": "1", "was": None}
    assert desk.do(SetSetting(actor="alice", project=PROJECT, key="custom.x", value="2"))["was"] == "1"
    assert settings(desk) == {"custom.x": "2"}
    gone = desk.do(SetSetting(actor="alice", project=PROJECT, key="custom.x"))
    assert gone == {"key": "custom.x", "value": None, "was": "2"}
    assert settings(desk) == {}


def test_a_project_overrules_its_town(desk: Desk) -> None:
    for project, value in (("", "town"), (PROJECT, "project")):
        desk.do(SetSetting(actor="alice", project=project, key="custom.x", value=value))
    desk.do(SetSetting(actor="alice", project="", key="custom.y", value="town"))
    found = desk.ask(Settings(project=PROJECT))
    assert [(each["key"], each["value"], each["of"]) for each in found] == [
        ("custom.x", "project", "project"),
        ("custom.y", "town", "town"),
    ]
    assert settings(desk, project="") == {"custom.x": "town", "custom.y": "town"}
    assert settings(desk, prefix="custom.y") == {"custom.y": "town"}


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [("nonsense", "1", Code.INVALID), ("export.auto", "maybe", Code.INVALID), ("jira.token", "x", Code.DENIED)],
)
def test_a_setting_that_cannot_be_is_refused(desk: Desk, key: str, value: str, code: Code) -> None:
    assert desk.refusal(SetSetting(actor="alice", project=PROJECT, key=key, value=value)) is code


def test_a_secret_that_got_in_can_be_taken_away(desk: Desk) -> None:
    desk.do(SetSetting(actor="alice", project=PROJECT, key="jira.token", value="x", secrets=True))
    desk.do(SetSetting(actor="alice", project=PROJECT, key="jira.token"))
    assert settings(desk) == {}
    assert desk.records(SETTING)


# -- Written apart -----------------------------------------------------------------------------------------------
def parted(first: str, second: str, *, base: str = "", key: str = "auth") -> tuple[Desk, Desk]:
    """Two machines on which these were remembered under one key apart, and that have exchanged since; "" forgets."""
    one, two = town_of("one", "two")
    one.do(InitProject(actor="alice", prefix=PROJECT))
    if base:
        remember(one, key, base)
    exchange(one, two)
    for desk, text in ((one, first), (two, second)):
        desk.clock.advance(10)
        if text:
            remember(desk, key, text)
        else:
            desk.do(Forget(actor="bob", project=PROJECT, key=key))
    exchange(one, two)
    return one, two


def values(desk: Desk, **parts: Any) -> dict[str, list[str]]:
    found = desk.ask(Memories(project=PROJECT, **parts))
    return {each["key"]: sorted(value["value"] for value in each.get("values", ())) for each in found}


def test_both_texts_of_two_machines_are_told_until_one_is_remembered_again() -> None:
    one, two = parted("first", "second")
    for desk in (one, two):
        (kept,) = desk.ask(Memories(project=PROJECT))
        assert kept["conflict"] is True
        assert [(each["value"], each["actor"]) for each in kept["values"]] == [("first", "alice"), ("second", "alice")]
        assert kept["text"] == "second"
        assert values(desk, conflicts=True) == {"auth": ["first", "second"]}
        assert values(desk, search="FIRST") == {"auth": ["first", "second"]}, "a text that isn't shown is found, too"
    remember(two, "auth", "first")
    exchange(one, two)
    assert (values(one), values(one, conflicts=True)) == ({"auth": []}, {})


def test_texts_that_merge_are_no_conflict() -> None:
    one, _ = parted("a!\n\nb\n\nc", "a\n\nb\n\nc!", base="a\n\nb\n\nc")
    assert (values(one), values(one, conflicts=True)) == ({"auth": []}, {})


def test_a_text_beside_a_later_taking_away_is_told_among_the_conflicts_and_can_be_forgotten() -> None:
    one, two = parted("kept", "", base="base")
    assert memories(one) == {}
    (kept,) = one.ask(Memories(project=PROJECT, conflicts=True))
    assert (kept["text"], [each["value"] for each in kept["values"]]) == ("", ["kept", ""])
    assert one.do(Forget(actor="bob", project=PROJECT, key="auth")) == {"key": "auth", "text": ""}
    exchange(one, two)
    assert values(two, conflicts=True) == {}
    assert two.refusal(Forget(actor="bob", project=PROJECT, key="auth")) is Code.NOT_FOUND


def test_a_setting_that_two_set_apart_has_both_values_of_town_and_project_alike() -> None:
    one, two = town_of("one", "two")
    one.do(InitProject(actor="alice", prefix=PROJECT))
    exchange(one, two)
    for desk, value in ((one, "1"), (two, "2")):
        for project in ("", PROJECT):
            desk.do(SetSetting(actor="a", project=project, key="custom.x", value=value))
    exchange(one, two)
    (setting,) = one.ask(Settings(project=PROJECT))
    assert sorted(each["value"] for each in setting["values"]) == ["1", "2"]
    found = one.ask(Settings(project=PROJECT, conflicts=True))
    assert [(each["key"], each["of"]) for each in found] == [("custom.x", "project"), ("custom.x", "town")]
    for project in ("", PROJECT):
        one.do(SetSetting(actor="a", project=project, key="custom.x", value="1"))
    assert one.ask(Settings(project=PROJECT, conflicts=True)) == []
    assert "values" not in one.ask(Settings(project=PROJECT))[0]


# -- Beside what stands there ------------------------------------------------------------------------------------
def beside(desk: Desk, text: str, key: str = "auth", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = desk.do(Remember(actor="alice", project=PROJECT, key=key, text=text, beside=True, **more))
    return found


def test_a_text_is_remembered_beside_others_of_its_key(desk: Desk) -> None:
    assert beside(desk, "one") == {"key": "auth", "text": "one", "created": True}
    assert beside(desk, "two") == {"key": "auth-2", "text": "two", "created": True}
    assert beside(desk, "three")["key"] == "auth-3"
    length = desk.log_length()
    for text, key in (("one", "auth"), ("two", "auth-2"), ("three", "auth-3")):
        assert beside(desk, f" {text}\n") == {"key": key, "text": text, "created": False, "_unchanged": True}
    assert desk.log_length() == length
    assert memories(desk) == {"auth": "one", "auth-2": "two", "auth-3": "three"}


def test_what_was_forgotten_leaves_its_key_free(desk: Desk) -> None:
    beside(desk, "one")
    desk.do(Forget(actor="bob", project=PROJECT, key="auth"))
    assert beside(desk, "two")["key"] == "auth"


def test_a_trial_tells_the_key_that_it_would_get(desk: Desk) -> None:
    beside(desk, "one")
    assert beside(desk, "two", dry_run=True)["key"] == "auth-2"
    assert memories(desk) == {"auth": "one"}


def test_a_text_beside_others_settles_no_conflict() -> None:
    one, _ = parted("first", "second")
    for text in ("first", "second"):
        assert beside(one, text) == {"key": "auth", "text": text, "created": False, "_unchanged": True}
    assert beside(one, "third")["key"] == "auth-2"
    assert values(one) == {"auth": ["first", "second"], "auth-2": []}
    gone, _ = parted("kept", "", base="base")
    assert beside(gone, "third")["key"] == "auth-2", "what was taken away on one machine alone still stands"


def test_a_key_with_its_number_is_no_longer_than_any(desk: Desk) -> None:
    longest = "k" * MEMORY_KEY_BYTES
    beside(desk, "one", longest)
    assert desk.refusal(Remember(actor="alice", project=PROJECT, key=longest, text="two", beside=True)) is Code.LIMIT

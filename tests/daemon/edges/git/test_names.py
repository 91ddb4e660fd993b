"""Names of refs: ours have one form, and everything else is foreign."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mootd.edges.git.names import (
    Space,
    alarm,
    foreign_alarms,
    is_object_id,
    parse_name,
    ref_name,
    topic_names,
    went_missing,
)
from mootd.remotes import Alarm, Ref, RefAlarm

REFS = st.builds(
    Ref, st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16), st.integers(1, 9_999_999_999)
)
TOPIC, SENDER = "00ff" * 8, "a1" * 16
GOOD = f"refs/moot/{TOPIC}/{SENDER}/1"


@given(REFS, st.sampled_from(Space))
def test_a_name_leads_back_to_its_ref_in_its_own_space_only(ref: Ref, space: Space) -> None:
    name = ref_name(ref, space)
    assert parse_name(name, space) == ref
    assert [other for other in Space if parse_name(name, other)] == [space]
    assert name.startswith(topic_names(ref.topic, space))
    assert name == f"{topic_names(ref.topic, space)}{ref.sender.hex()}/{ref.generation}"


@given(st.text() | st.from_regex(r"refs/moot/[0-9a-fA-F]{30,34}/[0-9a-f]{30,34}/[0-9]{1,12}"))
def test_what_is_ours_is_written_in_one_way(name: str) -> None:
    ref = parse_name(name)
    assert ref is None or ref_name(ref) == name


def test_the_form_of_a_name_stays() -> None:
    ref = Ref(bytes.fromhex(TOPIC), bytes.fromhex(SENDER), 1)
    assert parse_name(GOOD) == ref
    assert ref_name(ref) == GOOD


@pytest.mark.parametrize(
    "name",
    [
        "",
        "refs/moot/",
        GOOD[:-1],
        GOOD + "\n",
        GOOD + "/",
        GOOD + ".lock",
        " " + GOOD,
        GOOD.replace("/1", "/0"),
        GOOD.replace("/1", "/01"),
        GOOD.replace("/1", "/+1"),
        GOOD.replace("/1", "/1_0"),
        GOOD.replace("/1", "/１"),
        GOOD.replace("/1", "/10000000000"),
        GOOD.replace("ff", "FF"),
        GOOD.replace("moot", "heads"),
        GOOD.replace(TOPIC, ".."),
        GOOD.replace(SENDER, SENDER[2:]),
        GOOD.replace(SENDER, SENDER + "a1"),
        f"refs/moot/{GOOD}",
    ],
)
def test_other_names_are_foreign(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.parametrize(
    "ref",
    [
        Ref(b"short", b"s" * 16, 1),
        Ref(b"t" * 16, b"", 1),
        Ref(b"t" * 16, b"s" * 16, 0),
        Ref(b"t" * 16, b"s" * 16, -1),
        Ref(b"t" * 16, b"s" * 16, 10**10),
    ],
)
def test_what_is_no_ref_has_no_name(ref: Ref) -> None:
    with pytest.raises(ValueError, match="is no ref"):
        ref_name(ref)


def test_what_is_no_topic_has_no_names() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        topic_names(b"")


@pytest.mark.parametrize(("text", "is_one"), [("0a" * 20, True), ("0a" * 32, True), ("0A" * 20, False)])
def test_ids_of_objects_are_whole_and_lowercase(text: str, is_one: bool) -> None:
    assert is_object_id(text) is is_one


@pytest.mark.parametrize("text", ["", "HEAD", "0a" * 19, "0a" * 21, "0a" * 33, "--" + "0a" * 19, "0a" * 20 + "\n"])
def test_nothing_else_is_an_id(text: str) -> None:
    assert not is_object_id(text)


def refs(*names: str) -> list[Ref]:
    """Refs of one topic from names like a1: a sender and a generation."""
    return [Ref(b"t" * 16, name[0].encode() * 16, int(name[1:])) for name in names]


@pytest.mark.parametrize(
    ("seen", "there", "tips", "missing", "replaced"),
    [
        ("", "a1", "a1", "", ""),
        ("a1", "a1", "a1", "", ""),
        ("a1", "a1", "", "", ""),  # there, though something is wrong with it
        ("a1", "", "", "a1", ""),
        ("a1", "b2", "b2", "a1", ""),
        ("a1", "a2", "a2", "", "a1"),
        ("a1", "a2", "", "a1", ""),  # something is wrong with the later one
        ("a2", "a1", "a1", "a2", ""),
        ("a1 a2 b1", "a3", "a3", "b1", "a1 a2"),
        ("a9 a10", "a10", "a10", "", "a9"),
        ("a9 a10", "a9", "a9", "a10", ""),
    ],
)
def test_what_is_gone_is_missing_unless_its_sender_has_a_later_generation(
    seen: str, there: str, tips: str, missing: str, replaced: str
) -> None:
    found = went_missing(refs(*seen.split()), refs(*there.split()), refs(*tips.split()))
    assert found == (refs(*missing.split()), refs(*replaced.split()))


def test_an_alarm_names_the_ref_as_the_remote_does() -> None:
    ref = Ref(bytes.fromhex(TOPIC), bytes.fromhex(SENDER), 1)
    assert alarm(ref, RefAlarm.MISSING) == Alarm(GOOD, RefAlarm.MISSING, "")


def test_one_foreign_name_is_an_alarm_of_its_own() -> None:
    assert foreign_alarms([f"refs/moot/{TOPIC}/zz"]) == [Alarm(f"refs/moot/{TOPIC}/zz", RefAlarm.FOREIGN)]


def test_foreign_names_of_a_topic_are_one_short_alarm_however_many_there_are() -> None:
    names = [f"refs/moot/{TOPIC}/z{number:05}{'x' * 500}" for number in range(5000)]
    found, other = foreign_alarms([*reversed(names), "refs/moot/other"])
    assert found.name == names[0]
    assert found.detail.startswith("and 4,999 more: z00001xxx")
    assert found.detail.endswith(", …")
    assert len(found.detail) < 400
    assert other.name == "refs/moot/other"

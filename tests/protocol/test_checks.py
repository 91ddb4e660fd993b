"""A check tells what to do only where something is to be done."""

from moot_protocol.checks import checked


def test_a_check_that_failed_says_what_was_found_and_what_to_do() -> None:
    assert checked("disk has room", False, "3 MiB free", "free some space") == {
        "check": "disk has room", "ok": False, "detail": "3 MiB free", "hint": "free some space",
    }  # fmt: skip


def test_what_is_right_comes_without_a_hint() -> None:
    assert checked("disk has room", True, "9 GiB free", "free some space")["hint"] == ""

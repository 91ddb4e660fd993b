"""Failures as agents are told of them."""

import json

from moot.mcp.failures import body_of, defect, text_of
from moot_protocol.errors import Code, MootError, RefusedError
from moot_testkit.clients.console import run_console

ERROR = RefusedError("no such issue", code=Code.NOT_FOUND, hint="look again")


def test_an_error_is_told_with_the_same_fields_as_the_command_line_tells_it() -> None:
    for error in (ERROR, RefusedError("later", code=Code.NOT_READY)):
        told = run_console("show demo-1 --json", {"show": error})
        assert {"error": body_of(error)} == json.loads(told.out)


def test_the_text_has_code_message_and_what_to_do_next() -> None:
    assert text_of(ERROR) == "not_found: no such issue\nHint: look again"
    assert text_of(RefusedError("full", code=Code.BUSY)) == "busy: full\nThe same call may succeed later."


def test_its_hint_names_tools_and_not_commands() -> None:
    error = RefusedError("it is claimed", hint="see `moot ready`")
    assert text_of(error).splitlines()[1] == "Hint: find tells what is ready"
    assert body_of(error)["hint"] == "find tells what is ready"


def test_an_error_does_not_repeat_all_of_what_was_given() -> None:
    error = RefusedError("x" * 100_000)
    assert len(text_of(error)) < 1200
    assert len(body_of(error)["message"]) == 1000


def test_foreign_text_in_an_error_is_made_safe() -> None:
    assert "\x1b" not in text_of(RefusedError("\x1b[2J", hint="\x1b[2J"))


def test_a_defect_tells_its_kind_and_nothing_of_its_content() -> None:
    error = defect(KeyError("secret"))
    assert isinstance(error, MootError)
    assert error.code is Code.INTERNAL
    assert "KeyError" in error.message
    assert "secret" not in text_of(error)

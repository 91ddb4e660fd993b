"""remember, recall, memories, forget, kv: what is asked and printed, in the shapes that `bd` has."""

import pytest

from moot.console.commands.knowledge.memories import slug
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.memories import EraseMemory, Forget, Memories, Remember, SetSetting, Settings
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import in_turn, run_console
from moot_testkit.clients.terminal import FACTS

GONE = RefusedError("no memory auth", code=Code.NOT_FOUND)
AS_BD = FACTS._replace(program="bd")


def failure(message: str, hint: str) -> dict[str, object]:
    return {"code": "not_found", "message": message, "hint": hint, "retryable": False}


def kept(key: str, text: str, **marks: object) -> dict[str, object]:
    return {"key": key, "text": text, "updated_at": 1, "foreign": False, "conflict": False} | marks


def settings(**values: str) -> list[dict[str, object]]:
    return [{"key": f"kv.{key}", "value": value, "of": "project", "conflict": False} for key, value in values.items()]


# -- Keys --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Always run tests with -race", "always-run-tests-with-race"),
        ("  Dolt's phantom DBs! ", "dolt-s-phantom-dbs"),
        ("one two three four five six seven eight nine", "one-two-three-four-five-six-seven-eight"),
        ("x" * 70, "x" * 60),
        ("a" * 59 + " b", "a" * 59),
        ("日本語", ""),
    ],
)
def test_a_key_is_made_of_the_first_words(text: str, key: str) -> None:
    assert slug(text) == key
    assert slug(key) == key


# -- remember ----------------------------------------------------------------------------------------------------
def test_a_text_is_remembered_under_a_key_of_its_words() -> None:
    key, text = "tests-need-a-broker", "Tests need a broker"
    ran = run_console(["remember", text], {"remember": {"key": key, "text": "t", "created": True}})
    assert ran.request == Remember(actor="unknown", project="bd", key=key, text=text, beside=True)
    assert (ran.out, ran.err) == (f"Remembered [{key}]: t\n", "")


def test_where_its_first_words_have_another_text_it_gets_a_number_and_that_is_told() -> None:
    answer = {"remember": {"key": "tests-need-2", "text": "t", "created": True}}
    ran = run_console(["remember", "Tests need!"], answer)
    assert ran.out == "Remembered [tests-need-2]: t\n"
    assert ran.err == "([tests-need] says something else; `--key tests-need` writes over it)\n"
    document = run_console(["remember", "Tests need!", "--json"], answer).document
    assert document == {"key": "tests-need-2", "value": "t", "action": "remembered"}
    ran = run_console(["remember", "Tests need!"], {"remember": {**answer["remember"], "_unchanged": True}})
    assert (ran.out, ran.err) == ("Nothing to do: [tests-need-2] is remembered so already\n", "")


def test_a_key_that_is_given_is_written_over() -> None:
    answer = {"remember": {"key": "auth", "text": "JWT", "created": False}}
    assert run_console("remember JWT --key auth", answer).request.beside is False


def test_what_is_written_over_is_told_and_json_has_bds_shape() -> None:
    answer = {"remember": {"key": "auth", "text": "JWT", "created": False}}
    assert run_console("remember JWT --key auth", answer).out == "Updated [auth]: JWT\n"
    document = run_console("remember JWT --key auth --json", answer).document
    assert document == {"key": "auth", "value": "JWT", "action": "updated"}


def test_what_is_remembered_so_already_is_told_as_such() -> None:
    answer = {"remember": {"key": "auth", "text": "JWT", "created": False, "_unchanged": True}}
    assert run_console("remember JWT --key auth", answer).out == "Nothing to do: [auth] is remembered so already\n"
    document = run_console("remember JWT --key auth --json", answer).document
    assert document == {"key": "auth", "value": "JWT", "action": "updated", "_unchanged": True}


def test_a_text_can_come_from_standard_input() -> None:
    answer = {"remember": {"key": "k", "text": "t", "created": True}}
    assert run_console("remember - --key k", answer, stdin=[b"from ", b"afar\n"]).request.text == "from afar"


def test_a_key_alone_is_recalled_if_there_is_such_a_memory_and_else_not_remembered() -> None:
    ran = run_console("remember auth", {"memories": [kept("auth", "JWT")]})
    assert (ran.request, ran.out) == (Memories(project="bd", key="auth"), "JWT\n")
    document = run_console("remember auth --json", {"memories": [kept("auth", "JWT")]}).document
    assert document == {"key": "auth", "value": "JWT", "found": True, "action": "recalled"}
    ran = run_console("remember auth", {"memories": []})
    assert (ran.code, "--key auth" in ran.err) == (3, True)


@pytest.mark.parametrize("argv", [["remember"], ["remember", "日本語"]])
def test_what_gives_no_memory_is_a_mistake(argv: list[str]) -> None:
    assert run_console(argv).code == 2


# -- recall, forget ----------------------------------------------------------------------------------------------
def test_a_memory_is_recalled_whole_and_cannot_act_on_the_terminal() -> None:
    ran = run_console("recall auth", {"memories": [kept("auth", "one\ntwo \x1b[2J")]})
    assert ran.out == "one\ntwo ^[[2J\n"
    document = run_console("recall auth --json", {"memories": [kept("auth", "JWT")]}).document
    assert document == {"key": "auth", "value": "JWT", "found": True}


def test_what_another_town_has_written_is_recalled_with_that_beside_it() -> None:
    ran = run_console("recall auth", {"memories": [kept("auth", "JWT", foreign=True)]})
    assert (ran.out, ran.err) == ("JWT\n", "(written in another town)\n")


def test_what_is_not_remembered_is_told_by_document_and_exit_code() -> None:
    error = failure('No memory with key "auth"', "`moot memories` lists them")
    ran = run_console("recall auth --json", {"memories": []})
    assert (ran.code, ran.document) == (3, {"key": "auth", "value": "", "found": False, "error": error})
    ran = run_console("forget auth --json", {"forget": GONE})
    assert (ran.code, ran.document) == (3, {"key": "auth", "found": False, "deleted": False, "error": error})
    for argv, answers in (("recall auth", {"memories": []}), ("forget auth", {"forget": GONE})):
        ran = run_console(argv, answers)
        assert (ran.code, ran.out, ran.err) == (3, "", 'No memory with key "auth"\n')


def test_called_as_bd_what_is_not_there_has_bds_document_alone() -> None:
    ran = run_console("recall auth --json", {"memories": []}, facts=AS_BD)
    assert (ran.code, ran.document) == (1, {"key": "auth", "value": "", "found": False})
    ran = run_console("forget auth --json", {"forget": GONE}, facts=AS_BD)
    assert (ran.code, ran.document) == (1, {"key": "auth", "found": "false"})
    ran = run_console("kv get flag --json", {"settings": []}, facts=AS_BD)
    assert (ran.code, ran.document) == (1, {"key": "flag", "value": "", "found": False})


def test_a_memory_is_forgotten() -> None:
    ran = run_console("forget auth", {"forget": {"key": "auth", "text": "JWT"}})
    assert (ran.request, ran.out) == (Forget(actor="unknown", project="bd", key="auth"), "Forgot [auth]: JWT\n")
    document = run_console("forget auth --json", {"forget": {"key": "auth", "text": "JWT"}}).document
    assert document == {"key": "auth", "found": True, "deleted": True}


def test_a_memory_is_erased_and_it_is_told_what_goes_on_holding_it() -> None:
    answers = {"erase_memory": {"key": "auth", "events": 2}}
    ran = run_console("forget auth --erase", answers)
    assert ran.request == EraseMemory(actor="unknown", project="bd", key="auth")
    assert ran.out.splitlines()[0] == "Erased [auth], with all that it ever said: 2 events"
    assert "backups" in ran.out
    document = run_console("forget auth --erase --json", answers).document
    assert document == {"key": "auth", "found": True, "deleted": True, "erased": True, "events": 2}
    ran = run_console("forget auth --erase --json", {"erase_memory": GONE})
    assert (ran.code, ran.document["found"]) == (3, False)


def test_called_as_bd_what_was_taken_away_is_told_by_a_text() -> None:
    forgotten = run_console("forget auth --json", {"forget": {"key": "auth", "text": "JWT"}}, facts=AS_BD)
    assert forgotten.document == {"key": "auth", "deleted": "true"}
    cleared = run_console("kv clear flag --json", {"set_setting": {}}, facts=AS_BD)
    assert cleared.document == {"key": "flag", "deleted": "true"}


# -- memories ----------------------------------------------------------------------------------------------------
def test_memories_are_listed_on_two_lines_each_and_marked() -> None:
    found = [kept("auth", "JWT,\nnot sessions"), kept("trap", "x" * 200, foreign=True, conflict=True)]
    ran = run_console("memories", {"memories": found})
    assert ran.out.splitlines() == [
        "Memories (2):", "",
        "  auth", "    JWT, not sessions",
        "  trap (from another town, in conflict)", f"    {'x' * 119}…",
    ]  # fmt: skip
    assert run_console("memories --json", {"memories": found[:1]}).document == {"auth": "JWT,\nnot sessions"}


def test_a_memory_of_another_town_says_of_which_and_of_which_of_its_machines() -> None:
    origin = [
        {"town": "TTTTTTTTTTTT", "town_name": "hill", "replica": "RRRRRRRRRRRR"},
        {"town": "UUUUUUUUUUUU", "town_name": "", "replica": "SSSSSSSSSSSS"},
    ]
    found = [kept("trap", "run it", foreign=True, _origin=origin)]
    told = "hill, replica RRRRRRRRRRRR; UUUUUUUUUUUU, replica SSSSSSSSSSSS"
    assert f"  trap (from {told})" in run_console("memories", {"memories": found}).out.splitlines()
    assert run_console("recall trap", {"memories": found}).err == f"(written in {told})\n"


def test_memories_are_searched() -> None:
    ran = run_console(["memories", "race flag"], {"memories": []})
    assert ran.request == Memories(project="bd", search="race flag")
    assert "race flag" in ran.err
    assert run_console("memories --json", {"memories": []}).document == {}


def test_settings_and_values_of_another_town_are_told_beside_and_stay_as_they_are() -> None:
    origin = [{"town": "TTTTTTTTTTTT", "town_name": "hill", "replica": "RRRRRRRRRRRR"}]
    kept_value = [each | {"_origin": origin} for each in settings(flag="on")]
    told = "(flag: written in hill, replica RRRRRRRRRRRR)\n"
    for argv in ("kv get flag", "kv list", "kv list --json"):
        ran = run_console(argv, {"settings": kept_value})
        assert (ran.err, "hill" in ran.out) == (told, False), argv
    setting = [each | {"key": "custom.flag"} for each in kept_value]
    for argv in ("config get custom.flag", "config list", "config show", "config list --json"):
        ran = run_console(argv, {"settings": setting})
        assert (ran.err, "hill" in ran.out) == (told.replace("flag", "custom.flag"), False), argv
    assert run_console("config list", {"settings": settings(flag="on")}).err in {"", "No configuration set\n"}


# -- Written apart -----------------------------------------------------------------------------------------------
def apart(text: object, actor: str, hours: int, **more: object) -> dict[str, object]:
    return {"value": text, "actor": actor, "at": NOW_MS - hours * 3_600_000, "author": "k", "n": 1} | more


HILL = {"town": "TTTTTTTTTTTT", "town_name": "hill", "replica": "RRRRRRRRRRRR"}
TEXTS = [apart("one\n\x1b[2Jline", "ann", 2, _origin=HILL), apart("two", "bob", 1)]
DISPUTED = kept("auth", "two", conflict=True, values=TEXTS)


def test_whoever_recalls_one_of_several_texts_is_told_the_others_and_how_to_settle_it() -> None:
    ran = run_console("recall auth", {"memories": [DISPUTED]})
    assert ran.out == "two\n"
    assert ran.err == (
        "(auth is in conflict; written apart by ann from hill, 2h ago:)\n"
        "one\n^[[2Jline\n(`moot remember TEXT --key auth` settles it)\n"
    )
    assert run_console("recall auth", {"memories": [kept("auth", "two")]}).err == ""
    assert run_console("recall auth --quiet", {"memories": [DISPUTED]}).err == ""


def test_json_has_the_other_texts_only_where_there_are_some() -> None:
    found = {"key": "auth", "value": "two", "found": True}
    assert run_console("recall auth --json", {"memories": [DISPUTED]}).document == found | {"others": TEXTS[:1]}
    assert run_console("recall auth --json", {"memories": [kept("auth", "two")]}).document == found
    document = run_console("remember auth --json", {"memories": [DISPUTED]}).document
    assert document == found | {"action": "recalled", "others": TEXTS[:1]}


def test_a_text_beside_a_taking_away_is_told_though_no_memory_is_found() -> None:
    gone = kept("auth", "", conflict=True, values=[apart("one", "ann", 2), apart("", "bob", 1)])
    ran = run_console("recall auth", {"memories": in_turn([], [gone])})
    assert [request.conflicts for request in ran.asked] == [False, True]
    assert (ran.code, ran.out) == (3, "")
    assert "written apart by ann, 2h ago:)\none\n" in ran.err
    ran = run_console("recall auth --json", {"memories": in_turn([], [gone])})
    assert (ran.code, ran.document["found"], [each["value"] for each in ran.document["others"]]) == (3, False, ["one"])


def test_a_list_shows_every_text() -> None:
    taken = kept("trap", "x", conflict=True, values=[apart("", "ann", 2), apart("x", "bob", 1), apart(None, "cid", 1)])
    assert run_console("memories", {"memories": [DISPUTED, taken]}).out.splitlines()[2:] == [
        "  auth (in conflict)", "    two", "    apart, by ann from hill, 2h ago: one ^[[2Jline",
        "  trap (in conflict)", "    x", "    apart, by ann, 2h ago: (taken away)",
        "    apart, by cid, 1h ago: (it isn't here)",
    ]  # fmt: skip
    ran = run_console("memories --json", {"memories": [DISPUTED, kept("b", "c")]})
    assert ran.document == {"auth": "two", "b": "c"}
    assert ran.err == "(in conflict: auth; `moot conflicts` shows all values)\n"


def test_values_of_the_store_are_told_alike() -> None:
    (flag,) = settings(flag="on")
    disputed = [flag | {"conflict": True, "values": [apart("off", "ann", 2), apart("on", "bob", 1)]}]
    ran = run_console("kv get flag", {"settings": disputed})
    assert (ran.out, ran.err.splitlines()[1:]) == ("on\n", ["off", "(`moot kv set flag VALUE` settles it)"])
    assert run_console("kv get flag --json", {"settings": disputed}).document["others"][0]["value"] == "off"
    assert run_console("kv list", {"settings": disputed}).err.startswith("(in conflict: flag; ")


# -- kv ----------------------------------------------------------------------------------------------------------
def test_a_value_is_kept_read_listed_and_cleared() -> None:
    ran = run_console("kv set flag on", {"set_setting": {}})
    assert ran.request == SetSetting(actor="unknown", project="bd", key="kv.flag", value="on")
    assert ran.out == "Set flag = on\n"
    ran = run_console("kv get flag", {"settings": settings(flag="on", flags="off")})
    assert (ran.request, ran.out) == (Settings(project="bd", prefix="kv.flag"), "on\n")
    ran = run_console("kv list --prefix f --json", {"settings": settings(flag="on")})
    assert (ran.request.prefix, ran.document) == ("kv.f", {"flag": "on"})
    assert run_console("kv list", {"settings": settings(flag="on")}).out == "Key-Value Store:\n  flag = on\n"
    ran = run_console("kv delete flag --json", {"set_setting": {}})
    assert (ran.request.value, ran.document) == (None, {"key": "flag", "deleted": True})


def test_a_value_that_is_so_already_is_told_as_such() -> None:
    again = {"set_setting": {"_unchanged": True}}
    assert run_console("kv set flag on", again).out == "Nothing to do: flag = on already\n"
    assert run_console("kv set flag on --json", again).document == {"key": "flag", "value": "on", "_unchanged": True}
    assert run_console("kv clear flag", again).out == "Nothing to do: flag isn't set\n"
    document = {"key": "flag", "deleted": True, "_unchanged": True}
    assert run_console("kv clear flag --json", again).document == document


def test_a_key_without_a_value_is_told_so() -> None:
    ran = run_console("kv get flag --json", {"settings": []})
    error = failure("flag (not set)", "`moot kv list` lists what is set")
    assert (ran.code, ran.document) == (3, {"key": "flag", "value": "", "found": False, "error": error})
    assert run_console("kv get flag", {"settings": []}).err == "flag (not set)\n"
    assert run_console("kv list --json", {"settings": []}).document == {}


@pytest.mark.parametrize("key", ["kv.x", "memory.x", "sync.x", " "])
def test_keys_that_look_like_settings_are_refused(key: str) -> None:
    assert run_console(["kv", "set", key, "1"]).code == 2

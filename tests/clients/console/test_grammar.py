"""The grammar: flags anywhere, nothing abbreviated, mistakes told with what was meant, help with examples first."""

from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.console.command import Command, Context
from moot.console.grammar import Grammar, Section, Topic, comma_separated
from moot_protocol.errors import Code, RefusedError
from moot_testkit.clients.console import run_console


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID")
    parser.add_argument("-t", "--title")
    parser.add_argument("-p", "--priority", type=int, choices=range(5))
    parser.add_argument("-f", "--force", action="store_true", help="whatever happens")
    parser.add_argument("-l", "--label", action="append")


def _one(parser: ArgumentParser) -> None:
    parser.add_argument("id")


def _nothing(context: Context) -> int:
    return 0


def command(name: str, arguments: Any = _arguments, **more: Any) -> Command:
    return Command(name, f"Do {name}", arguments, _nothing, **more)


def grammar() -> Grammar:
    return Grammar(
        [
            Section(
                "Work", [command("update", examples=("moot update a1b2 -p 0",)), command("create", aliases=("new",))]
            ),
            Section(
                "Links", [command("dep add", aliases=("dep link",)), command("dep remove"), command("comments", _one)]
            ),
            Section("More", [command("comments add", _one)]),
        ]
    )


def read(*argv: str) -> tuple[str, dict[str, Any]]:
    invocation = grammar().read(argv)
    assert invocation.command is not None
    return invocation.command.name, vars(invocation.arguments)


def refusal(*argv: str) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        grammar().read(argv)
    assert caught.value.code is Code.USAGE
    return caught.value


def test_flags_and_words_mix_in_any_order() -> None:
    name, found = read("update", "a", "-p", "1", "b", "--title", "T", "c", "--force")
    assert name == "update"
    assert found["ids"] == ["a", "b", "c"]
    assert (found["priority"], found["title"], found["force"]) == (1, "T", True)


@pytest.mark.parametrize(
    "argv",
    [["--title=T"], ["--title", "T"], ["-t", "T"], ["-tT"], ["-t=T"], ["-ftT"], ["-ft=T"], ["-ft", "T"]],
    ids=" ".join,
)
def test_a_value_can_be_given_in_every_usual_way(argv: list[str]) -> None:
    assert read("update", *argv)[1]["title"] == "T"


@pytest.mark.parametrize("value", ["-x", "--force", "- one\n- two", "a=b", "", "--", "-1"])
def test_a_value_may_begin_with_a_hyphen_or_be_empty(value: str) -> None:
    assert read("update", "a", "--title", value)[1]["title"] == value
    assert read("update", "a", f"--title={value}")[1]["title"] == value


@given(st.text() | st.sampled_from(["--", "-", "--json"]), st.lists(st.text() | st.sampled_from(["--", "-", "--json"])))
def test_every_value_and_word_comes_through_unchanged(value: str, words: list[str]) -> None:
    found = read("update", "--title", value, "--", *words)[1]
    assert found["title"] == value
    assert found["ids"] == words


def test_after_two_hyphens_everything_is_a_word() -> None:
    found = read("update", "a", "--", "--force", "-p")[1]
    assert found["ids"] == ["a", "--force", "-p"]
    assert not found["force"]


def test_global_flags_stand_before_the_command_inside_its_name_or_after_it() -> None:
    for argv in (
        ["--json", "--actor", "bob", "dep", "add", "a"],
        ["dep", "--json", "--actor=bob", "add", "a"],
        ["dep", "add", "a", "--actor", "bob", "--json"],
    ):
        name, found = read(*argv)
        assert (name, found["json"], found["actor"], found["ids"]) == ("dep add", True, "bob", ["a"])


def test_a_switch_can_be_set_by_true_and_false_as_in_bd() -> None:
    assert read("update", "--force=true")[1]["force"]
    assert not read("update", "--force=false")[1]["force"]
    assert "takes no value" in refusal("update", "--force=maybe").message


def test_a_command_is_found_by_its_aliases() -> None:
    assert read("new")[0] == "create"
    assert read("dep", "link", "a")[0] == "dep add"


def test_the_longest_name_wins_and_a_shorter_one_takes_the_rest_as_words() -> None:
    assert read("comments", "add", "x")[0] == "comments add"
    name, found = read("comments", "x")
    assert (name, found["id"]) == ("comments", "x")


def test_nothing_is_abbreviated() -> None:
    assert "unknown flag --titl; did you mean --title?" in refusal("update", "--titl", "x").message
    assert "unknown command 'updat'; did you mean update?" in refusal("updat").message


def test_only_what_comes_near_is_suggested_hyphens_aside() -> None:
    assert "did you mean" not in refusal("update", "--since", "x").message


def test_a_mistyped_subcommand_is_put_right_within_its_group() -> None:
    assert "unknown command 'dep ad'; did you mean dep add?" in refusal("dep", "ad", "x").message


def test_a_group_alone_says_what_it_needs() -> None:
    assert refusal("dep").message == "dep needs one of: add, remove"


def test_of_other_names_a_group_tells_those_of_commands_that_lie_elsewhere() -> None:
    named = Grammar([Section("Work", [command("sync", aliases=("dolt push",)), command("dolt show")])])
    with pytest.raises(RefusedError, match=r"dolt needs one of: push, show$"):
        named.read(["dolt"])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["update", "--title"], "--title needs a value"),
        (["update", "-ft"], "-t needs a value"),
        (["update", "-fz"], "unknown flag -z"),
        (["update", "-p", "9"], "invalid choice"),
        (["comments"], "required"),
        (["comments", "a", "b"], "unrecognized"),
        (["--frobnicate", "update"], "unknown flag --frobnicate"),
        (["--actor"], "--actor needs a value"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_refused_as_usage(argv: list[str], message: str) -> None:
    assert message in refusal(*argv).message


def test_words_that_are_too_many_are_named_as_they_were_typed() -> None:
    bare = Grammar([Section("Work", [command("ready", lambda parser: None)])])
    for argv in (["ready", "now", "then"], ["ready", "--", "now", "then"]):
        with pytest.raises(RefusedError, match=r"^unrecognized arguments: now then$"):
            bare.read(argv)


def test_a_word_that_a_group_s_own_command_does_not_take_may_be_meant_as_a_subcommand() -> None:
    named = Grammar(
        [Section("Work", [command(name, lambda parser: None) for name in ("daemon", "daemon stop", "daemon logs")])]
    )
    with pytest.raises(RefusedError, match=r"^unrecognized arguments: bogus$") as refused:
        named.read(["daemon", "bogus"])
    assert refused.value.hint == "subcommands of daemon are: logs, stop; see `moot help daemon`"
    assert refusal("comments").hint == "subcommands of comments are: add; see `moot help comments`"
    with pytest.raises(RefusedError) as refused:
        named.read(["daemon", "stop", "bogus"])
    assert refused.value.hint == "see `moot help daemon stop`"


def test_a_mistake_in_a_command_points_to_its_help() -> None:
    assert refusal("dep", "add", "--zzz").hint == "see `moot help dep add`"


@pytest.mark.parametrize(
    ("argv", "topic"),
    [
        ([], ""),
        (["--help"], ""),
        (["help"], ""),
        (["help", "help"], ""),
        (["help", "dep", "add"], "dep add"),
        (["help", "dep"], "dep"),
        (["dep", "--help"], "dep"),
        (["dep", "add", "-h"], "dep add"),
        (["-h", "update"], "update"),
        (["comments", "--help"], "comments"),
        (["update", "--json", "--help", "x"], "update"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_help_is_asked_for_in_every_usual_way(argv: list[str], topic: str) -> None:
    invocation = grammar().read(argv)
    assert invocation.command is None
    assert invocation.topic == topic


def test_a_value_is_no_request_for_help() -> None:
    assert read("update", "--title", "--help")[1]["title"] == "--help"


def test_help_on_a_command_shows_examples_first_under_the_name_it_was_called_by() -> None:
    text = grammar().help("update", "bd", 80)
    assert text.index("bd update a1b2 -p 0") < text.index("usage: bd update [flags] [ID...]") < text.index("whatever")


def test_help_keeps_to_the_width_of_the_terminal() -> None:
    assert max(len(line) for line in grammar().help("update", "moot", 60).splitlines()) <= 60
    wordy = Grammar([Section("s", [Command("x", " ".join(["word"] * 20), lambda _: None, lambda _: 0)])])
    assert max(len(line) for line in wordy.help("x", "moot", 60).splitlines()) <= 60


def test_help_without_a_topic_lists_every_command_in_its_section() -> None:
    text = grammar().help("", "moot", 80)
    assert text.index("Work:") < text.index("update ") < text.index("Links:") < text.index("dep add")


def test_lists_in_help_are_wrapped_under_their_second_column_and_whole() -> None:
    told = " ".join(["word"] * 20)
    wide = Grammar(
        [Section("s", [Command("x y", told, lambda _: None, lambda _: 0)])], topics={"all": Topic(told, [("7", told)])}
    )
    for topic in ("", "x", "all"):
        text = wide.help(topic, "moot", 40)
        assert max(map(len, text.splitlines())) <= 40 or topic == "x"
        assert text.count("word") == wide.help(topic, "moot", 40, wraps=False).count("word")
    assert "\n  x y  word" in wide.help("", "moot", 40)
    assert "\n       word" in wide.help("", "moot", 40)
    assert f"  x y  {told}\n" in wide.help("", "moot", 40, wraps=False)


def test_a_topic_is_told_of_in_the_list_of_commands_and_found_by_what_was_meant() -> None:
    one = Grammar(
        [Section("s", [command("x", lambda _: None)])], topics={"exit-codes": Topic("Title", [("0", "done")])}
    )
    assert "Other help:\n  exit-codes  Title\n" in one.help("", "bd", 80)
    assert "Other help" not in grammar().help("", "bd", 80)
    assert one.help("exit-codes", "moot", 80) == "Title\n\n  0  done\n"
    with pytest.raises(RefusedError, match="did you mean exit-codes"):
        one.help("exit-code", "moot", 80)


def test_help_on_a_group_lists_its_commands_only() -> None:
    text = grammar().help("dep", "moot", 80)
    assert "dep add" in text
    assert "update" not in text


def test_help_on_a_command_that_is_a_group_too_ends_with_the_commands_of_the_group() -> None:
    text = grammar().help("comments", "moot", 80)
    assert text.index("usage: moot comments [flags] id") < text.index("see also:\n  comments add")
    assert "see also" not in grammar().help("update", "moot", 80)


def test_help_on_a_group_of_aliases_lists_what_they_stand_for() -> None:
    linking = Grammar([Section("Links", [command("dep add", aliases=("admin link",))])])
    assert "dep add" in linking.help("admin", "moot", 80)


def test_help_on_nothing_known_is_refused() -> None:
    with pytest.raises(RefusedError, match="did you mean update"):
        grammar().help("updade", "moot", 80)


def test_a_parser_is_built_when_its_command_is_first_called_and_kept() -> None:
    built: list[str] = []

    def arguments(parser: ArgumentParser) -> None:
        built.append("x")

    one = Grammar([Section("s", [command("x", arguments), command("y", lambda parser: built.append("y"))])])
    assert built == []
    one.read(["x"])
    one.read(["x", "--json"])
    assert built == ["x"]


def test_threads_share_parsers_without_mixing_up_what_they_read() -> None:
    one = grammar()

    def parse(number: int) -> bool:
        found = one.read(["update", f"id{number}", "-l", f"a{number}", "--title", str(number), "-l", "b"]).arguments
        return (found.ids, found.label, found.title) == ([f"id{number}"], [f"a{number}", "b"], str(number))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(parse, range(400)))


def test_comma_separated_values_are_flattened_without_blanks_and_repeats() -> None:
    assert comma_separated(["a, b", "", "b,,c"]) == ("a", "b", "c")
    assert comma_separated(None) == ()


def test_a_value_in_double_quotes_keeps_its_commas_and_quotes_inside_a_value_stay() -> None:
    assert comma_separated(['a, "p,q" ,b', '"say ""hi"", twice"']) == ("a", "p,q", "b", 'say "hi", twice')
    assert comma_separated(['the "big" one,b', '"open,b', '""']) == ('the "big" one', "b", '"open')


# -- What callers of bd expect -----------------------------------------------------------------------------------
@pytest.mark.parametrize("argv", [["-q", "state", "a1"], ["state", "a1"]])
def test_a_command_may_go_by_another_name(argv: list[str]) -> None:
    found = grammar().read(argv, {"state": "update"})
    assert (found.command.name if found.command else "", found.arguments.ids) == ("update", ["a1"])
    with pytest.raises(RefusedError):
        grammar().read(argv)


def test_flags_that_bd_takes_everywhere_are_taken_and_not_told_of() -> None:
    found = grammar().read(["--no-daemon", "update", "a1", "--no-auto-flush", "--lock-timeout", "5s", "-fv"]).arguments
    assert (found.ids, found.force) == (["a1"], True)
    assert "--no-daemon" not in grammar().help("update", "moot", 80)
    with pytest.raises(RefusedError, match="unknown flag --no-deamon") as raised:
        grammar().read(["update", "--no-deamon"])
    assert "did you mean" not in raised.value.message


def test_a_commands_own_flag_of_such_a_name_is_its_own() -> None:
    def arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--verbose", type=int)

    one = Grammar([Section("s", [command("x", arguments)])])
    assert one.read(["x", "--verbose", "3"]).arguments.verbose == 3


def test_what_is_no_number_is_told_in_words() -> None:
    assert refusal("update", "a1", "-p", "x's").message == 'argument -p/--priority: "x\'s" is no whole number'
    assert refusal("update", "a1", "-p", "high").message == "argument -p/--priority: 'high' is no whole number"


TAKE_KEYS = ("replica retire", "member remove", "invite close", "fork settle --branch ab", "mail send", "nudge")


@pytest.mark.parametrize("command", TAKE_KEYS)
def test_a_beginning_of_a_key_that_looks_like_flags_is_told_from_them(command: str) -> None:
    for key in ("-bQB9pBLn55r", "-C3RWVQabcde", "-qbcdef", "-hbcdef", "-q-abc", "-vC3RWVQ", "--bcdefghijk", "-b_9"):
        ran = run_console(f"{command} {key} hi")
        assert ran.code == 2, key
        assert "a key that begins with a dash goes after --" in ran.err, key


def test_what_is_no_key_is_not_taken_for_one() -> None:
    for argv in ("replica retire --dropp AAAA", "replica retire -zz", "replica retire -C/tmp AAAA", "show -bQB9pBLn5"):
        ran = run_console(argv)
        assert ran.code == 2, argv
        assert "goes after" not in ran.err, argv


def test_a_key_that_begins_with_a_dash_is_told_from_a_flag() -> None:
    ran = run_console(f"replica retire -{'g' * 42}")
    assert ran.code == 2
    assert "a key that begins with a dash goes after --" in ran.err
    assert "goes after" not in run_console("replica retire -z").err

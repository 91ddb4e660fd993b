"""Remotes: remote add|list|remove|test."""

import posixpath
import re
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context, no_arguments
from moot.console.context import answer, answer_list
from moot.console.lines.checks import check_lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import remote_rows, safe_url
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.exchange import (
    MQTT_VERSIONS,
    AddRemote,
    CheckRemote,
    RemoteOptions,
    Remotes,
    RemoveRemote,
)

NO_REMOTES: Final = "no remotes; `moot remote add git URL` adds one"
_OPTIONS: Final = {
    "user": "user",
    "password_file": "password_file",
    "ca": "ca_file",
    "cert": "certificate_file",
    "key": "key_file",
    "protocol": "protocol",
}
"""Flags for a broker, and the options they give."""
_FILES: Final = frozenset({"password_file", "ca", "cert", "key"})
"""Those that name files."""
_ELSEWHERE: Final = re.compile(r"[^/]*:")
"""What an address begins with that is no path: a scheme, a host or a short form of the user's git."""


# -- remote add --------------------------------------------------------------------------------------------------
def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("kind", choices=("git", "mqtt"), metavar="git|mqtt", help="what it is")
    add("url", metavar="URL", help="its address, as `git` takes it, or mqtt://HOST or mqtts://HOST; no secret")
    add("--name", default="", help="how to call it; else `origin`, or after the host")
    add("--manual", action="store_true", help="exchange with it only when asked to (`moot sync`)")
    add("--user", metavar="USER", help="mqtt: the user's name")
    add("--password-file", metavar="FILE", help="mqtt: a file whose first line is the password")
    add("--ca", metavar="FILE", help="mqtt: certificates to trust")
    add("--cert", metavar="FILE", help="mqtt: this client's certificate")
    add("--key", metavar="FILE", help="mqtt: its key")
    add("--protocol", choices=MQTT_VERSIONS, help="mqtt: the version to speak; else 5, or 3.1.1 for want of it")


def _add(context: Context) -> int:
    given = context.arguments
    added = context.api.call(
        AddRemote(
            actor=context.actor,
            name=given.name,
            kind=given.kind,
            url=_address(context),
            options=_options(context),
            mode="manual" if given.manual else "auto",
        )
    )
    answer(context, added, _added(context, added))
    return exits.OK


def _address(context: Context) -> str:
    """The address, a path of it made absolute, since the daemon has a folder of its own."""
    url = str(context.arguments.url)
    if context.arguments.kind != "git" or not url or _ELSEWHERE.match(url):
        return url
    return _absolute(context, url)


def _absolute(context: Context, path: str) -> str:
    return posixpath.normpath(posixpath.join(context.terminal.facts.folder, path))


def _options(context: Context) -> RemoteOptions:
    given = {flag: getattr(context.arguments, flag) for flag in _OPTIONS}
    given = {flag: value for flag, value in given.items() if value is not None}
    if context.arguments.kind == "git" and given:
        flags = ", ".join(f"--{flag.replace('_', '-')}" for flag in given)
        raise RefusedError(
            f"{flags}: for mqtt only", code=Code.USAGE, hint="for git, the user's own git knows how to log in"
        )
    if "key" in given and "cert" not in given:
        raise RefusedError("--key needs --cert", code=Code.USAGE)
    return RemoteOptions(
        **{_OPTIONS[flag]: _absolute(context, value) if flag in _FILES else value for flag, value in given.items()}
    )


def _added(context: Context, remote: dict[str, Any]) -> Iterator[str]:
    name = neutralise(str(remote["name"]))
    yield confirmed(context, f"Added {neutralise(str(remote['kind']))} remote {name}: {safe_url(str(remote['url']))}")
    program = context.terminal.facts.program
    by_hand = f", `{program} sync` exchanges with it" if context.arguments.manual else ""
    yield f"  Next: `{program} remote test {name}` tries it out{by_hand}"


# -- remote list, remove, test -----------------------------------------------------------------------------------
def _name_argument(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the remote")


def _list(context: Context) -> int:
    remotes = context.api.call(Remotes())
    answer_list(context, remotes, lambda style: remote_rows(style, remotes, context.now_ms), NO_REMOTES)
    return exits.OK


def _remove(context: Context) -> int:
    removed = context.api.call(RemoveRemote(actor=context.actor, name=context.arguments.name))
    queued = removed["queued"]
    waited = f"{several(queued, 'frame')} for it never sent" if queued else "nothing was waiting for it"
    told = confirmed(context, f"Removed remote {neutralise(str(removed['name']))}; {waited}")
    answer(context, removed, [told, "  What lies there stays there"])
    return exits.OK


def _test(context: Context) -> int:
    checked = context.api.call(CheckRemote(name=context.arguments.name))
    answer(context, checked, check_lines(context, checked["checks"]))
    return exits.OK if checked["ok"] else exits.FAILED


COMMANDS: Final = (
    Command(
        "remote add",
        "Add a Git repository or an MQTT broker to exchange through",
        _add_arguments,
        _add,
        examples=(
            "moot remote add git git@example.org:me/issues.git",
            "moot remote add mqtt mqtts://broker.example.org --user me --password-file pw",
        ),
        alone=True,
    ),
    Command(
        "remote list",
        "Remotes: state, last reached, what waits, what is wrong",
        no_arguments,
        _list,
        alone=True,
        examples=("moot remote list", "moot remote list --json"),
    ),
    Command(
        "remote remove",
        "Stop exchanging with a remote",
        _name_argument,
        _remove,
        ("remote rm",),
        alone=True,
        examples=("moot remote remove origin --dry-run", "moot remote remove origin"),
    ),
    Command(
        "remote test",
        "Reach a remote, read it, write to it",
        _name_argument,
        _test,
        alone=True,
        examples=("moot remote test origin",),
    ),
)

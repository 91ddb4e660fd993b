"""A stand-in for GitHub's `gh`: it takes the arguments that the real one documents, and answers in its shapes.

Put on the PATH by `install`; what is on the site stands in a file beside it, and what it was asked is noted in another.
As the real one it refuses flags and fields that it doesn't know, answers a run that hasn't ended with an empty
conclusion, and fails with 1, or with 4 where nobody has logged in.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

_RUN_FIELDS: Final = frozenset({
    "attempt", "conclusion", "createdAt", "databaseId", "displayTitle", "event", "headBranch", "headSha", "jobs",
    "name", "number", "startedAt", "status", "updatedAt", "url", "workflowDatabaseId", "workflowName",
})  # fmt: skip
_PULL_FIELDS: Final = frozenset({
    "author", "baseRefName", "body", "closed", "closedAt", "createdAt", "headRefName", "id", "isDraft", "labels",
    "mergeCommit", "mergeStateStatus", "mergeable", "mergedAt", "mergedBy", "number", "reviewDecision", "state",
    "statusCheckRollup", "title", "updatedAt", "url",
})  # fmt: skip
_VALUED: Final = frozenset({"--json", "--limit", "-L", "--branch", "-b"})


class _Asked(NamedTuple):
    words: list[str]
    flags: dict[str, str]


def install(folder: Path, site: dict[str, Any]) -> Path:
    """Put the stand-in into a folder.

    Args:
        folder: where; it has to stand first on the PATH.
        site: `{"runs": [...], "pulls": [...], "logged_in": bool}`, each with the fields that the real one knows.

    Returns:
        A file with a JSON array of arguments for each time that it was called.
    """
    folder.mkdir(exist_ok=True)
    program = folder / "gh"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -ISE {__file__} {folder} "$@"\n')
    program.chmod(0o755)
    (folder / "gh.json").write_text(json.dumps({"logged_in": True, "runs": [], "pulls": []} | site))
    calls = folder / "gh.calls"
    calls.touch()
    return calls


# -- The program -------------------------------------------------------------------------------------------------
def _fail(words: str, code: int = 1) -> NoReturn:
    sys.stderr.write(f"{words}\n")
    raise SystemExit(code)


def _read(arguments: list[str]) -> _Asked:
    words: list[str] = []
    flags: dict[str, str] = {}
    rest = iter(arguments)
    for each in rest:
        if not each.startswith("-"):
            words.append(each)
        elif each in _VALUED:
            flags[each] = next(rest, "") or _fail(f"flag needs an argument: {each}")
        else:
            _fail(f"unknown flag: {each}")
    return _Asked(words, flags)


def _selected(found: dict[str, Any], asked: _Asked, known: frozenset[str]) -> dict[str, Any]:
    fields = asked.flags.get("--json", "").split(",")
    for field in fields:
        if field not in known:
            _fail(f'Unknown JSON field: "{field}"\nAvailable fields:\n  ' + "\n  ".join(sorted(known)))
    return {field: found.get(field, "") for field in sorted(fields)}


def _answer(site: dict[str, Any], asked: _Asked) -> Any:
    match asked.words:
        case ["run", "view", number]:
            run = next((run for run in site["runs"] if str(run["databaseId"]) == number), None)
            if run is None:
                _fail(f"failed to get run: HTTP 404: Not Found (https://api.example/actions/runs/{number})")
            return _selected(run, asked, _RUN_FIELDS)
        case ["run", "list"]:
            branch = asked.flags.get("--branch", "")
            runs = [run for run in site["runs"] if branch in {"", run.get("headBranch")}]
            most = int(asked.flags.get("--limit", "20"))
            return [_selected(run, asked, _RUN_FIELDS) for run in runs[:most]]
        case ["pr", "view", number]:
            pull = next((pull for pull in site["pulls"] if str(pull["number"]) == number), None)
            if pull is None:
                _fail(f"GraphQL: Could not resolve to a PullRequest with the number of {number}.")
            return _selected(pull, asked, _PULL_FIELDS)
    _fail(f"unknown command {' '.join(asked.words)!r} for gh")


def main(folder: Path, arguments: list[str]) -> None:
    """Answer one call."""
    with (folder / "gh.calls").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    site = json.loads((folder / "gh.json").read_text())
    if os.environ.get("GH_PROMPT_DISABLED") != "1" or sys.stdin.read():
        _fail("it would have asked something, and nobody is there")
    if not site["logged_in"]:
        _fail("To get started with GitHub CLI, please run:  gh auth login", 4)
    print(json.dumps(_answer(site, _read(arguments))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

"""What the project says to its users holds no complete destructive command: agents run what an error tells them to."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOPS = ("protocol/moot_protocol", "daemon/mootd", "clients/moot")
DESTRUCTIVE = re.compile(
    r"`(moot|bd) [^`]*(--force|--drop|--yes|--delete-missing|--hard|--erase)\b[^`]*`"
    r"|`(moot|bd) (delete|prune|purge|member remove|replica retire) [^`]*`"
    r"|`rm [^`]*`"
)
"""A command as it could be typed that takes something away, or leaves out the question before it does."""


def said(source: str) -> Iterator[str]:
    """Every text in a module that isn't a docstring; X stands for what is filled in."""
    tree = ast.parse(source)
    words = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, words) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_no_text_holds_a_complete_destructive_command() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for top in TOPS
        for path in sorted((ROOT / top).rglob("*.py"))
        for text in said(path.read_text(encoding="utf-8"))
        if (match := DESTRUCTIVE.search(text))
    ]
    assert not found, "\n".join(found)


def test_such_a_command_would_be_seen() -> None:
    source = 'raise Refused("no", hint=f"`moot replica retire {key} --drop`")'
    assert any(DESTRUCTIVE.search(text) for text in said(source))

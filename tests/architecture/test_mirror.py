"""The tests mirror the sources, modules and functions stay small, and the protocol imports nothing impure."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"moot_protocol": "protocol", "mootd": "daemon", "moot": "clients"}
"""Each package's source root, which is also the name of its folder among the tests."""
SOURCES = sorted(
    path for package, root in PACKAGES.items() for path in (ROOT / root / package).rglob("*.py") if path.is_file()
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MODULE_LINES, FUNCTION_LINES = 500, 60

PURE = {
    "moot_protocol", "msgspec", "cryptography", "backports", "compression", "base64", "binascii", "bisect",
    "collections", "datetime", "enum", "functools", "hashlib", "heapq", "itertools", "json", "math", "operator", "re",
    "sys", "tomllib", "typing",
}  # fmt: skip
"""What the protocol may import: nothing that reads a clock, draws entropy, opens anything or logs."""
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "now", "utcnow", "today", "urandom", "generate"}
"""What even those could do."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


class Module(NamedTuple):
    """What the rules ask of a source module; a parsed one would be too large to keep."""

    path: Path
    says_what_it_is: bool
    only_declares: bool
    """Whether it has no function that does anything: ports, constants, a package's words."""
    long_functions: tuple[str, ...]
    impurities: tuple[str, ...]
    """What it imports and calls that the protocol may not; empty elsewhere."""


@cache
def modules() -> tuple[Module, ...]:
    """All source modules, each read once."""
    found = tuple(module(path) for path in SOURCES)
    assert found
    return found


def module(path: Path) -> Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = list(functions(tree))
    long = (
        f"{relative(path)}: {function.name} ({function.end_lineno - function.lineno + 1} lines)"
        for function in found
        if function.end_lineno and function.end_lineno - function.lineno >= FUNCTION_LINES
    )
    impure = impurities(tree) if "moot_protocol" in path.parts else ()
    only_declares = not any(does_something(function) for function in found)
    return Module(path, bool(ast.get_docstring(tree)), only_declares, tuple(long), tuple(impure))


def functions(parent: ast.AST) -> Iterator[Function]:
    """All functions, however deep: they are statements, and stand in no expression."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Function):
            yield node
        if not isinstance(node, ast.expr):
            yield from functions(node)


def does_something(function: Function) -> bool:
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in function.body
    )


def impurities(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"imports {alias.name}" for alias in node.names if alias.name.partition(".")[0] not in PURE)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] not in PURE:
                yield f"imports from {node.module}"
        elif isinstance(node, ast.Call):
            name = node.func
            called = name.id if isinstance(name, ast.Name) else name.attr if isinstance(name, ast.Attribute) else ""
            if called in IMPURE_CALLS:
                yield f"calls {called}"


def mirrored(path: Path) -> Path:
    """Where the tests of a source module stand."""
    root, _, *folders, name = path.relative_to(ROOT).parts
    return ROOT.joinpath("tests", root, *folders, f"test_{name}")


def test_every_module_that_does_something_has_its_tests_at_the_mirrored_path() -> None:
    mirrors = [mirrored(module.path) for module in modules() if not module.only_declares]
    missing = [relative(path) for path in mirrors if not path.is_file()]
    assert not missing, "\n".join(missing)


def test_a_module_keeps_to_one_subject() -> None:
    lines = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES + TESTS}
    too_long = [f"{path}: {count} lines" for path, count in lines.items() if count > MODULE_LINES]
    assert not too_long, "\n".join(too_long)


def test_a_function_fits_a_screen() -> None:
    too_long = [function for module in modules() for function in module.long_functions]
    assert not too_long, "\n".join(too_long)


def test_a_module_says_what_it_is() -> None:
    silent = [relative(module.path) for module in modules() if not module.says_what_it_is]
    assert not silent, "\n".join(silent)


def test_the_protocol_imports_and_calls_nothing_impure() -> None:
    impure = [f"{relative(module.path)} {what}" for module in modules() for what in module.impurities]
    assert not impure, "\n".join(impure)


def test_source_roots_and_test_folders_are_no_packages() -> None:
    roots = [ROOT / root / "__init__.py" for root in PACKAGES.values()]
    tests = [path for path in TESTS if path.name == "__init__.py" and "support" not in path.parts]
    assert not [relative(path) for path in roots + tests if path.exists()]

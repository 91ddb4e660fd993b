"""The tests mirror the sources, modules and functions stay small, and the protocol imports nothing impure."""

import ast
from pathlib import Path

import pytest

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


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(module: ast.Module) -> list[Function]:
    return [node for node in ast.walk(module) if isinstance(node, Function)]


def only_declares(path: Path) -> bool:
    """Whether a module has no function that does anything: ports, constants, a package's words."""
    return not any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for function in functions(tree(path))
        for statement in function.body
    )


def mirrored(path: Path) -> Path:
    """Where the tests of a source module stand."""
    root, _, *folders, name = path.relative_to(ROOT).parts
    return ROOT.joinpath("tests", root, *folders, f"test_{name}")


def test_every_module_that_does_something_has_its_tests_at_the_mirrored_path() -> None:
    missing = [relative(mirrored(path)) for path in SOURCES if not only_declares(path) and not mirrored(path).is_file()]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=relative)
def test_a_module_keeps_to_one_subject(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_function_fits_a_screen(path: Path) -> None:
    too_long = [
        f"{function.name} ({function.end_lineno - function.lineno + 1} lines)"
        for function in functions(tree(path))
        if function.end_lineno and function.end_lineno - function.lineno >= FUNCTION_LINES
    ]
    assert not too_long


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", [path for path in SOURCES if "moot_protocol" in path.parts], ids=relative)
def test_the_protocol_imports_and_calls_nothing_impure(path: Path) -> None:
    imported, called = set(), set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Call):
            name = node.func
            called.add(name.id if isinstance(name, ast.Name) else name.attr if isinstance(name, ast.Attribute) else "")
    assert not imported - PURE
    assert not called & IMPURE_CALLS


def test_source_roots_and_test_folders_are_no_packages() -> None:
    roots = [ROOT / root / "__init__.py" for root in PACKAGES.values()]
    tests = [path for path in TESTS if path.name == "__init__.py" and "support" not in path.parts]
    assert not [relative(path) for path in roots + tests if path.exists()]

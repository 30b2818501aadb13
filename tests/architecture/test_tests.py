"""Tests of the tests: each one can fail."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ASSERTING_CALLS = ("raises", "warns", "assert_", "check_", "expect_")


def functions() -> Iterator[tuple[str, ast.FunctionDef, dict[str, ast.FunctionDef]]]:
    """Each test with the functions of its file, which may assert for it."""
    for path in sorted(TESTS.rglob("test_*.py")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        inside = [node for node in nodes if isinstance(node, ast.FunctionDef)]
        for node in inside:
            if node.name.startswith("test_"):
                yield f"{path.relative_to(TESTS)}::{node.name}", node, {other.name: other for other in inside}


def asserts_something(function: ast.FunctionDef, helpers: dict[str, ast.FunctionDef]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) and not (
            isinstance(node.test, ast.Constant) and bool(node.test.value)
        ):
            return True
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called.startswith(ASSERTING_CALLS):
                return True
            if called in helpers and called != function.name and asserts_something(helpers[called], {}):
                return True
    return False


def test_every_test_asserts_something() -> None:
    found = list(functions())
    assert len(found) > 50
    assert [name for name, function, helpers in found if not asserts_something(function, helpers)] == []


def test_no_two_tests_of_a_file_have_one_name() -> None:
    names = [name for name, _, _ in functions()]
    assert sorted({name for name in names if names.count(name) > 1}) == []

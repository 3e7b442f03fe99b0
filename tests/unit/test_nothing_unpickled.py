"""Nothing that is read from disk is unpickled: every call that could do so says that it must not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for place in ("automl_core", "spaces", "plugins", "cli", "examples")
    for path in (ROOT / place).rglob("*.py")
    if "testing" not in path.parts  # contracts pickle a part and read it back: their own bytes, in memory
)
FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
RESTRICTED = ROOT / "plugins/automl_tabular/plain_pickle.py"
"""Derives an unpickler that refuses every class and function; its own tests feed it malicious files."""
MUST_SAY = {("torch", "load"): ("weights_only", True), ("np", "load"): ("allow_pickle", False)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_it_unpickles_nothing(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            used = {name.partition(".")[0] for name in names} & FORBIDDEN
            assert not used or path == RESTRICTED, ast.unparse(node)
            assert "numpy" not in names or all(alias.asname == "np" for alias in node.names), "np.load is looked for"
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called = (ast.unparse(node.func.value), node.func.attr)
        if called == ("yaml", "load"):
            assert "class Loader(yaml.SafeLoader)" in path.read_text(), ast.unparse(node)
        assert called not in (("pickle", "load"), ("pickle", "loads"), ("joblib", "load")), ast.unparse(node)
        if called in MUST_SAY:
            name, value = MUST_SAY[called]
            said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert said.get(name) == str(value), ast.unparse(node)


def test_the_restricted_unpickler_refuses_every_name() -> None:
    (unpickler,) = (node for node in ast.walk(ast.parse(RESTRICTED.read_text())) if isinstance(node, ast.ClassDef))
    methods = {node.name: node for node in unpickler.body if isinstance(node, ast.FunctionDef)}
    assert {"find_class", "persistent_load"} <= set(methods)
    for name in ("find_class", "persistent_load"):
        assert isinstance(methods[name].body[-1], ast.Raise)
        assert not any(isinstance(node, ast.Return) for node in ast.walk(methods[name]))


def test_there_is_something_to_look_at() -> None:
    text = "".join(path.read_text() for path in SOURCES)
    assert "torch.load(" in text and "np.load(" in text

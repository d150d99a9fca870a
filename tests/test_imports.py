"""The source's structure: imports run one way, what is private stays in its module, no file is long."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ceiba"

# A part imports from the parts before it, never from those after it.
ORDER = (
    "errors",
    "_shorten",
    "_native",
    "_cpus",
    "_progress_display",
    "_progress",
    "_params",
    "_settings",
    "_random",
    "_estimator",
    "io",
    "executors",
    "data",
    "metrics",
    "features",
    "encoders",
    "tree",
    "linear",
    "retrieval",
    "fusion",
    "finetuning",
    "reference",
    "model_selection",
    "models",
    "__init__",
    "serve",
    "cli",
    "__main__",
)
MOST_LINES = 500

# What is still to be mended: (file, part imported) and (file, attribute).
UPWARD: set[tuple[str, str]] = set()
# PyTorch counts the in-place changes of a tensor, and has no public name for it.
PRIVATE: set[tuple[str, str]] = {("encoders/cast_weights.py", "_version")}

# Public by their documentation: methods of named tuples, and modules of the standard library.
NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}
STANDARD_MODULES = {"os", "sys"}

FILES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}


def part_of(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def imports(tree: ast.AST):
    """Yield the part of every import of the package, those inside functions too, and the name imported from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = (node.module or "").split(".")
            if module[0] != "ceiba":
                continue
            for alias in node.names:
                part = module[1] if len(module) > 1 else alias.name if alias.name in ORDER else "__init__"
                yield part, alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                module = alias.name.split(".")
                if module[0] == "ceiba":
                    yield module[1] if len(module) > 1 else "__init__", ""


def own_names(tree: ast.AST) -> set[str]:
    """Return the names that a module defines: functions, methods, class attributes, attributes of self."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
            names.add(node.attr)
    return names


def is_own(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "super"
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__")) and name not in NAMED_TUPLES


def private_attributes(tree: ast.AST) -> set[str]:
    """Return the private attributes that a module asks of other modules' objects.

    What the module itself defines may be asked of a plain name, which is then an object of the same class. It may not
    be asked of an attribute, such as ``self.other._name``.
    """
    own, found = own_names(tree), set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not is_private(node.attr) or is_own(node.value):
            continue
        plain = isinstance(node.value, ast.Name)
        if plain and (node.attr in own or node.value.id in STANDARD_MODULES):
            continue
        found.add(node.attr)
    return found


@pytest.mark.parametrize("file", sorted(FILES))
def test_imports_run_one_way(file):
    own = part_of(file)
    assert own in ORDER, f"{own} has no place in ORDER"
    for part, name in imports(FILES[file]):
        upward = ORDER.index(part) > ORDER.index(own)
        assert not upward or (file, part) in UPWARD, f"{file} imports {name} from {part}, which comes later"


@pytest.mark.parametrize("file", sorted(FILES))
def test_private_names_stay_in_their_module(file):
    for part, name in imports(FILES[file]):
        assert not is_private(name) or name in ORDER, f"{file} imports {name} from {part}"
    asked = {name for name in private_attributes(FILES[file]) if (file, name) not in PRIVATE}
    assert not asked, f"{file} asks other modules' objects for {sorted(asked)}"


def test_no_exception_is_kept_that_is_not_needed():
    for file, part in UPWARD:
        assert part in {found for found, _ in imports(FILES[file])}, (file, part)
    for file, name in PRIVATE:
        assert name in private_attributes(FILES[file]), (file, name)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("self._a\ncls._a\nsuper()._a\nx.__dict__\nrow._replace(a=1)\nos._exit(0)", set()),
        ("other._a\nother._b()", {"_a", "_b"}),
        ("self.other._a", {"_a"}),
        ("class A:\n    def _a(self, other): return other._a", set()),
        ("class A:\n    def _a(self): return self.other._a", {"_a"}),
        ("class A:\n    def __init__(self): self._a = 1\n    def f(self, other): return other._a", set()),
    ],
)
def test_what_counts_as_a_private_attribute(source, expected):
    assert private_attributes(ast.parse(source)) == expected


def test_imports_inside_functions_are_found():
    source = (
        "import numpy\nimport ceiba.io.lock\ndef f():\n    from ceiba.tree.levels import a\n    from ceiba import load"
    )
    assert set(imports(ast.parse(source))) == {("io", ""), ("tree", "a"), ("__init__", "load")}


def test_no_file_is_long():
    sources = list((ROOT / "src").rglob("*.py"))
    sources += [path for path in (ROOT / "native").rglob("*") if path.suffix in (".cpp", ".hpp")]
    long = {path.name: n for path in sources if (n := len(path.read_text("utf-8").splitlines())) > MOST_LINES}
    assert not long

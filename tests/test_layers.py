"""The order of the rooms: an import only looks down, packages make no circle, nobody imports a command.

All imports count, those inside functions too. A folder without folders in it is a package; another's files stand alone.
"""

import ast
from collections.abc import Iterator, Mapping

import pytest

LAYERS = (
    "basicsr tools", "tools/benchmarks tools/demonstration tools/studies", "tools/reporting", "tools/reproduction",
    "tools/evaluation tools/iqa tools/weight_files", "tools/inference", "tools/paper_tables",
    "models", "data", "losses", "metrics", "archs", "utils",
)  # fmt: skip
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}
LAUNCH = "models/training/launch"


def find_imports(module: str, text: str, modules: set[str]) -> Iterator[str]:
    """Yield those of `modules` (paths without .py) that the source of a module imports."""
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            above = ["prismsr", *module.split("/")[: -node.level]] if node.level else []
            names = [".".join([*above, *filter(None, [node.module]), name]) for name in names]
        for name in names:
            parts = name.split(".")[1:] if name.startswith("prismsr.") else []
            paths = ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]
            yield from [found for path in paths for found in (path, f"{path}/__init__") if found in modules][:1]


def rank(module: str) -> int:
    folder, _, _ = module.rpartition("/")
    room = folder if folder.startswith("tools") else module.split("/", maxsplit=1)[0]
    assert room in RANKS, f"{module}: give {room} a place in LAYERS"
    return RANKS[room]


def reach(graph: Mapping[str, set[str]], start: str) -> set[str]:
    found, waiting = set(), [start]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def find_violations(sources: Mapping[str, str]) -> set[str]:
    """Return what breaks the order in sources by path."""
    modules = {path.removesuffix(".py") for path in sources}
    links = {(path[:-3], to) for path, text in sources.items() for to in find_imports(path[:-3], text, modules)}
    outer = {folder.rpartition("/")[0] for folder in {module.rpartition("/")[0] for module in modules}}
    package = {
        module: module if module.rpartition("/")[0] in outer else module.rpartition("/")[0] for module in modules
    }
    graph: dict[str, set[str]] = {name: set() for name in package.values()}
    for module, to in links:
        if rank(to) >= rank(module):
            graph[package[module]] |= {package[to]} - {package[module]}
    commands = {module for module in modules if module.startswith("tools/") and module.count("/") == 1}
    wrong = {f"{module} imports the command {to}" for module, to in links if to in commands}
    wrong |= {f"{module} imports {to} above it" for module, to in links if rank(to) < rank(module)}
    wrong |= {f"{module} imports {to}" for module, to in links if module.startswith("basicsr/") and to != LAUNCH}
    return wrong | {f"{one} -> {to} is in a circle" for one in graph for to in graph[one] if one in reach(graph, to)}


def test_imports_look_down(repository):
    files = [file for room in {name.split("/")[0] for name in RANKS} for file in (repository / room).rglob("*.py")]
    found = find_violations({file.relative_to(repository).as_posix(): file.read_text("utf8") for file in files})
    assert found == set()


@pytest.mark.parametrize(
    ("sources", "wrong"),
    [
        ({"utils/a.py": "import prismsr.data.b", "data/b.py": ""}, "utils/a imports data/b above it"),
        ({"utils/a.py": "def f():\n from prismsr.data import b", "data/b.py": ""}, "utils/a imports data/b above it"),
        ({"data/c/a.py": "from ...models.m import x", "models/m.py": ""}, "data/c/a imports models/m above it"),
        ({"data/a/x.py": "from ..b import y", "data/b/__init__.py": ""}, ""),
        (
            {"tools/iqa/a.py": "from prismsr.tools.reporting.b import c", "tools/reporting/b.py": ""},
            "tools/reporting/b above",
        ),
        ({"tools/iqa/a.py": "from prismsr.tools import infer", "tools/infer.py": ""}, "the command tools/infer"),
        ({"tools/infer.py": "from prismsr.tools import report", "tools/report.py": ""}, "the command tools/report"),
        ({"basicsr/train.py": "import prismsr.utils.a", "utils/a.py": ""}, "basicsr/train imports utils/a"),
        (
            {
                "data/a/x.py": "from prismsr.data.b.y import z",
                "data/b/y.py": "import prismsr.data.c.z",
                "data/c/z.py": "if x: import prismsr.data.a.w",
                "data/a/w.py": "",
            },
            "data/c -> data/a is in a circle",
        ),
    ],
)
def test_each_kind_of_violation_is_found(sources, wrong):
    found = find_violations(sources)
    assert any(wrong in line for line in found) if wrong else found == set()


def test_folders_of_tests_mirror_the_rooms(repository):
    folders = {
        path.parent.relative_to(repository / "tests").as_posix() for path in (repository / "tests").rglob("test_*.py")
    }
    assert {folder for folder in folders if not (repository / folder).is_dir()} == set()

"""What the documents name is there: files, links, commands with flags, names of the package; lines fit a screen."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from prismsr.utils.plugins import GROUP

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("options/**/*.md")])]
WRITTEN = [page for page in PAGES if ROOT / "options" not in page.parents]
"""Pages that no command writes."""
ROOMS = "archs|basicsr|data|docs|losses|metrics|models|options|src|tests|tools|utils"
EXAMPLES = (
    "options/my",
    "losses/x_loss",
    "archs/x_arch",
    "data/x_dataset",
    "models/x_model",
    "metrics/x_metric",
    "models/net_",
)
"""Beginnings of paths that a reader or a training makes."""
USERS = ("X.yml", "TEST.yml", "detail_x4.yml", "stage1.yml", "stage2.yml", "OPTIONS.yml")
WIDTH = 130
FREE = ("|", "<!--")
"""Beginnings of lines of any width."""
SENTENCE, CELL = 25, 20
"""Words at the most."""


def expand(word: str) -> list[str]:
    """Write out braces: "x{a,b}.py" is "xa.py" and "xb.py"."""
    part = re.search(r"\{([^{}]*)\}", word)
    if not part:
        return [word]
    return [name for one in part[1].split(",") for name in expand(word[: part.start()] + one + word[part.end() :])]


def find_missing_paths(text: str) -> Iterator[str]:
    words = re.findall(rf"(?<![\w/.~}}-])(?:{ROOMS})/[\w./*{{}},+-]*", text)
    for path in (path for word in words for path in expand(word.rstrip(".,/"))):
        if not path.startswith(EXAMPLES) and not any(ROOT.glob(path)):
            yield path
    files = [*ROOT.glob("*.yml"), *(ROOT / "options").rglob("*.yml"), *(ROOT / "tools/paper_tables").rglob("*.yml")]
    names = {file.name for file in files}
    for name in (name for word in re.findall(r"(?<![\w/.*{},-])[\w{},]+\.yml\b", text) for name in expand(word)):
        if name not in names and name not in USERS and not name.startswith("my"):
            yield name


def find_broken_links(text: str, folder: Path) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith(("http:", "https:", "#")) and not (folder / link.split("#")[0]).exists():
            yield link


def find_unknown_names(text: str) -> Iterator[str]:
    """Yield what is imported from prismsr, or named as prismsr.x.y, and is not there."""
    names = re.findall(r"\bprismsr(?:\.\w+)+", text)
    for module, listed in re.findall(r"from (prismsr[\w.]*) import ([\w, ]+)", text):
        names += [f"{module}.{name.strip()}" for name in listed.split(",")]
    return (name for name in sorted(set(names) - {GROUP}) if not is_there(name))


@cache
def is_there(name: str) -> bool:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def find_undefined(text: str) -> Iterator[str]:
    """Yield the `names` before (`a/file.py`) that the file does not define."""
    for listed, file in re.findall(r"((?:`\w+`(?:, )?)+) \(`([\w/]+\.py)`\)", text):
        tree = ast.parse((ROOT / file).read_text(encoding="utf8"))
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        yield from (f"{name} in {file}" for name in re.findall(r"\w+", listed) if name not in defined)


def find_commands(text: str) -> Iterator[tuple[str, str, set[str]]]:
    """Yield each command of tools/ with the word behind it, if it is one, and its flags."""
    for tool, rest in re.findall(r"python (?:\.\./)*tools/(\w+)\.py((?:\\\n|[^`\n#])*)", text):
        word = re.match(r" ([a-z][\w-]*)(?= |$|\n)", rest)
        yield tool, word[1] if word else "", set(re.findall(r"(?<= )--[a-z][\w-]*", rest))


def count_words(text: str) -> int:
    """Count words as a reader does: code is one, and a link's address is none."""
    text = re.sub(r"`[^`]*`", "code", re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text))
    return len(re.findall(r"[\w'-]*\w[\w'/.,%-]*", text))


def find_long(text: str) -> Iterator[str]:
    """Yield the sentences and cells with too many words; code and comments are left out."""
    text = re.sub(r"^```.*?^```|<!--.*?-->", "", text, flags=re.DOTALL | re.MULTILINE)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.) ?)", text):
        if block.startswith("|"):
            yield from (cell.strip() for cell in re.split(r"(?<!\\)\|", block) if count_words(cell) > CELL)
        elif not block.startswith("    "):
            sentences = re.split(r"(?<=[.!?])(?:\*\*)?\s+(?=\S)", " ".join(block.split()))
            yield from (sentence for sentence in sentences if count_words(sentence) > SENTENCE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page):
    text = page.read_text(encoding="utf8")
    assert list(find_missing_paths(text)) == []
    assert list(find_broken_links(text, page.parent)) == []
    assert list(find_unknown_names(text)) == []
    assert list(find_undefined(text)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_flags_exist(page, capsys):
    for tool, word, flags in find_commands(page.read_text(encoding="utf8")):
        help_of = [*([word] if word else []), "--help"]
        with pytest.raises(SystemExit) as stop:
            importlib.import_module(f"prismsr.tools.{tool}").main(help_of)
        shown = capsys.readouterr()
        assert stop.value.code == 0, f"{tool}.py {' '.join(help_of)}: {shown.err}"
        assert {flag for flag in flags if flag not in shown.out} == set(), f"{tool}.py {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_fit(page):
    lines = enumerate(page.read_text(encoding="utf8").splitlines(), 1)
    assert [number for number, line in lines if len(line) > WIDTH and not line.lstrip().startswith(FREE)] == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_and_cells_are_short(page):
    assert list(find_long(page.read_text(encoding="utf8"))) == []


def test_long_sentences_and_cells_are_found():
    text = f"# Title\n\nA `b c` [d]({'x' * 99}). {'w ' * 26}end. | no\n\n- {'i ' * 25}i.\n\n"
    text += f"| {'c ' * 20} | {'c ' * 21} |\n"
    assert [count_words(found) for found in find_long(text)] == [27, 26, 21]
    assert list(find_long(f"```text\n{'w ' * 99}\n```\n\n    {'w ' * 99}\n")) == []


def test_what_is_missing_is_found(tmp_path):
    text = "losses/{edges,none}.py, [x](y.md), `nothing` (`losses/edges.py`), prismsr.losses.edges.edge_mask, "
    text += "prismsr.losses.no.edge_mask, `none_x4.yml`; python tools/prepare.py lmdb -i A --no-flag B"
    assert list(find_missing_paths(text)) == ["losses/none.py", "none_x4.yml"]
    assert list(find_broken_links(text, tmp_path)) == ["y.md"]
    assert list(find_unknown_names(text)) == ["prismsr.losses.no.edge_mask"]
    assert list(find_undefined(text)) == ["nothing in losses/edges.py"]
    assert list(find_commands(text)) == [("prepare", "lmdb", {"--no-flag"})]


def test_a_papers_modules_say_so_in_the_last_line():
    """`grep -r "Paper: SFD"` finds what is a paper's."""
    found = set()
    for room in ("archs", "data", "losses", "metrics", "models", "tools"):
        for file in (ROOT / room).rglob("*.py"):
            text = ast.get_docstring(ast.parse(file.read_text(encoding="utf8"))) or ""
            if "Paper: " in text:
                line = re.fullmatch(r"Paper: (SSL|SFD|AMO|LGCAA), .*\.", text.splitlines()[-1])
                assert line, file
                found.add(line[1])
    assert found == {"SSL", "SFD", "AMO", "LGCAA"}

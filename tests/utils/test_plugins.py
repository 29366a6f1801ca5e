"""Code from outside is imported by path, name or entry point; what cannot be imported is told by name and reason."""

import os
import sys

from prismsr.models.training import launch
from prismsr.tools import check_options, infer
from prismsr.utils import plugins
from prismsr.utils.errors import OptionError

import pytest


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What a test imports, and where from, is forgotten at its end."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(plugins, "imported", {})
    monkeypatch.setenv(plugins.VARIABLE, "")
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def _write(path, text="value = 1\n"):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_a_package_and_a_dotted_name(tmp_path, monkeypatch):
    file = _write(tmp_path / "prism_one.py")
    package = _write(tmp_path / "prism_two" / "__init__.py", "from prism_two import part\n").parent
    part = _write(package / "part.py")
    monkeypatch.chdir(tmp_path)
    plugins.import_named(["prism_one.py", str(package), "prism_two.part"])
    expected = {"prism_one": file, "prism_two": package / "__init__.py", "prism_two.part": part}
    assert plugins.imported == {name: str(path) for name, path in expected.items()}
    assert sys.modules["prism_one"].value == 1
    assert os.environ[plugins.VARIABLE] == os.pathsep.join([str(file), str(package), "prism_two.part"])


def test_what_was_named_is_imported_by_the_processes_started(tmp_path, monkeypatch):
    monkeypatch.setenv(plugins.VARIABLE, str(_write(tmp_path / "prism_three.py")))
    plugins.import_installed()
    assert "prism_three" in plugins.imported


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("prism_no_such", None, "ModuleNotFoundError: No module named 'prism_no_such'"),
        ("./prism_no_such.py", None, "FileNotFoundError: there is no /.*/prism_no_such.py"),
        ("prism_bad.py", "\nimport prism_missing\n", r"No module named 'prism_missing' \(.*prism_bad.py:2\)"),
        ("prism_bad.py", "def (:\n", "SyntaxError"),
        ("prism_bad.py", "raise SystemExit(3)\n", "SystemExit: 3"),
        ("json.py", "", "json is the name of .*json/__init__.py too"),
    ],
)
def test_what_cannot_be_imported_is_told(tmp_path, monkeypatch, name, text, reason):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        _write(tmp_path / name, text)
    with pytest.raises(OptionError, match=f"{name} cannot be imported: .*{reason}"):
        plugins.import_named([name])
    assert plugins.imported == {} and not os.environ[plugins.VARIABLE]


def test_a_folder_is_no_package_without_its_init_file(tmp_path):
    with pytest.raises(OptionError, match=r"__init__\.py"):
        plugins.import_named([str(tmp_path)])


def test_commands_say_it_in_one_line(tmp_path, capsys):
    for main in (check_options.main, infer.main):
        arguments = ["--model", "x", "-i", "x", "-o", "x"] if main is infer.main else ["x.yml"]
        assert main([*arguments, "--import", "prism_no_such"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert launch.main(True, tmp_path, ["-opt", "x.yml", "--import", "prism_no_such"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_broken_package_is_warned_of_and_the_others_are_imported(tmp_path, monkeypatch):
    for name in ("prism_broken", "prism_whole"):
        _write(tmp_path / f"{name}-1.dist-info" / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        _write(tmp_path / f"{name}-1.dist-info" / "entry_points.txt", f"[prismsr.plugins]\nx = {name}\n")
    _write(tmp_path / "prism_broken.py", "1 / 0\n")
    _write(tmp_path / "prism_whole.py")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(UserWarning, match=r"prism_broken cannot be imported: ZeroDivisionError.*prism_broken.py:1"):
        plugins.import_installed()
    assert list(plugins.imported) == ["prism_whole"]

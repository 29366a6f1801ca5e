"""A wheel and an sdist hold all of prismsr, and the commands run from an installed copy, outside the repository."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.utils import canonicalize_name

LEFT_OUT = shutil.ignore_patterns(
    *(".*", "__pycache__", "*.egg-info", "build", "datasets", "experiments", "results", "shared", "tb_logger")
)
DISTRIBUTIONS = {
    **{"PIL": "pillow", "cv2": "opencv-python", "skimage": "scikit-image", "yaml": "pyyaml"},
    **{"cycler": "matplotlib", "markupsafe": "jinja2", "pydantic_core": "pydantic"},  # each comes with the other
}
BUILD = """
import sys
from setuptools import build_meta
getattr(build_meta, "build_" + sys.argv[1])(sys.argv[2])
"""
RUN = """
import contextlib, io, json, runpy, sys
done = []
for module, *arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    output = io.TextIOWrapper(io.BytesIO(), write_through=True)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            runpy.run_module("prismsr.tools." + module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code
    done.append([code, output.buffer.getvalue().decode()])
files = [module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "prismsr"]
print(json.dumps([done, [file for file in files if file]]))
"""


def _build(kind: str, tree: Path, output: Path) -> Path:
    output.mkdir()
    command = [sys.executable, "-c", BUILD, kind, str(output)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [archive] = output.iterdir()
    return archive


@pytest.fixture(scope="module")
def archives(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist and the wheel of a copy of the repository, and the wheel of the sdist."""
    folder = tmp_path_factory.mktemp("archives")
    shutil.copytree(repository, folder / "tree", symlinks=True, ignore=LEFT_OUT)
    sdist = _build("sdist", folder / "tree", folder / "sdist")
    with tarfile.open(sdist) as content:
        content.extractall(folder / "unpacked", filter="data")
    [unpacked] = (folder / "unpacked").iterdir()
    wheels = {"wheel": folder / "tree", "wheel of the sdist": unpacked}
    return {"sdist": sdist, **{name: _build("wheel", tree, folder / name) for name, tree in wheels.items()}}


@pytest.fixture(scope="module")
def installed(archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(archives["wheel"]) as content:
        content.extractall(folder)
    return folder


def _names(archive: Path) -> set[str]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as content:
            return set(content.namelist())
    with tarfile.open(archive) as content:
        return {member.name.partition("/src/")[2] for member in content.getmembers() if member.isfile()}


def _files_of_the_package(repository: Path) -> set[str]:
    source = repository / "src"
    found = (Path(folder, name) for folder, _, names in os.walk(source / "prismsr", followlinks=True) for name in names)
    return {path.relative_to(source).as_posix() for path in found if path.suffix != ".pyc"}


def test_archives_hold_every_file_of_the_package(repository, archives):
    expected = _files_of_the_package(repository)
    for part in (
        *("prismsr/py.typed", "prismsr/utils/weights/pretrained.yml", "prismsr/options/ssl/esrgan_ssl_x4.yml"),
        *("prismsr/tools/paper_tables/sfd.yml", "prismsr/tools/paper_tables/sfd_table1.csv"),
        "prismsr/tools/reporting/page.html.j2",
    ):
        assert part in expected
    assert expected - _names(archives["sdist"]) == set()
    wheel = _names(archives["wheel"])
    assert expected == {name for name in wheel if ".dist-info/" not in name}
    assert wheel == _names(archives["wheel of the sdist"])


def test_an_editable_install_is_one_line_that_type_checkers_follow(archives, tmp_path):
    tree = archives["sdist"].parents[1] / "tree"
    with zipfile.ZipFile(_build("editable", tree, tmp_path / "editable")) as content:
        installed = {name: content.read(name).decode() for name in content.namelist() if ".dist-info/" not in name}
    assert [name.endswith(".pth") for name in installed] == [True]
    assert [text.strip() for text in installed.values()] == [str(tree / "src")]


def _imported(repository: Path) -> set[str]:
    """Top-level packages that prismsr imports, those inside functions too."""
    names = set()
    for file in _files_of_the_package(repository):
        nodes = ast.walk(ast.parse((repository / "src" / file).read_text("utf8"))) if file.endswith(".py") else ()
        for node in nodes:
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {"prismsr"}


def test_requirements_name_every_package_that_is_imported(repository, archives):
    with zipfile.ZipFile(archives["wheel"]) as content:
        [metadata] = [content.read(name).decode() for name in content.namelist() if name.endswith("/METADATA")]
    lines = re.findall(r"^Requires-Dist: ([\w.-]+)", metadata, re.MULTILINE)
    imported = _imported(repository)
    assert "torch" in imported and len(imported) > 15
    assert {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in imported} <= set(map(canonicalize_name, lines))


def _run(installed: Path, folder: Path, *commands: list[str]) -> list[str]:
    """Run the commands in an empty folder; return what each has printed, after its exit code was 0."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    line = [sys.executable, "-c", RUN, json.dumps(commands)]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results, files = json.loads(done.stdout.splitlines()[-1])
    assert len(files) > 50
    assert [file for file in files if not file.startswith(f"{installed}/prismsr/")] == []
    for command, (code, output) in zip(commands, results, strict=True):
        assert code == 0, (command, output)
    return [output for _, output in results]


def test_commands_run_from_an_installed_copy(installed, tmp_path):
    gt = np.full((2, 32, 40, 3), 100, np.uint8) + np.arange(40, dtype=np.uint8)[None, None, :, None]
    for name, images in (("gt", gt), ("sr", gt + np.uint8(1))):
        (tmp_path / name).mkdir()
        for number, image in enumerate(images):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), image)
    weights, checked, tables, table, scores, test_sets = _run(
        installed,
        tmp_path,
        ["weights", "list"],
        ["check_options", str(installed / "prismsr" / "options" / "ssl" / "esrgan_ssl_x4.yml")],
        ["reproduce", "list"],
        ["reproduce", "sfd-1"],
        ["evaluate", "--sr", "sr", "--gt", "gt", "--metrics", "psnr", "ssim"],
        ["prepare", "testset", "--list"],
    )
    assert "stable-diffusion-2" in weights
    assert "1 files, 0 errors" in checked
    assert "sfd-1" in tables
    assert "option file" not in table  # those that the tables name are found, beside the code
    assert (tmp_path / "results" / "reproduce" / "sfd-1.md").is_file()  # what is made is kept in the current folder
    assert "48.13" in scores  # 20 log10(255): all pixels differ by one
    assert "Urban100" in test_sets

"""docs/develop/adding_a_method.md, done as it says: its files in a folder of their own, its commands run one by one."""

import multiprocessing
import os
import re
import shlex
import shutil
import subprocess
import sys

from prismsr.tools import check_options
from prismsr.utils.images import read_image

import pytest
import torch

DIST_INFO = {
    "METADATA": "Metadata-Version: 2.1\nName: detail\nVersion: 1.0\n",
    "entry_points.txt": "[prismsr.plugins]\ndetail = detail_method\n",
}


@pytest.fixture(scope="module")
def folder(training_workplace, repository, tmp_path_factory):
    """A folder outside the repository: the page's two files, images, and the launchers."""
    folder = tmp_path_factory.mktemp("method")
    code, options, _, _ = _blocks(repository)
    (folder / "detail_method.py").write_text(code)
    (folder / "detail_x4.yml").write_text(options)
    shutil.copytree(training_workplace / "basicsr", folder / "basicsr")
    (folder / "tools").symlink_to(repository / "tools")
    for image in sorted((training_workplace / "HR").glob("*.png"))[:4]:
        for kind in ("HR", "LR"):
            (folder / kind).mkdir(exist_ok=True)
            shutil.copy(training_workplace / kind / image.name, folder / kind)
    return folder


def _blocks(repository):
    page = (repository / "docs" / "develop" / "adding_a_method.md").read_text()
    return re.findall(r"^```\w+\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def _run(folder, *command):
    """Run a command in the folder, which holds an installed package."""
    search = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH"), str(folder)) if part)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": search}
    result = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


def _run_forked(server, folder, *command):
    code, output = server.start(folder, "script", *command).end()
    assert code == 0, output[-6000:]
    return output


def _fork(folder, main, arguments):
    """Exit code of a command in a process of its own, which has imported everything but what the command names."""

    def run():
        os.chdir(folder)
        sys.exit(main(arguments))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    return process.exitcode


def test_checked_trained_validated_and_inferred_with(launch_server, folder, repository):
    check, train, infer = (shlex.split(line)[1:] for line in _blocks(repository)[2].splitlines())
    assert check_options.main([str(folder / "detail_x4.yml")]) == 1  # what nobody imports is not there
    assert check[0] == "tools/check_options.py"
    assert _fork(folder, check_options.main, check[1:]) == 0
    log = _run_forked(launch_server, folder, *train)
    assert f"with detail_method ({folder}/detail_method.py)" in log.splitlines()[0]
    assert re.search(r"iter: +2,.*l_g_detail: ", log) and re.search(r"psnr: \d+\.\d+\s+Best: ", log)
    weights = folder / "experiments" / "detail_x4" / "models" / "net_g_2.pth"
    assert "first.weight" in torch.load(weights, weights_only=True)["params"]
    _run_forked(launch_server, folder, *infer, "--weights", str(weights), "--workers", "2")
    for image in (folder / "LR").glob("*.png"):
        height, width = read_image(image).shape[:2]
        assert read_image(folder / "SR" / image.name).shape[:2] == (4 * height, 4 * width)


def test_installed_it_is_found_by_its_entry_point(folder):
    """In a resumed run under torchrun, whose process that loads data is spawned."""
    info = folder / "detail-1.0.dist-info"
    info.mkdir()
    for name, text in DIST_INFO.items():
        (info / name).write_text(text)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1", "basicsr/train.py"]
    more = ["--auto_resume", "--force_yml", "train:total_iter=3"]
    log = _run(folder, *torchrun, "-opt", "detail_x4.yml", *more)
    assert re.search(r"Resuming training from epoch: \d+, iter: 2\.", log)
    assert re.search(r"iter: +3,.*l_g_detail: ", log)

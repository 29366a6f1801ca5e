"""Every state that a kill can leave: the same command goes on from it, and ends as a run that was not killed."""

import shutil
from functools import partial
from itertools import count

from prismsr.data.images.source import LmdbSource, close_lmdb

import cv2
import pytest
from kills import KILLED, kill_at_each_step, run_killed

RUNS = {
    "photograph": ["downsample", "-i", "HR", "-o", "out", "--scale", "2"],
    "subimages": ["subimages", "-i", "HR", "-o", "out", "--crop", "48"],
    "multiscale": ["multiscale", "-i", "HR", "-o", "out", "--shortest-edge", "24", "--scales", "0.9"],
    "edges": ["edges", "-i", "HR", "-o", "out", "--mat"],
    "versions": [
        "multi-gt",
        "-i",
        "HR",
        "-o",
        "out",
        "--crop",
        "40",
        "--step",
        "40",
        "--enhancer",
        "unsharp",
        "--all-patches",
    ],
    "score": ["score", "-i", "versions", "-o", "out.csv", "--metric", "niqe", "--option", "score_range=[0,100]"],
    "lmdb": ["lmdb", "-i", "HR", "-o", "out.lmdb"],
    "lmdb-raw": ["lmdb", "-i", "HR", "-o", "out.lmdb", "--store", "raw"],
    "testset": ["testset", "Manga109", "--downloads", "downloads", "-o", "out", "--force"],
}
EARLIER = {
    "subimages": ["subimages", "-i", "HR", "-o", "out", "--crop", "40"],
    "lmdb": ["lmdb", "-i", "HR", "-o", "out.lmdb", "--compress-level", "9"],
    "lmdb-raw": ["lmdb", "-i", "HR", "-o", "out.lmdb"],
    "testset": ["testset", "Manga109", "--downloads", "downloads", "-o", "out", "--force"],
}


@pytest.fixture
def start(tmp_path, photograph):
    """A folder with the inputs of all runs, two images each."""
    folder = tmp_path / "start"
    for number, name in enumerate(("a", "b")):
        part = photograph[60:108, 100 + 40 * number : 148 + 40 * number, ::-1]
        large = cv2.resize(part, (192, 192))
        for place, image in (("HR", part), ("versions/original", large), ("versions/01", large[::-1])):
            path = folder / place / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)
    shutil.copytree(folder / "HR", folder / "downloads/Manga109")
    return folder


@pytest.fixture
def run(prepare_tool):
    """Run a command in a folder, in a process of its own that dies before its step number `kill`."""

    def run(command, folder, kill=0):
        return run_killed(lambda: prepare_tool.main([*command, "--workers", "1"]), folder, kill)

    return run


def _content(folder):
    """Every file below a folder; of an LMDB its images, because pages may lie otherwise in it.

    A .mat file begins with the time of day. Beside an output file a hidden temporary one may stay.
    """
    left = set(folder.glob(".*.partial"))
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file() and path not in left}
    content = {name: path.read_bytes() for name, path in files.items() if not name.endswith(".mdb")}
    content = {name: data[128:] if name.endswith(".mat") else data for name, data in content.items()}
    for path in folder.glob("*.lmdb"):
        source, keys = LmdbSource(path), LmdbSource(path).keys()
        content |= {f"{path.name}, {key}": source.read(key) for key in keys}
        close_lmdb(path)
    return content, files.keys()


CASES = [*((name, None) for name in RUNS), *EARLIER.items()]


@pytest.mark.parametrize(("name", "earlier"), CASES, ids=[f"{name}{'-anew' * bool(old)}" for name, old in CASES])
def test_same_command_goes_on_from_every_kill(start, run, tmp_path, name, earlier):
    command = [*RUNS[name], *(["--overwrite"] if earlier else [])]
    if earlier:
        assert run(earlier, start) == 0
    shutil.copytree(start, whole := tmp_path / "whole")
    assert run(command, whole) == 0
    expected = _content(whole)
    for number, cut in kill_at_each_step(start, tmp_path, partial(run, command), at_least=5):
        code = run(command, cut)
        assert code == 0 or (name.startswith("lmdb") and _content(cut) == expected), f"killed before step {number}"
        assert _content(cut) == expected, f"killed before step {number}"


def test_killed_twice_while_an_unfinished_lmdb_makes_room(start, run, tmp_path):
    """One of other parameters is removed first: its record goes last, so that it is known for ours till then."""
    command = [*RUNS["lmdb"], "--overwrite"]
    begun = next(number for number in count(1) if _has_record(start, run, tmp_path / f"begun{number}", number))
    for number in count(1):
        shutil.copytree(tmp_path / f"begun{begun}", cut := tmp_path / f"cut{number}")
        if run(command, cut, kill=number) != KILLED:
            return
        assert run(command, cut) == 0, f"killed before step {number}"
        assert sorted(path.name for path in cut.iterdir()) == ["HR", "downloads", "out.lmdb", "versions"]


def _has_record(start, run, folder, number):
    shutil.copytree(start, folder)
    assert run(EARLIER["lmdb"], folder, kill=number) == KILLED
    return (folder / "out.lmdb.partial/manifest.json").exists()

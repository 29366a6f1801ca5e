"""The command line of tools/prepare.py in this process, and folders of small photographs for it."""

import cv2
import pytest


@pytest.fixture
def prepare(prepare_tool):
    """Run a command line and return its exit code; two processes unless told otherwise."""

    def run(*arguments, workers=2):
        try:
            return prepare_tool.main([str(argument) for argument in (*arguments, "--workers", workers)])
        except SystemExit as stop:  # argparse's way out
            return stop.code

    return run


@pytest.fixture
def hr(tmp_path, photograph):
    """A folder of four parts of a photograph, 48 x 60 to 72 x 96 (height x width), one in a subfolder."""
    folder = tmp_path / "HR"
    for number, name in enumerate(("a", "b", "c", "sub/d")):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        top, left = 60 + 20 * number, 100 + 30 * number
        cv2.imwrite(str(path), photograph[top : top + 48 + 8 * number, left : left + 60 + 12 * number, ::-1])
    return folder


@pytest.fixture
def images():
    """Read all visible images below a folder, by relative path."""

    def read(folder):
        files = [path for path in folder.rglob("*.png") if not path.name.startswith(".")]
        return {str(path.relative_to(folder)): cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in files}

    return read

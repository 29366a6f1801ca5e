"""--help of the commands that need no list of what is registered: torch is not loaded for it."""

import subprocess
import sys

import pytest

HELP = """
import importlib, sys, types
package = types.ModuleType("prismsr")  # in place of its own __init__, which registers everything
package.__path__ = [sys.argv[1]]
sys.modules["prismsr"] = package
try:
    importlib.import_module(f"prismsr.tools.{sys.argv[2]}").main(["--help"])
finally:
    assert not {"torch", "basicsr", "cv2", "matplotlib"} & set(sys.modules)
"""


@pytest.mark.parametrize("name", ["demo", "export", "infer", "merge_lora", "weights"])
def test_help_loads_no_heavy_package(name, repository):
    command = [sys.executable, "-c", HELP, str(repository / "src" / "prismsr"), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {name}.py")

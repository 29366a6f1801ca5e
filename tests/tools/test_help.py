"""--help of a command reads its arguments alone: what computes is not imported, and nothing is registered."""

import re
import subprocess
import sys
from pathlib import Path

from prismsr.utils.rooms import is_command

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
COMMANDS = sorted(path.stem for path in TOOLS.glob("*.py") if path.stem not in ("__init__", "make_venv"))
HEAVY = re.compile(r"\| +(torch|torchvision|basicsr|scipy|matplotlib|diffusers|pyiqa)$", re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_nothing_heavy(name):
    command = [sys.executable, "-X", "importtime", str(TOOLS / f"{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(f"usage: {name}.py")
    assert "| prismsr.utils.command_line" in " ".join(done.stderr.split())
    assert HEAVY.findall(done.stderr) == []


@pytest.mark.parametrize(
    ("program", "started", "expected"),
    [
        ("infer.py", ["python", "PROGRAM", "--help"], True),
        ("infer.py", ["python", "-c", "from multiprocessing.spawn import spawn_main"], False),  # its worker
        ("studies/x.py", ["python", "PROGRAM"], False),
        ("", ["python"], False),
        ("-c", ["python", "-c", "import prismsr"], False),
    ],
)
def test_only_a_command_itself_registers_later(monkeypatch, program, started, expected):
    path = str(TOOLS / program) if program.endswith(".py") else program
    monkeypatch.chdir(TOOLS)
    monkeypatch.setattr(sys, "argv", [path])
    monkeypatch.setattr(sys, "orig_argv", [path if word == "PROGRAM" else word for word in started])
    assert is_command() is expected

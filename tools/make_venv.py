"""Create .venv and install PRISM-SR into it from the pinned requirements; needs nothing but Python's standard library.

    python3 tools/make_venv.py [--dev]

An environment that already has what the requirement files list is left as it is.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
VENV = REPOSITORY / ".venv"
OLDEST = (3, 11)
PYIQA = "requirements-pyiqa.txt"  # says why it is apart

# basicsr 1.4.2's setup.py reads its version by exec() into a function's locals, which Python 3.13 (PEP 667) no longer
# allows (BasicSR #749). While its wheel is built, this line gives exec() without a namespace its old meaning. A .pth
# file is the one thing that reaches the interpreter in which pip builds.
OLD_EXEC = (
    "import builtins, sys; builtins.exec = (lambda run: lambda code, *spaces, **kw: run(code, *spaces, **kw) if spaces "
    "else run(code, sys._getframe(1).f_globals, sys._getframe(1).f_locals))(builtins.exec)\n"
)


def main() -> int:
    """Create or update the environment; 0 on success."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="also what tests, lint and type checks need")
    args = parser.parse_args()
    if sys.version_info < OLDEST:
        print(
            f"PRISM-SR needs Python 3.11 or newer; this is {sys.version.split()[0]}. Set it: make PYTHON=python3.12 ..."
        )
        return 2
    stamps = [_stamp(name) for name in ["requirements.txt", PYIQA, *(["requirements-dev.txt"] if args.dev else [])]]
    if all(stamp.exists() for stamp in stamps):
        return 0
    if not _find_python().exists():
        venv.create(VENV, with_pip=True)
    try:
        with _mend_exec():
            _run_pip("-r", "requirements-dev.txt" if args.dev else "requirements.txt")
        _run_pip("--no-deps", "-r", PYIQA)
        _run_pip("--no-deps", "--no-build-isolation", "-e", ".")
    except subprocess.CalledProcessError as error:
        print(
            f"pip failed (exit code {error.returncode}), see above; {VENV.name}/ is kept, run the same command again."
        )
        return 1
    for stamp in stamps:
        stamp.touch()
    return 0


def _find_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _run_pip(*arguments: str) -> None:
    pip = [str(_find_python()), *["-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]]
    subprocess.run([*pip, *arguments], cwd=REPOSITORY, check=True)


def _stamp(requirements: str) -> Path:
    """Return a file in the environment whose name changes with what is to be installed."""
    content = b"".join((REPOSITORY / name).read_bytes() for name in (requirements, "setup.py"))
    return VENV / f".{requirements}-{hashlib.sha256(content).hexdigest()[:12]}"


@contextmanager
def _mend_exec() -> Iterator[None]:
    if sys.version_info < (3, 13):
        yield
        return
    site_packages = next((VENV / "lib").glob("python*/site-packages"), VENV / "Lib" / "site-packages")
    patch = site_packages / "basicsr_build.pth"
    patch.write_text(OLD_EXEC)
    try:
        yield
    finally:
        patch.unlink()


if __name__ == "__main__":
    sys.exit(main())

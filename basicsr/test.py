"""Test one or more option files: `python basicsr/test.py -opt options/demo/x.yml`, from any folder."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Python puts this folder first, where this file would take the place of the standard library's `test`.
sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != HERE]

try:
    from prismsr.models.training.launch import main
except ModuleNotFoundError as error:
    if not str(error.name).startswith("prismsr"):
        raise
    raise SystemExit(f"prismsr is not installed for {sys.executable}: run `pip install -e .` or `make venv`.") from None

if __name__ == "__main__":
    sys.exit(main(is_train=False, root=HERE.parent))

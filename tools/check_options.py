"""Check option files without running them: `python tools/check_options.py options/ my.yml`.

Files below a folder `_base_` are fragments that others inherit; they are only parsed. Data and weights that are not on
this machine are notes. Exit code: 1 if there is any error or no file, else 0. `--schema FILE` writes a JSON Schema.
"""

import argparse
from functools import partial
from pathlib import Path

from prismsr.utils.command_line import ROOT, command, run_main
from prismsr.utils.errors import OptionError
from prismsr.utils.options.files import find_option_files, load_with_lines, shown
from prismsr.utils.options.problems import Problem, errors_among, report
from prismsr.utils.options.sections import section


def check_file(file: Path) -> list[Problem]:
    """Return what is wrong with one file; a file with a section `train` or a dataset `train` is one for training."""
    from prismsr.utils.weights.network_files import check_with_files

    try:
        loaded = load_with_lines(file)
    except OptionError as error:
        return [Problem("", str(error))]
    if "_base_" in file.absolute().parent.parts:
        return [Problem("", "a fragment: parsed only", "note", where=shown(file))]
    options = loaded.options
    is_train = options.get("train") is not None or section(options, "datasets").get("train") is not None
    return check_with_files(loaded, shown(file), ROOT, is_train=is_train, missing_paths="note")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="option files, or folders with option files")
    parser.add_argument("--schema", type=Path, metavar="FILE", help="write a JSON Schema of option files, check none")


def run(args: argparse.Namespace) -> int:
    """Check the files, or write the schema; returns 1 where there is any error or no file."""
    if args.schema is not None:
        from prismsr.utils.options.json_schema import write_schema

        write_schema(args.schema)
        return 0
    files = find_option_files(args.paths)
    problems = [problem for file in files for problem in check_file(file)]
    errors = len(errors_among(problems))
    if problems:
        print(report(problems))
    print(f"{len(files)} files, {errors} errors, {len(problems) - errors} notes")
    return 1 if errors or not files else 0


main = partial(command, "check_options.py", __doc__, add_arguments, run)

if __name__ == "__main__":
    run_main(main)

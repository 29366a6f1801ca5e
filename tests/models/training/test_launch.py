"""basicsr/train.py and basicsr/test.py: what they check, what they run, what they say, and their exit codes."""

import os
import signal
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from prismsr.models.training import launch
from prismsr.models.training.launcher_ranks import Ranks
from prismsr.models.training.run_options import parse_arguments
from prismsr.models.training.several_runs import Job, Outcome, build_command, format_outcomes, run_several
from prismsr.utils.options.files import load_options

import basicsr.test
import basicsr.train
import pytest
import torch
from torch.distributed import HashStore
from trainings import TWO, LaunchServer

Write = Callable[..., Path]

# Stands for basicsr/train.py in the children: quick, and does what the name of the option file says.
CHILD = """
import sys, time
file = sys.argv[sys.argv.index("-opt") + 1]
open(file + ".ran", "w").write(" ".join(sys.argv[1:]))
if "sleep" in file:
    time.sleep(60)
sys.exit(3 if "bad" in file else 0)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    monkeypatch.setattr("sys.argv", [str(script)])
    monkeypatch.chdir(tmp_path)
    return script


def jobs(*names: str) -> list[Job]:
    return [Job(f"{name}.yml", name, {}) for name in names]


# ------------------------------------------------------------------------------------------- the two scripts


def test_folder_of_the_scripts_is_no_package(repository: Path) -> None:
    """With an __init__.py it would hide the installed basicsr under PYTHONPATH=./ ."""
    assert sorted(path.name for path in (repository / "basicsr").glob("*.py")) == ["test.py", "train.py"]


def test_script_refuses_a_wrong_file_from_anywhere(
    repository: Path, write: Write, experiment: dict[str, Any], workplace: Path
) -> None:
    experiment["datasets"]["train"]["dataroot_gt"] = "data/nowhere"
    experiment["train"]["total_iters"] = experiment["train"].pop("total_iter")
    write(experiment)
    environment = os.environ | {"PYTHONPATH": str(repository)}
    script = repository / "basicsr" / "train.py"
    done = subprocess.run(
        [sys.executable, script, "-opt", "small.yml"],
        cwd=workplace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "small.yml:10: datasets.train.dataroot_gt: no such file or folder: data/nowhere" in done.stderr
    assert "train.total_iters: unknown key; did you mean 'total_iter'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_script_says_how_to_install(repository: Path, tmp_path: Path) -> None:
    """A Python that has no prismsr: -S leaves out site-packages and with them editable installs."""
    command = [sys.executable, "-S", str(repository / "basicsr" / "test.py"), "-opt", "x.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "prismsr is not installed" in done.stderr
    assert "pip install -e ." in done.stderr


@pytest.mark.parametrize("file", ["small.yml", "none.yml"])
def test_a_console_that_is_gone_ends_a_run(
    file: str, write: Write, experiment: dict[str, Any], workplace: Path, stop_reading: Callable[[], None]
) -> None:
    write(experiment)
    stop_reading()
    assert launch.main(True, workplace, ["-opt", str(workplace / file)]) == 141


def test_training_writes_log_and_merged_options(
    repository: Path, write: Write, experiment: dict[str, Any], workplace: Path, launch_server: LaunchServer
) -> None:
    (workplace / "basicsr").mkdir()
    script = workplace / "basicsr" / "train.py"  # its parent's parent is the root, where experiments/ goes
    script.write_text((repository / "basicsr" / "train.py").read_text())
    write({key: experiment.pop(key) for key in ("train", "val", "logger")}, "base.yml")
    file = write({"_base_": "base.yml", **experiment})
    words = (str(script), "-opt", str(file), "--force_yml", "train:optim_g:lr=1e-5")
    code, output = launch_server.start(Path("/"), "script", *words).end()
    assert code == 0, output
    folder = workplace / "experiments" / "small"
    first = output.splitlines()[0]
    assert first.startswith("PRISM-SR ")
    assert all(part in first for part in (f"BasicSR {basicsr.version.__version__}", torch.__version__, "CPU"))
    log = next(folder.glob("train_small_*.log")).read_text()
    assert first in log.splitlines()[0]
    kept = load_options(folder / "small.yml")
    assert kept["train"]["optim_g"]["lr"] == 1e-5
    assert "_base_" not in kept
    assert (folder / "models" / "net_g_latest.pth").is_file()


# ------------------------------------------------------------------------------------------------ one file


@pytest.fixture
def basicsr_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (basicsr.train, basicsr.test):
        for name, value in list(vars(module).items()):
            if callable(value):
                monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("basicsr_restored")
def test_testing(write: Write, experiment: dict[str, Any], workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {key: experiment[key] for key in ("name", "model_type", "scale", "num_gpu", "network_g", "val")}
    options["datasets"] = {"test_1": experiment["datasets"]["val"]}
    options["val"]["save_img"] = True
    assert launch.main(False, workplace, ["-opt", str(write(options))]) == 0
    assert capsys.readouterr().out.startswith("PRISM-SR ")
    images = workplace / "results" / "small" / "visualization" / "pairs"
    assert [path.name for path in sorted(images.iterdir())] == ["0_small.png", "1_small.png"]


@pytest.mark.usefixtures("basicsr_restored")
def test_failure_keeps_its_traceback_and_names_the_run(
    write: Write,
    experiment: dict[str, Any],
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(root: str) -> None:
        basicsr.train.parse_options(root, is_train=True)
        raise RuntimeError("out of luck")

    monkeypatch.setattr(basicsr.train, "train_pipeline", fail)
    file = str(write(experiment))
    assert launch.main(True, workplace, ["-opt", file]) == 1
    error = capsys.readouterr().err
    assert "RuntimeError: out of luck" in error
    assert error.splitlines()[-1] == f"Training failed: option file {file}, experiment small"


@pytest.mark.usefixtures("basicsr_restored")
@pytest.mark.parametrize(("error", "code"), [(launch.UserError("no such thing"), 2), (KeyboardInterrupt(), 130)])
def test_user_errors_and_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    def fail(root: str) -> None:
        raise error

    monkeypatch.setattr(basicsr.train, "train_pipeline", fail)
    assert launch.main(True, ".", ["-opt", "x.yml"]) == code
    text = capsys.readouterr().err
    assert "Traceback" not in text
    assert text.strip() == ("no such thing" if code == 2 else "Interrupted by Ctrl-C: x.yml")


# -------------------------------------------------------------------------------------------- several files


def test_plan_reports_all_files_and_runs_none(
    write: Write,
    experiment: dict[str, Any],
    workplace: Path,
    child: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = deepcopy(experiment)
    other["scale"] = 0
    write(experiment, "a.yml")
    write(other, "b.yml")
    assert launch.main(True, workplace, ["-opt", "a.yml", "b.yml", "c.yml"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "b.yml:3: scale: must be a whole number" in lines[0]
    assert any(line.startswith("error: b.yml: name: a.yml has the same, small") for line in lines)
    assert any(line.startswith("c.yml: cannot be read") for line in lines)
    assert lines[-1] == "Nothing was run."
    assert not list(workplace.glob("*.ran"))


def test_second_stage_may_start_from_what_the_first_will_make(
    write: Write, experiment: dict[str, Any], workplace: Path, child: Path
) -> None:
    second = deepcopy(experiment)
    second["name"] = "second"
    second["path"]["pretrain_network_g"] = "experiments/small/models/net_g_latest.pth"
    write(experiment, "first.yml")
    write(second, "second.yml")
    assert launch.main(True, workplace, ["-opt", "second.yml", "first.yml"]) == 2
    assert launch.main(True, workplace, ["-opt", "first.yml", "second.yml", "--debug"]) == 2  # writes debug_small
    assert launch.main(True, workplace, ["-opt", "first.yml", "second.yml"]) == 0
    assert (workplace / "first.yml.ran").read_text() == "-opt first.yml --launcher none --local_rank 0"


def test_a_failure_does_not_stop_the_rest(child: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = parse_arguments(["-opt", "x", "--auto_resume", "--force_yml", "a=1", "b=2"])
    assert run_several(jobs("one", "bad", "two"), args) == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(row[0], row[2], row[-1]) for row in rows[-3:]] == [
        ("one.yml", "ok", "0"),
        ("bad.yml", "failed", "3"),
        ("two.yml", "ok", "0"),
    ]
    ran = (child.parent / "two.yml.ran").read_text()
    assert ran == "-opt two.yml --launcher none --local_rank 0 --auto_resume --force_yml a=1 b=2"


def test_fail_fast_stops_at_the_first_failure(child: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_several(jobs("one", "bad", "two"), parse_arguments(["-opt", "x", "--fail-fast"])) == 1
    assert capsys.readouterr().out.splitlines()[-1].split() == ["two.yml", "two", "not", "run"]
    assert not (child.parent / "two.yml.ran").exists()


def test_all_well(child: Path) -> None:
    assert run_several(jobs("one", "two"), parse_arguments(["-opt", "x"])) == 0


def test_ctrl_c_ends_the_child(child: Path, capsys: pytest.CaptureFixture[str]) -> None:
    timer = threading.Timer(1.0, signal.raise_signal, [signal.SIGINT])
    timer.start()
    assert run_several(jobs("sleep", "two"), parse_arguments(["-opt", "x"])) == 130
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[-2:]] == ["interrupted", "not"]
    assert not (child.parent / "two.yml.ran").exists()


def test_command_repeats_the_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["basicsr/test.py"])
    args = Namespace(launcher="slurm", local_rank=1, auto_resume=False, debug=True)
    assert build_command("x.yml", args, ["a=1"]) == [
        sys.executable, "basicsr/test.py", "-opt", "x.yml", "--launcher", "slurm", "--local_rank", "1", "--debug",
        "--force_yml", "a=1",
    ]  # fmt: skip


def test_table() -> None:
    (one, two) = jobs("a", "longer")
    text = format_outcomes([Outcome(one, "failed", 61.25, 1), Outcome(two, "not run")])
    assert text.splitlines() == [
        "file        experiment  result   seconds  exit code",
        "a.yml       a           failed   61.2     1",
        "longer.yml  longer      not run",
    ]


# ------------------------------------------------------------------------------------------ several processes


def test_ranks_agree_on_ports_and_exit_codes() -> None:
    store = HashStore()
    seen: dict[int, list[Any]] = {}

    def process(rank: int) -> None:
        ranks = Ranks(store, rank, 3)
        ports = [ranks.port(index) for index in range(2)]
        codes = [ranks.agree(0, 0), ranks.agree(1, {0: 0, 1: 7, 2: None}[rank])]
        failed = [ranks.others_failed(0), ranks.others_failed(1)]
        ranks.leave()
        seen[rank] = [ports, codes, failed]

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert seen[0] == seen[1] == seen[2]
    ports, codes, failed = seen[0]
    assert all(1024 <= port < 65536 for port in ports)
    assert codes == [0, 7]
    assert failed == [False, True]


# Started by torchrun with two files: each process runs two children, which meet over gloo and part again.
TWO_PROCESSES = """
import sys
if sys.argv.count("-opt") and "," in sys.argv[2]:
    from prismsr.models.training.run_options import parse_arguments
    from prismsr.models.training.several_runs import Job, run_several
    names = sys.argv[2].split(",")
    sys.exit(run_several([Job(name, name, {}) for name in names], parse_arguments(["-opt", *names])))
import torch
from torch import distributed
distributed.init_process_group("gloo")
total = torch.ones(1)
distributed.all_reduce(total)
if distributed.get_rank() == 0:
    print(sys.argv[2], "met:", int(total))
distributed.destroy_process_group()
"""


def test_children_of_torchrun_meet_one_after_another(launch_server: LaunchServer, tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    code, output = launch_server.start(tmp_path, "torchrun", *TWO, str(script), "-opt", "a,b").end()
    assert code == 0, output
    assert "a met: 2" in output
    assert "b met: 2" in output
    assert output.count("exit code") == 1  # one table, from rank 0

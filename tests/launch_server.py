"""A process that has imported everything and forks a command for each order it reads: starts take no time.

Lines in: a JSON mapping with the `command`, its `arguments`, the `root` it runs in, a `log` file for both outputs, and
`file_limit` (bytes a file may have, or null); or `poll`, the id of a process. Lines out: the process id; or the exit
code, null while it runs.

Commands: "train", "script" (a file and its arguments), "torchrun", or a tool's name. torchrun is torch's own, but for
the ranks, which it forks too, where it would start a Python anew. No training draws losses.png, which takes longer than
the training; test_validation.py and test_training.py see it drawn.
"""

import gc
import importlib
import json
import multiprocessing
import os
import resource
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from prismsr.models.training import curves, launch
from prismsr.utils import command_line

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.subprocess_handler import SubprocessHandler

curves.plot_curves = lambda *_: None


class Rank:
    """A fork that runs a script, with as much of `subprocess.Popen` as torchrun uses."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        script = list(arguments[arguments.index("-u") + 1 :])
        self.process = multiprocessing.get_context("fork").Process(target=_run_rank, args=(script, environment))
        self.process.start()
        self.pid = self.process.pid

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self.process.exitcode

    def wait(self, timeout: float) -> None:
        """Wait for the end."""
        self.process.join(timeout)
        if self.process.is_alive():
            raise subprocess.TimeoutExpired("rank", timeout)


def _run_rank(script: list[str], environment: dict[str, str]) -> None:
    os.setsid()
    multiprocessing.set_start_method(None, force=True)  # as in a new Python, where this fork set "fork"
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not torchrun's
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(environment)
    _run_script(script)


def _run_script(words: list[str]) -> None:
    script = os.path.abspath(words[0])  # multiprocessing takes another as relative to where the server started
    sys.argv = [script, *words[1:]]
    sys.path[0] = os.path.dirname(script)
    runpy.run_path(script, run_name="__main__")


def _run_torchrun(arguments: list[str]) -> None:
    SubprocessHandler._popen = lambda self, arguments, environment: Rank(arguments, environment)  # type: ignore[method-assign,assignment,return-value]
    run.main(arguments)


def _run(order: dict[str, Any]) -> None:
    os.setsid()  # a group of its own, so that it can be killed with its workers, as by a power cut
    with open(order["log"], "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if order["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_limit"], order["file_limit"]))
    root, command, arguments = order["root"], order["command"], order["arguments"]
    os.chdir(root)
    if command == "train":
        sys.exit(launch.main(is_train=True, root=root, argv=arguments))
    if command in ("script", "torchrun"):
        sys.exit({"script": _run_script, "torchrun": _run_torchrun}[command](arguments))
    command_line.ROOT = Path(root)
    sys.exit(importlib.import_module(f"prismsr.tools.{command}").main(arguments))


def _poll(process: int) -> int | None:
    ended, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


if __name__ == "__main__":  # a spawned process of a command imports this file
    gc.freeze()  # what is here now is not looked through again when a fork ends, which took longer than most commands
    for line in sys.stdin:
        order = json.loads(line)
        if "poll" in order:
            print(json.dumps(_poll(order["poll"])), flush=True)
            continue
        process = os.fork()
        if process == 0:
            _run(order)
        print(process, flush=True)

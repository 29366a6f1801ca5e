"""A process that has imported everything and forks a command for each line it reads: starts take no time.

Lines in: a JSON mapping with the `command` ("train", or a tool's name), its `arguments`, the repository's `root`, a
`log` file for both outputs, and `file_limit` (bytes a file may have, or null). Lines out: the process id, then its exit
code.
"""

import gc
import importlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from prismsr.models.training import launch
from prismsr.utils import command_line


def _run(order: dict[str, Any]) -> None:
    os.setsid()  # a group of its own, so that it can be killed with its workers, as by a power cut
    with open(order["log"], "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if order["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_limit"], order["file_limit"]))
    os.chdir(order["root"])
    if order["command"] == "train":
        sys.exit(launch.main(is_train=True, root=order["root"], argv=order["arguments"]))
    command_line.ROOT = Path(order["root"])
    sys.exit(importlib.import_module(f"prismsr.tools.{order['command']}").main(order["arguments"]))


gc.freeze()  # what is here now is not looked through again when a fork ends, which took longer than most commands
for line in sys.stdin:
    process = os.fork()
    if process == 0:
        _run(json.loads(line))
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)

"""A process that has imported everything and forks a training for each line it reads: starts take no time.

Lines in: a JSON mapping with train.py's `arguments`, the repository's `root`, a `log` file for both outputs, and
`file_limit` (bytes a file may have, or null). Lines out: the process id, then its exit code.
"""

import json
import os
import resource
import sys
from typing import Any

from prismsr.models.training.launch import main


def _train(order: dict[str, Any]) -> None:
    os.setsid()  # a group of its own, so that it can be killed with its workers, as by a power cut
    with open(order["log"], "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if order["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_limit"], order["file_limit"]))
    sys.exit(main(is_train=True, root=order["root"], argv=order["arguments"]))


for line in sys.stdin:
    process = os.fork()
    if process == 0:
        _train(json.loads(line))
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)

"""How the ranks of one training agree: on what rank 0 chose, on the iteration after which all end, and on leaving."""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from prismsr.models.training.signals import stop_requested
from prismsr.utils.errors import UserError

import torch
from torch import distributed


def choose_on_first(choose: Callable[[], Any]) -> Any:
    """Return result of a function that rank 0 alone calls.

    Where it raises a UserError the other ranks leave, so that the message is told once.
    """
    if not distributed.is_initialized():
        return choose()
    told: list[Any] = [None, False]
    failure: UserError | None = None
    if distributed.get_rank() == 0:
        try:
            told = [choose(), False]
        except UserError as error:
            failure, told = error, [None, True]
    distributed.broadcast_object_list(told, src=0)
    if failure is not None:
        raise failure
    if told[1]:
        leave(2)
    return told[0]


def leave(code: int) -> None:
    """End this process, with this exit code, where it is one of several; alone, do nothing.

    Without the interpreter's closing steps: torch's threads for gloo now and then abort there, after all is done
    ("terminate called without an active exception"), which makes a good run a failed one; and those for nccl may wait
    forever for a rank that has died. Code 0 waits for the other ranks, so that none loses the store it meets at.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    if code == 0:
        distributed.barrier()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class StopVote:
    """After each iteration: has any rank been asked to end? All ranks get the same answer in the same iteration.

    Signals reach the ranks at different times, and a rank that ended an iteration before the others would leave them
    waiting for its gradients. The vote goes over gloo, since on nccl it would wait for the GPU.
    """

    def __init__(self) -> None:
        self.group = distributed.new_group(backend="gloo") if distributed.is_initialized() else None

    def signal(self) -> int:
        """Return the signal that a rank got, or 0."""
        own = stop_requested() or 0
        if self.group is None:
            return own
        vote = torch.tensor([own])
        distributed.all_reduce(vote, distributed.ReduceOp.MAX, group=self.group)
        return int(vote)

"""How the launchers' processes of torchrun or slurm keep in step while each of them runs one child after another."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prismsr.models.training.basicsr_patches import slurm_first_host

from torch.distributed import PrefixStore, TCPStore

_ENDED = "ended"
_POLL = 0.2
_LEAVE = 30.0


class Alone:
    """A single process: nobody to wait for."""

    rank = 0

    def port(self, index: int) -> int | None:
        """Return no rendezvous, no port."""
        return None

    def others_failed(self, index: int) -> bool:
        """Return False: nobody else is there."""
        return False

    def agree(self, index: int, code: int | None) -> int:
        """Return the exit code itself."""
        return code or 0


class Ranks:
    """Several processes that meet at a key-value store."""

    def __init__(self, store: Any, rank: int, world_size: int) -> None:
        self.store, self.rank, self.world_size = store, rank, world_size

    def port(self, index: int) -> int | None:
        """Wait for all processes, then return a port, free on rank 0's machine, where child `index` may meet."""
        self._gather(f"{index}/ready", "yes")
        if self.rank == 0:
            with socket.socket() as probe:
                probe.bind(("", 0))
                self.store.set(f"{index}/port", str(probe.getsockname()[1]))
        return int(self._get(f"{index}/port"))

    def others_failed(self, index: int) -> bool:
        """Return whether the child of another process has failed; ours may then wait for it in vain."""
        return bool(self.store.check([f"{index}/failed"]))

    def agree(self, index: int, code: int | None) -> int:
        """Exchange exit codes of child `index`; return the first that tells of a failure, else 0.

        None is that of a child that was ended because another process's failed.
        """
        if code:
            self.store.set(f"{index}/failed", "yes")
        codes = self._gather(f"{index}/code", _ENDED if code is None else str(code))
        return next((int(code) for code in codes if code not in (_ENDED, "0")), 0)

    def leave(self) -> None:
        """Leave the others: rank 0, whose process may hold the store, goes last."""
        self.store.set(f"left/{self.rank}", "yes")
        end = time.monotonic() + _LEAVE
        keys = [f"left/{rank}" for rank in range(self.world_size)] if self.rank == 0 else []
        while keys and not self.store.check(keys) and time.monotonic() < end:
            time.sleep(_POLL)

    def _gather(self, key: str, value: str) -> list[str]:
        self.store.set(f"{key}/{self.rank}", value)
        return [self._get(f"{key}/{rank}") for rank in range(self.world_size)]

    def _get(self, key: str) -> str:
        # Asked again and again, since the store's own waiting has a time limit and does not hear Ctrl-C.
        while not self.store.check([key]):
            time.sleep(_POLL)
        return str(self.store.get(key).decode())


@contextmanager
def meet(launcher: str, dist_params: Mapping[str, Any]) -> Iterator[Alone | Ranks]:
    """Bring the processes of the launcher, "none", "pytorch" or "slurm", together.

    `dist_params` is the first option file's; its `port` is where slurm's processes meet.
    """
    if launcher == "none":
        yield Alone()
        return
    if launcher == "slurm":
        rank, world_size = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_NTASKS"])
        address = slurm_first_host()
        port = int(dist_params.get("port") or os.environ.get("MASTER_PORT", "29500"))
    else:
        rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    hosted = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == str(True)  # torchrun keeps a store there
    store = TCPStore(address, port, is_master=rank == 0 and not hosted, wait_for_workers=False)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    ranks = Ranks(PrefixStore(f"prismsr/{attempt}", store), rank, world_size)
    yield ranks
    ranks.leave()

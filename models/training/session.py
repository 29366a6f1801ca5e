"""One training: what stands in place of parts of basicsr.train, so that a run can be cut anywhere and go on exactly.

BasicSR's loop stays as it is. It makes its parts by names that the session replaces, so that the session knows after
each iteration all that a checkpoint has to hold.
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from prismsr.data.loading.feed import CUDAFeed, Feed
from prismsr.data.loading.guarded import BadSamples
from prismsr.data.loading.loaders import create_loaders, describe_data
from prismsr.data.loading.sampler import SeededBatchSampler
from prismsr.metrics.preloading import load_metrics
from prismsr.models.training import signals
from prismsr.models.training.basicsr_patches import init_wandb_logger
from prismsr.models.training.checkpoint_files import OURS, CheckpointError, newest_valid, rank_file, read_state
from prismsr.models.training.log import TrainingLog
from prismsr.models.training.model_files import save_generator
from prismsr.models.training.rank_agreement import StopVote, choose_on_first
from prismsr.models.training.validation_images import check_validation_images
from prismsr.utils.errors import TrainingError, UserError
from prismsr.utils.rng import rng_state, set_rng_state
from prismsr.utils.run_record import describe_differences
from prismsr.utils.threads import keep_threads
from prismsr.utils.weights.files import WeightsError, read_file

import torch
from basicsr.models import build_model
from basicsr.utils import check_resume, get_root_logger
from basicsr.utils.dist_util import get_dist_info, master_only


class TrainingSession:
    """State of one training beyond its model, and the hooks that keep it.

    Attributes:
        iteration: number of iterations done.
        saved_iter: iteration of the newest checkpoint that this process has written or resumed from.
        validated: iteration of the last validation of each validation set.
    """

    def __init__(self) -> None:
        self.opt: dict[str, Any] = {}
        self.model: Any = None
        self.feed: Feed | None = None
        self.log: TrainingLog | None = None
        self.iteration = self.start_epoch = 0
        self.saved_iter: int | None = None
        self.validated: dict[str, int] = {}
        self.val_loaders: list[Any] = []
        self.tb_logger: Any = None
        self.data: dict[str, Any] = {}
        self.bad_samples: BadSamples
        self.sampler: SeededBatchSampler
        self._vote: StopVote

    def hook(self, pipeline: ModuleType) -> None:
        """Replace the names by which basicsr.train makes its parts."""
        replaced: Any = pipeline
        replaced.load_resume_state = self.load_resume_state
        replaced.create_train_val_dataloader = self.create_loaders
        replaced.build_model = self.build_model
        replaced.init_tb_logger = self.tensorboard
        replaced.init_wandb_logger = init_wandb_logger
        replaced.MessageLogger = self.message_logger
        replaced.CPUPrefetcher = lambda loader: self.make_feed(Feed, loader)
        replaced.CUDAPrefetcher = lambda loader, opt: self.make_feed(CUDAFeed, loader)

    def close(self) -> None:
        """End workers and progress bar, however the training ended."""
        if self.feed is not None:
            self.feed.close()
        if self.log is not None:
            self.log.close()

    # --------------------------------------------------------------------------- what the loop makes, in its order

    def load_resume_state(self, opt: dict[str, Any]) -> dict[str, Any] | None:
        """Return the training state to go on from, or None.

        BasicSR's takes the largest number without opening the file, and asks CUDA for a device.

        Raises:
            WeightsError: the state that was asked for cannot be used, or none of those that are there.
        """
        self.opt = opt
        path = choose_on_first(lambda: _choose_state(opt))
        if path is None:
            return None
        state = read_file(path)
        rank, world_size = get_dist_info()
        if rank > 0 and state.get(OURS, {}).get("world_size") == world_size:
            state[OURS]["local"] = read_file(rank_file(Path(path), rank))
        opt["path"]["resume_state"] = path
        _resume_networks(opt, state)
        self.iteration = self.saved_iter = state["iter"]
        self.start_epoch = state["epoch"]
        return state

    def create_loaders(self, opt: dict[str, Any], logger: Any) -> tuple[Any, ...]:
        """Create them as prismsr.data.loading.loaders does, with epochs enough for what is left of a resumed run."""
        loaders = create_loaders(opt, logger)
        self.sampler, self.val_loaders = loaders.train_sampler, loaders.val_loaders
        # With a smaller batch than before an epoch has more iterations, and the run may be past the last one by number
        left = math.ceil((loaders.total_iters - self.iteration) / len(self.sampler))
        loaders = loaders._replace(total_epochs=max(loaders.total_epochs, self.start_epoch + left + 1))
        train = opt["datasets"]["train"]
        self.data = describe_data(loaders.train_loader.dataset, train["batch_size_per_gpu"] * get_dist_info()[1])
        self.bad_samples = BadSamples(train.get("on_bad_sample", "stop"), train.get("max_bad_samples", 100))
        return loaders

    def build_model(self, opt: dict[str, Any]) -> Any:
        """Build the model and make it known to the session, and the session to it."""
        if self.val_loaders:  # before hours of training, not at the first validation
            metrics = (opt.get("val") or {}).get("metrics") or {}
            load_metrics(metrics)
            sets = [loader.dataset for loader in self.val_loaders]
            for note in choose_on_first(lambda: check_validation_images(sets, int(opt.get("scale") or 1), metrics)):
                get_root_logger().warning(note)
        self.model = build_model(opt)
        self.model.session = self
        return self.model

    @master_only
    def tensorboard(self, log_dir: str) -> Any:
        """Return TensorBoard's writer (rank 0); points after the iteration that the run starts from are taken back."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        return SummaryWriter(log_dir=log_dir, purge_step=self.iteration + 1 if self.saved_iter is not None else None)

    def message_logger(self, opt: dict[str, Any], start_iter: int, tb_logger: Any) -> TrainingLog:
        """Return the log, brought back to the iteration that the run starts from."""
        self.tb_logger = tb_logger
        self.log = TrainingLog(opt, start_iter, tb_logger)
        return self.log

    def make_feed(self, kind: type[Feed], loader: Any) -> Feed:
        """Return what hands the batches to the loop."""
        self.feed = kind(loader, self.unwrap, self.step_done, self.before_first_step)
        self.feed.go_on = self.iteration < int(self.opt["train"]["total_iter"])  # false: resumed at its end
        self._vote = StopVote()
        return self.feed

    # ------------------------------------------------------------------------------------------- while training

    @property
    def epoch(self) -> int:
        """Return epoch of the current iteration."""
        return self.feed.epoch if self.feed is not None else 0

    def before_first_step(self) -> None:
        """Make up for the validation that a run was cut in: its checkpoint is written before it."""
        signals.defer()
        val = self.opt.get("val")
        if val is None or self.iteration == 0 or self.iteration % val["val_freq"]:
            return
        for loader in self.val_loaders:
            self.model.validation(loader, self.iteration, self.tb_logger, val["save_img"])

    def step_done(self) -> bool:
        """Return after each iteration: end here where that was asked for. Returns whether there are iterations left."""
        self.iteration += 1
        if self.log is not None:
            self.log.tick(self.iteration)
        if number := self._vote.signal():
            self.save_now(self.iteration)
            raise signals.Interrupted(number)
        return self.iteration < int(self.opt["train"]["total_iter"])

    def unwrap(self, batch: Any) -> dict[str, Any]:
        """Return the batch itself; before a bad one is raised, what was trained is saved (alone: others are in a step).

        Raises:
            TrainingError: by the policy on bad samples.
        """
        try:
            return self.bad_samples.unwrap(batch)
        except UserError as error:
            if self.iteration and not self.opt["dist"]:
                self.save_now(self.iteration)
            raise TrainingError(f"After iteration {self.iteration}: {error}") from error

    def save_now(self, iteration: int) -> None:
        """Write a checkpoint of an iteration that has none yet."""
        if self.saved_iter != iteration:
            self.model.save(self.epoch, iteration)

    def save_skipped_step(self) -> None:
        """Write a checkpoint after a step without an update, on all ranks: its weights are the last good ones."""
        try:
            self.save_now(self.iteration + 1)
        except CheckpointError as error:  # the weights themselves are not finite
            print(error, file=sys.stderr, flush=True)

    def validate(self, loader: Any, iteration: int, run: Callable[[], None]) -> None:
        """Run a validation, once for each set and iteration; BasicSR's closing one repeats the last.

        Interrupted, it leaves a checkpoint of its iteration, from which a resumed run validates again.
        """
        name = loader.dataset.opt["name"]
        if self.validated.get(name) == iteration:
            return
        try:
            run()
        except signals.Interrupted:
            self.save_now(iteration)
            raise
        self.validated[name] = iteration
        self._save_best(name, iteration)

    def _save_best(self, name: str, iteration: int) -> None:
        metric = self.opt["val"].get("save_best")
        first = self.val_loaders and name == self.val_loaders[0].dataset.opt["name"]
        if metric and first and self.model.best_metric_results[name][metric]["iter"] == iteration:
            get_root_logger().info(f"Best {metric} so far: saving net_g_best.")
            save_generator(self.model, "best")

    # --------------------------------------------------------------------------------------------- checkpoints

    def shared_state(self) -> dict[str, Any]:
        """Return what all ranks have in common, for the training state (rank 0)."""
        if self.log is not None:
            self.log.sync()
        return {
            "samples": self.feed.taken if self.feed is not None else 0,
            "data": self.data,
            "threads": torch.get_num_threads(),
            "validated": dict(self.validated),
            "best_metric_results": getattr(self.model, "best_metric_results", {}),
        }

    def local_state(self) -> dict[str, Any]:
        """Return what each rank has to itself: generators, and what the model keeps (scaler, degradation's pool)."""
        state = {"rng": rng_state(), "bad_samples": self.bad_samples.state()}
        if hasattr(self.model, "training_state"):
            state["model"] = self.model.training_state()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `shared_state` and `local_state` gave, for a state of ours or of BasicSR's."""
        ours = state.get(OURS, {})
        self.sampler.pass_over(state["epoch"], ours.get("samples", 0))
        self.validated = dict(ours.get("validated", {}))
        if ours.get("best_metric_results"):
            self.model.best_metric_results = ours["best_metric_results"]
        _tell_other_data(ours.get("data", {}), self.data)
        if keep_threads(ours.get("threads")):
            text = "This run goes on with %d threads, as it began; OMP_NUM_THREADS=N changes that, and the last digits."
            get_root_logger().info(text, torch.get_num_threads())
        local = ours.get("local")
        if not local or ours["world_size"] != get_dist_info()[1]:
            _tell_inexact(ours)
            return
        self.bad_samples.load_state(local["bad_samples"])
        if "model" in local:
            self.model.load_training_state(local["model"])
        set_rng_state(local["rng"])


def _choose_state(opt: dict[str, Any]) -> str | None:
    """Return the training state to go on from: the newest that is whole, or the one that the option file names."""
    path = opt["path"]
    models = Path(path["models"])
    if opt["auto_resume"]:
        found = newest_valid(
            Path(path["training_states"]), models, lambda text: print(text, file=sys.stderr, flush=True)
        )
        if found is not None:
            return str(found[0])
    if path.get("resume_state"):
        state = Path(path["resume_state"])
        try:
            read_state(state, models)
        except WeightsError as error:
            raise WeightsError(f"{error} {_other_experiment(state, opt)}".rstrip()) from error
        if text := _other_experiment(state, opt):
            print(text, file=sys.stderr, flush=True)
        return str(state)
    return None


def _other_experiment(state: Path, opt: dict[str, Any]) -> str:
    """Say so where a training state is not one of this experiment; as in BasicSR, its networks are this one's."""
    if state.resolve().parent == Path(opt["path"]["training_states"]).resolve():
        return ""
    return (
        f"path.resume_state, {state}, is of another experiment than {opt['name']}; its networks are looked for in "
        f"{opt['path']['models']}. To begin a new run from its weights, name them by path.pretrain_network_g instead."
    )


def _resume_networks(opt: dict[str, Any], state: dict[str, Any]) -> None:
    """Take the networks of a training state; with LoRA net_g's base from where it was, and its adapter from the state.

    A network that is not in the state, since it is not trained, stays what it was.

    Raises:
        WeightsError: the state was saved with LoRA and the option file has none.
    """
    path, iteration = opt["path"], state["iter"]
    base = {key: path[key] for key in ("pretrain_network_g", "param_key_g") if key in path}
    saved = state.get(OURS, {}).get("networks", {})
    names = [key.removeprefix("network_") for key in opt if key.startswith("network_")]
    frozen = [name for name in names if saved and f"net_{name}_{iteration}.pth" not in saved]
    kept = {key: path.get(key) for name in frozen for key in (f"pretrain_network_{name}", f"param_key_{name}")}
    check_resume(opt, iteration)
    path |= {key: value for key, value in kept.items() if value is not None}
    adapter = f"net_g_lora_{iteration}.pth"
    if "network_g" in (path.get("ignore_resume_networks") or ()):
        return
    if opt.get("lora") is not None:
        path |= {**base, "resume_lora_g": str(Path(path["models"], adapter))}
        print(f"lora: net_g is {base.get('pretrain_network_g')} with the adapter {path['resume_lora_g']}")
    elif adapter in saved:
        raise WeightsError(
            f"{path['resume_state']} was saved with lora, a section that the option file no longer has. Put it back, "
            f"or begin a new run from the merged network, path.pretrain_network_g: .../net_g_{iteration}.pth."
        )


def _tell_other_data(then: dict[str, Any], now: dict[str, Any]) -> None:
    """Warn where a run goes on with other training data; older states and BasicSR's say nothing of them."""
    if then and then != now:
        text = describe_differences(then, now)
        get_root_logger().warning(
            f"This run goes on with other training data than its training state had ({text}): its epoch goes on at the "
            "same number of samples, but not with the same samples."
        )


def _tell_inexact(ours: dict[str, Any]) -> None:
    if ours:
        why = f"it was saved by {ours['world_size']} processes: random generators and pools start anew"
    else:
        why = "it was saved by another trainer: its epoch begins anew, as do random generators and best metrics"
    get_root_logger().warning(f"This run goes on from its training state, but not bit for bit, since {why}.")

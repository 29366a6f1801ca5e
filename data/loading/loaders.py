"""Datasets and loaders of a training, in place of basicsr.train.create_train_val_dataloader."""

import hashlib
import logging
import math
from pathlib import Path
from typing import Any, NamedTuple

from prismsr.data.loading.guarded import GuardedDataset, collate
from prismsr.data.loading.sampler import SeededBatchSampler
from prismsr.data.loading.workers import TrainLoader, start_worker
from prismsr.utils.errors import OptionError

import torch
from basicsr.data import build_dataset
from torch.utils.data import DataLoader


class Loaders(NamedTuple):
    """What BasicSR's training loop starts from.

    Attributes:
        train_loader: endless; gives `Loaded` batches.
        train_sampler: its batch sampler; `set_epoch` says where the next iteration begins.
        val_loaders: one for each validation set, of one image a batch.
        total_epochs: epochs in which total_iters are done, the last one perhaps in part.
        total_iters: iterations of the whole training.
    """

    train_loader: DataLoader[Any]
    train_sampler: SeededBatchSampler
    val_loaders: list[DataLoader[Any]]
    total_epochs: int
    total_iters: int


def create_loaders(opt: dict[str, Any], logger: logging.Logger) -> Loaders:
    """Build every dataset of the parsed options, with its loader; the logger gets the same lines as from BasicSR.

    Raises:
        OptionError: a section of `datasets` that is neither train nor val; none called train; or a training set that
            does not fill one batch.
    """
    train_loader, val_loaders = None, []
    for key, dataset_opt in opt["datasets"].items():
        if key == "train":
            train_loader = create_train_loader(dataset_opt, opt)
        elif key.split("_")[0] == "val":
            val_loaders.append(create_val_loader(dataset_opt))
            count = len(val_loaders[-1].dataset)  # type: ignore[arg-type]
            logger.info(f"Number of val images/folders in {dataset_opt['name']}: {count}")
        else:
            raise OptionError(f"datasets.{key}: no such phase; allowed: train, val, val_2, val_3, ...")
    if train_loader is None:
        raise OptionError("datasets: no section is called train")
    sampler = train_loader.batch_sampler
    assert isinstance(sampler, SeededBatchSampler)
    total_iters = int(opt["train"]["total_iter"])
    total_epochs = math.ceil(total_iters / len(sampler))
    _log_statistics(logger, opt, sampler, total_epochs, total_iters)
    return Loaders(train_loader, sampler, val_loaders, total_epochs, total_iters)


def _log_statistics(
    logger: logging.Logger, opt: dict[str, Any], sampler: SeededBatchSampler, total_epochs: int, total_iters: int
) -> None:
    logger.info(
        "Training statistics:"
        f"\n\tNumber of train images: {len(sampler.dataset)}"
        f"\n\tDataset enlarge ratio: {sampler.ratio}"
        f"\n\tBatch size per gpu: {opt['datasets']['train']['batch_size_per_gpu']}"
        f"\n\tWorld size (gpu number): {opt['world_size']}"
        f"\n\tRequire iter number per epoch: {len(sampler)}"
        f"\n\tTotal epochs: {total_epochs}; iters: {total_iters}."
    )


def create_train_loader(dataset_opt: dict[str, Any], opt: dict[str, Any]) -> TrainLoader:
    """Return this section's training dataset, guarded, with an endless loader; OptionError without a whole batch."""
    seed = opt.get("manual_seed") or 0
    dataset = GuardedDataset(build_dataset(dataset_opt), seed, dataset_opt.get("on_bad_sample", "stop"), "train")
    # without torch.distributed one process feeds all GPUs
    gpus = 1 if opt["dist"] else max(opt["num_gpu"], 1)
    sampler = SeededBatchSampler(
        dataset,
        dataset_opt["batch_size_per_gpu"] * gpus,
        opt["world_size"],
        opt["rank"],
        dataset_opt.get("dataset_enlarge_ratio", 1),
        seed,
    )
    _require_a_batch(dataset_opt, sampler, gpus * opt["world_size"])
    settings = {"num_workers": dataset_opt["num_worker_per_gpu"] * gpus, **_common(dataset_opt)}
    if settings["num_workers"]:
        settings["persistent_workers"] = bool(dataset_opt.get("persistent_workers"))
        settings["prefetch_factor"] = max(2, dataset_opt.get("num_prefetch_queue", 1))
    return TrainLoader(dataset, batch_sampler=sampler, collate_fn=collate, worker_init_fn=start_worker, **settings)


def create_val_loader(dataset_opt: dict[str, Any]) -> DataLoader[Any]:
    """Return a validation dataset with a loader of one image a batch, in this process, as BasicSR's."""
    dataset = GuardedDataset(build_dataset(dataset_opt), dataset_opt.get("manual_seed") or 0, phase="val")
    return DataLoader(dataset, batch_size=1, shuffle=False, num_workers=0, **_common(dataset_opt))


def describe_data(dataset: Any, batch_size: int) -> dict[str, Any]:
    """Return what a training state says of its training data: number of images, a hash of their names, batch size.

    The hash is "" where the dataset, guarded or not, does not tell them. The batch size is of all processes together.

    Example:
        >>> describe_data(["a", "b"], 4)
        {'images': 2, 'names': '', 'batch size': 4}
    """
    names = _names(dataset)
    digest = hashlib.sha256("\n".join(names).encode("utf8", "surrogateescape")).hexdigest()[:16] if names else ""
    return {"images": len(dataset), "names": digest, "batch size": batch_size}


def _names(dataset: Any) -> list[str]:
    groups = getattr(dataset, "groups", None)
    found = getattr(groups, "names", None) or getattr(dataset, "keys", None) or getattr(dataset, "paths", None)
    if not isinstance(found, list):
        return []
    files = [next(iter(each.values())) if isinstance(each, dict) else each for each in found]  # BasicSR's pairs
    return [str(file) if found is not getattr(dataset, "paths", None) else Path(file).name for file in files]


def _common(dataset_opt: dict[str, Any]) -> dict[str, Any]:
    # each iterator draws a number from the loader's generator, by default from torch's global one
    pin_memory = bool(dataset_opt.get("pin_memory")) and torch.cuda.is_available()  # without CUDA torch only warns
    return {"pin_memory": pin_memory, "generator": torch.Generator()}


def _require_a_batch(dataset_opt: dict[str, Any], sampler: SeededBatchSampler, gpus: int) -> None:
    """Refuse a dataset with which no step could be made; BasicSR trains nothing then, and reports success."""
    if len(sampler):
        return
    needed = math.ceil(sampler.step / max(1, len(sampler.dataset)))
    raise OptionError(
        f"datasets.train ({dataset_opt['name']}) has {len(sampler.dataset)} images and dataset_enlarge_ratio "
        f"{sampler.ratio}, which gives {sampler.draws} samples an epoch; a step takes {sampler.step} "
        f"(batch_size_per_gpu {dataset_opt['batch_size_per_gpu']} on {gpus} process{'es' * (gpus > 1)} or GPUs). "
        f"Set dataset_enlarge_ratio to {needed} or more, or a smaller batch_size_per_gpu."
    )

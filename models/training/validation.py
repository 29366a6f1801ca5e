"""Validation shared among the ranks: each takes every N-th image, and all end with the same figures as one alone."""

import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prismsr.models.training.log import append_metrics
from prismsr.models.training.signals import Interrupted, stop_requested
from prismsr.models.training.validation_images import describe_lack
from prismsr.utils.errors import DataError, OptionError, TrainingError, UserError
from prismsr.utils.options.entries import METRIC_DATA
from prismsr.utils.options.signatures import takes
from prismsr.utils.rng import rng_state, set_rng_state
from prismsr.utils.weights.files import WeightsError

import numpy as np
import torch
from basicsr.metrics import calculate_metric
from basicsr.models.base_model import BaseModel
from basicsr.utils import get_root_logger, imwrite, tensor2img
from basicsr.utils.dist_util import get_dist_info
from basicsr.utils.registry import METRIC_REGISTRY
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm


@dataclass
class Share:
    """What one rank has to tell the others.

    Attributes:
        values: each metric of each of its images, by the image's index; nan where it failed.
        failures: which metrics failed for an image, and why, by the image's index.
        error: why it could not go on.
        signal: the signal that made it leave images out.
    """

    values: dict[int, dict[str, float]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    error: str | None = None
    signal: int | None = None


def validate(model: BaseModel, dataloader: DataLoader, current_iter: Any, tb_logger: Any, save_img: bool) -> None:
    """Measure a model on a validation set; stands in for SRModel.nondist_validation, and is called on every rank.

    The same figures, log lines and files as BasicSR's. Rank r of N takes the images r, r+N, ...; the mean is taken over
    all images in their order, so that N ranks report what one does, to the bit. Random numbers of an image (a sampler's
    noise) come from (manual_seed, index of the image). The global generators, the networks' train/eval modes and their
    wrappers are afterwards as they were. While training, rank 0 also keeps metrics.csv and draws losses.png. A metric
    that fails for an image is nan there and told by a warning; its mean is over the other images. With several
    references of an image (gt_references, (1, P, 3, H, W)), a metric that compares with GT is the mean over these, then
    over the images. Where neither images nor metrics are wanted, a training computes none. When testing, `current_iter`
    may be anything.

    Raises:
        DataError: the set is empty; also what the dataset itself raises.
        TrainingError: another rank failed; the message says which, and why.
        Interrupted: a rank was asked to end before its last image; nothing is recorded then.
    """
    rank, _ = get_dist_info()
    name, count = dataloader.dataset.opt["name"], len(dataloader.dataset)  # type: ignore[attr-defined, arg-type]
    if count == 0:
        raise DataError(f"validation set {name!r} holds no images.")
    if model.opt["is_train"] and not save_img and not model.opt["val"].get("metrics"):
        return
    shares = _measure(model, dataloader, current_iter, save_img)
    values = {metric: _values(shares, count, metric) for metric in model.opt["val"].get("metrics") or {}}
    counts = {metric: len(found) for metric, found in values.items() if len(found) < count}
    if model.opt["val"].get("metrics") is not None:
        model.metric_results = {metric: _mean(found) for metric, found in values.items()}
        model._initialize_best_metric_results(name)
        for metric, value in model.metric_results.items():
            model._update_best_metric_result(name, metric, value, current_iter)
        if rank == 0:
            _tell_failures(shares, name, counts, count)
            model._log_validation_metric_values(current_iter, name, tb_logger)
    if rank == 0 and model.opt["is_train"]:
        _keep(model, name, current_iter, counts)


# ------------------------------------------------------------------------------------------------ one rank's images


def _measure(model: BaseModel, dataloader: DataLoader, current_iter: Any, save_img: bool) -> list[Share]:
    """Measure this rank's images and return the shares of all ranks; raise what happened to one of them."""
    share = Share()
    failure: Exception | None = None
    with _unwrap_networks(model):
        try:
            _measure_share(model, dataloader, current_iter, save_img, share)
        except Interrupted as interruption:
            share.signal = interruption.number
        except Exception as error:  # told to the others, who would wait for this rank, then raised
            failure, share.error = error, _describe(error)
    shares = _gather(share)
    _raise_what_happened(shares, failure)
    return shares


def _measure_share(model: BaseModel, dataloader: DataLoader, current_iter: Any, save_img: bool, share: Share) -> None:
    rank, world_size = get_dist_info()
    dataset = dataloader.dataset
    count, name = len(dataset), dataset.opt["name"]  # type: ignore[arg-type, attr-defined]
    indices = range(rank, count, world_size)
    batches = iter(_share_loader(dataloader, indices))
    shown = rank == 0 and model.opt["val"].get("pbar", False) and sys.stderr.isatty()
    with tqdm(total=count, unit="image", leave=not model.opt["is_train"], disable=not shown) as bar:
        for index in indices:
            if (signal := stop_requested()) is not None:
                share.signal = signal
                return
            _seed(model, index)
            batch = next(batches)
            image_name = Path(batch["lq_path"][0]).stem
            path = _image_path(model.opt, name, image_name, current_iter) if save_img else None
            share.values[index], failed = _measure_image(model, batch, path)
            if failed:
                share.failures[index] = f"{image_name}: {'; '.join(failed)}"
            bar.set_description(f"Test {image_name}", refresh=False)
            bar.update(min(world_size, count - bar.n))


def _share_loader(dataloader: DataLoader, indices: Sequence[int]) -> DataLoader:
    """Return the loader's images of these indices, one by one, drawing nothing from the global generators."""
    return DataLoader(
        dataloader.dataset,
        batch_size=1,
        sampler=list(indices),
        num_workers=dataloader.num_workers if len(indices) else 0,
        collate_fn=dataloader.collate_fn,
        pin_memory=dataloader.pin_memory,
        worker_init_fn=dataloader.worker_init_fn,
        multiprocessing_context=dataloader.multiprocessing_context if len(indices) else None,
        generator=torch.Generator().manual_seed(0),
    )


def _measure_image(model: BaseModel, batch: Any, path: Path | None) -> tuple[dict[str, float], list[str]]:
    """Run the model on an image, write the result to `path`, and measure it; also return what failed and why."""
    _forget(model)  # GT of the last training batch would pass for that of an image without one
    model.feed_data(batch)
    model.test()
    visuals = model.get_current_visuals()
    _forget(model)
    data = {"img": tensor2img([visuals["result"]])}
    if "gt" in visuals:
        data["img2"] = tensor2img([visuals["gt"]])
    if path is not None:
        imwrite(data["img"], str(path))
    references = [tensor2img([image]) for image in batch["gt_references"][0]] if "gt_references" in batch else []
    values, failed = {}, []
    for name, options in (model.opt["val"].get("metrics") or {}).items():
        try:
            values[name], reason = _metric(data, references, options), "it is not a number"
        except (WeightsError, OptionError):  # not the image's fault
            raise
        except Exception as error:  # one image is not worth a training, which would end here at each resuming
            values[name] = math.nan
            reason = describe_lack(data["img"].shape[:2], options) or _describe(error)
        if math.isnan(values[name]):
            failed.append(f"{name}: {reason}")
    return values, failed


def _metric(data: Mapping[str, Any], references: Sequence[Any], options: Mapping[str, Any]) -> float:
    """Return a metric of one image; the mean over the ground truths where it compares and there are several."""
    if references and takes(METRIC_REGISTRY.get(options["type"]), METRIC_DATA[1]):
        return _mean([float(calculate_metric({**data, "img2": image}, options)) for image in references])
    return float(calculate_metric(data, options))


def _mean(values: Sequence[float]) -> float:
    total = 0.0
    for value in values:  # not sum(), which newer Pythons round differently
        total += value
    return total / len(values) if values else math.nan


def _forget(model: BaseModel) -> None:
    for name in ("batch", "lq", "gt", "output"):
        vars(model).pop(name, None)


def _image_path(opt: Mapping[str, Any], dataset: str, image: str, current_iter: Any) -> Path:
    folder = Path(opt["path"]["visualization"])
    if opt["is_train"]:
        return folder / image / f"{image}_{current_iter}.png"
    return folder / dataset / f"{image}_{opt['val'].get('suffix') or opt['name']}.png"


def _seed(model: BaseModel, index: int) -> None:
    seed = int(np.random.SeedSequence([model.opt.get("manual_seed") or 0, index]).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if model.device.type == "cuda":
        torch.cuda.manual_seed(seed)  # this process's device alone


@contextmanager
def _unwrap_networks(model: BaseModel) -> Iterator[None]:
    """Unwrap networks from DDP inside, alike on all ranks. After it everything is as it was before."""
    generators = rng_state()
    networks = {name: net for name, net in vars(model).items() if isinstance(net, nn.Module)}
    modes = [(module, module.training) for net in networks.values() for module in net.modules()]
    try:
        for name, net in networks.items():
            # a wrapper's forward is a step that all ranks take together, and they have different numbers of images
            if isinstance(net, DistributedDataParallel):
                setattr(model, name, net.module)
            if name.startswith("net_g"):
                _spread_buffers(net)
        yield
    finally:
        set_rng_state(generators)
        for name, net in networks.items():
            setattr(model, name, net)
        for module, training in modes:
            module.training = training
        _forget(model)
        if model.device.type == "cuda":
            torch.cuda.empty_cache()


@torch.no_grad()
def _spread_buffers(net: nn.Module) -> None:
    # running statistics are those of each rank's own batches since the last forward; rank 0's are the ones saved
    if distributed.is_initialized():
        for buffer in net.buffers():
            distributed.broadcast(buffer, 0)


# ------------------------------------------------------------------------------------------------ all ranks


def _gather(share: Share) -> list[Share]:
    _, world_size = get_dist_info()
    if world_size == 1:
        return [share]
    shares: list[Any] = [None] * world_size
    distributed.all_gather_object(shares, share)
    return shares


def _describe(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def _raise_what_happened(shares: Sequence[Share], failure: Exception | None) -> None:
    if failure is not None:
        raise failure
    for rank, share in enumerate(shares):
        if share.error is not None:
            raise TrainingError(f"rank {rank}: {share.error}")
    for share in shares:
        if share.signal is not None:
            raise Interrupted(share.signal)


def _values(shares: Sequence[Share], count: int, metric: str) -> list[float]:
    """The values of a metric in the order of the images, without those of images for which it failed."""
    values = {index: figures for share in shares for index, figures in share.values.items()}
    return [value for index in range(count) if not math.isnan(value := values[index][metric])]


def _tell_failures(shares: Sequence[Share], dataset: str, counts: Mapping[str, int], count: int) -> None:
    failures = {index: text for share in shares for index, text in share.failures.items()}
    for _, text in sorted(failures.items()):
        get_root_logger().warning(f"Validation {dataset}: no value for {text}")
    for metric, measured in counts.items():
        get_root_logger().warning(f"Validation {dataset}: {metric} is over {measured} of {count} images")


def _keep(model: BaseModel, dataset: str, current_iter: int, counts: Mapping[str, int]) -> None:
    """Add the figures to metrics.csv and draw the curves anew."""
    metrics = model.opt["val"].get("metrics") or {}
    if metrics:
        append_metrics(model.opt, dataset, current_iter, model.metric_results, counts)
    try:
        from prismsr.models.training.curves import plot_curves  # matplotlib takes its time: not in every process

        better = {name: options.get("better", "higher") for name, options in metrics.items()}
        plot_curves(Path(model.opt["path"]["experiments_root"]), better)
    except Exception as error:  # a picture is not worth a training
        get_root_logger().warning(f"losses.png could not be drawn: {_describe(error)}")

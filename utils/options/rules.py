"""What has to agree between sections of an option file. A rule yields the problems it sees and passes over the rest."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prismsr.utils.names import did_you_mean
from prismsr.utils.options.basicsr_tables import DATASETS, DegradationTop, SRTrainOptions
from prismsr.utils.options.channels import check_channels
from prismsr.utils.options.entries import METRIC_DATA, find_registered
from prismsr.utils.options.named import dataset_schema, named_losses
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.schema import DatasetOptions, TrainOptions
from prismsr.utils.options.sections import number, section
from prismsr.utils.options.signatures import default_of, takes

Rule = Callable[[Mapping[str, Any], bool, type[TrainOptions] | None], Iterator[Problem]]


def _datasets(opt: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], type[DatasetOptions] | None]]:
    for key, entry in section(opt, "datasets").items():
        if isinstance(entry, dict):
            yield join("datasets", key), entry, dataset_schema(entry)


def _arch(opt: Mapping[str, Any], network: str) -> Any:
    return find_registered("arch", str(section(opt, network).get("type")))


def one_scale(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check that `scale` is there for datasets that read it, and is network_g's (a class may fix it as SCALE)."""
    scale = number(opt.get("scale"))
    if scale is None:
        used = any(dataset is not None and dataset.USES_SCALE for _, _, dataset in _datasets(opt))
        if used and opt.get("scale") is None:
            yield Problem("scale", "is required (upscaling factor; the datasets read it)")
        return
    arch = _arch(opt, "network_g")
    fixed = getattr(arch, "SCALE", scale)
    if fixed != scale:
        yield Problem("scale", f"must be {fixed}, the only one that {arch.__name__} has; got {scale}")
    for key in ("upscale", "scale"):
        if arch is None or not takes(arch, key):
            continue
        given = section(opt, "network_g").get(key, default_of(arch, key))
        if number(given) is not None and given != scale:
            origin = "is" if key in section(opt, "network_g") else f"is not given and {arch.__name__}'s default is"
            yield Problem(join("network_g", key), f"{origin} {given}, but scale is {scale}")


def patch_sizes(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check that GT patches fit, of the dataset and of BasicSR's models that degrade themselves."""
    if is_train:
        yield from check_patch(opt.get("gt_size"), "gt_size", opt)
        yield from check_patch(section(opt, "datasets", "train").get("gt_size"), "datasets.train.gt_size", opt)


def check_patch(size: Any, key: str, opt: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield where a GT patch is no multiple of the scale, or not as large as a discriminator of fixed size expects.

    `size` is the side at the key path `key`; anything but a number is passed over.
    """
    scale = number(opt.get("scale"))
    if number(size) is None:
        return
    if scale and size % scale:
        yield Problem(key, f"must be a multiple of scale, {scale}; got {size}")
    generator = _arch(opt, "network_g")
    if hasattr(generator, "check_patch"):
        yield from generator.check_patch(section(opt, "network_g"), "network_g", size, key)
    for loss, entry, at in named_losses(opt):
        if hasattr(loss, "check_patch"):
            yield from loss.check_patch(entry, at, size, key)
    for network in (str(name) for name in opt if str(name).startswith("network_d")):
        arch = _arch(opt, network)
        if arch is not None and takes(arch, "input_size"):
            expected = section(opt, network).get("input_size", default_of(arch, "input_size"))
            if expected != size:
                yield Problem(join(network, "input_size"), f"is {expected}, but {key} is {size}")


def lq_source(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check that BasicSR's models that degrade themselves get kernels, or without high_order_degradation LQ images."""
    entry = section(opt, "datasets", "train")
    dataset = dataset_schema(entry)
    if not is_train or schema is None or not issubclass(schema.TOP, DegradationTop) or dataset is None:
        return
    degrades = opt.get("high_order_degradation") is not False
    if degrades and "kernel_list" not in dataset.model_fields:
        yield Problem("high_order_degradation", f"must be false: {entry['type']} gives no blur kernels")
    if not degrades and "dataroot_lq" not in dataset.model_fields:
        text = "gives no LQ images; with high_order_degradation: false it has to, as RealESRGANPairedDataset does"
        yield Problem("datasets.train.type", text)


def loading(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check loader settings that only work together."""
    for key, entry, dataset in _datasets(opt):
        if entry.get("prefetch_mode") == "cuda" and entry.get("pin_memory") is not True:
            yield Problem(join(key, "pin_memory"), "must be true with prefetch_mode: cuda")
        workers = entry.get("num_worker_per_gpu") if key == "datasets.train" else 0  # BasicSR validates without workers
        if entry.get("persistent_workers") is True and workers == 0:
            yield Problem(join(key, "persistent_workers"), "must be false where there are no workers")
        if dataset in DATASETS.values() and section(entry, "io_backend").get("type") == "lmdb":
            for name, value in entry.items():
                if name.startswith("dataroot") and isinstance(value, str) and not value.endswith(".lmdb"):
                    yield Problem(join(key, name), f"must end in .lmdb with io_backend lmdb; got {value}")


def accumulation(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check that a process's batch can be divided into train.accum_iter equal parts."""
    batch = number(section(opt, "datasets", "train").get("batch_size_per_gpu"))
    parts = number(section(opt, "train").get("accum_iter"))
    if is_train and batch and parts and parts > 0 and batch % parts:
        yield Problem("train.accum_iter", f"must divide datasets.train.batch_size_per_gpu, {batch}; got {parts:g}")


def schedule(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check that the learning rate's schedule covers the training."""
    total = number(section(opt, "train").get("total_iter"))
    entry = section(opt, "train", "scheduler")
    periods, milestones = entry.get("periods"), entry.get("milestones")
    if total is None:
        return
    if isinstance(periods, list) and all(number(item) is not None for item in periods) and sum(periods) < total:
        yield Problem("train.scheduler.periods", f"must add up to total_iter, {total}, or more; got {sum(periods)}")
    late = [item for item in milestones if (number(item) or 0) > total] if isinstance(milestones, list) else []
    if late:
        text = f"{', '.join(map(str, late))}: beyond total_iter, {total}, and never reached"
        yield Problem("train.scheduler.milestones", text, "note")


def some_loss(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check that there is something to learn from."""
    train = section(opt, "train")
    if not is_train or schema is None or not train:
        return
    if schema is SRTrainOptions and not train.get("pixel_opt") and not train.get("perceptual_opt"):
        yield Problem("train", f"{opt.get('model_type')} needs pixel_opt or perceptual_opt")
    if isinstance(train.get("losses"), dict) and not any(train["losses"].values()):
        yield Problem("train.losses", "lists no loss")


def discriminators(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check that the discriminators that terms play against are there, each with an optimiser."""
    train = section(opt, "train")
    played = set()
    for loss, entry, key in named_losses(opt):
        if "discriminators" in getattr(loss, "inputs", ()) and takes(loss, "discriminator"):
            net = str(entry.get("discriminator", default_of(loss, "discriminator")))
            played.add(net)
            if opt.get(f"network_{net}") is None:
                there = (str(name) for name, value in opt.items() if value is not None)
                networks = [name.removeprefix("network_") for name in there if name.startswith("network_d")]
                known = did_you_mean(net, networks) if networks else ""
                yield Problem(join(key, "discriminator"), f"{net!r}: there is no network_{net}{known}")
    if "losses" in train:
        yield from _discriminators(opt, played)


def _discriminators(opt: Mapping[str, Any], played: set[str]) -> Iterator[Problem]:
    for key in (str(key) for key in opt if str(key).startswith("network_d") and opt[key] is not None):
        net = key.removeprefix("network_")
        if section(opt, "train").get(f"optim_{net}") is None:
            yield Problem(f"train.optim_{net}", f"is required (optimiser of {key})")
        if net not in played:
            yield Problem(key, "no loss plays against this network, so that it is never trained", "note")


def metric_data(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check that a metric that compares with the GT has datasets with one."""
    without = [
        key
        for key, _, dataset in _datasets(opt)
        if key != "datasets.train" and dataset is not None and "dataroot_gt" not in dataset.model_fields
    ]
    for name, entry in section(opt, "val", "metrics").items():
        metric = find_registered("metric", str(entry.get("type"))) if isinstance(entry, dict) else None
        if without and metric is not None and takes(metric, METRIC_DATA[1]) and default_of(metric, "img2") is None:
            yield Problem(join("val.metrics", name), f"compares with GT images, which {', '.join(without)} has not")


def best_metric(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check that `val.save_best` is one of the metrics."""
    best = section(opt, "val").get("save_best")
    metrics = [name for name, entry in section(opt, "val", "metrics").items() if entry is not None]
    if isinstance(best, str) and best not in metrics:
        yield Problem("val.save_best", f"no metric in val.metrics is called {best!r}{did_you_mean(best, metrics)}")


def wandb(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check that wandb has TensorBoard's files to follow."""
    logger = section(opt, "logger")
    if section(logger, "wandb").get("project") is not None and logger.get("use_tb_logger") is not True:
        yield Problem("logger.use_tb_logger", "must be true for wandb")


RULES: tuple[Rule, ...] = (
    one_scale,
    patch_sizes,
    check_channels,
    lq_source,
    loading,
    accumulation,
    schedule,
    some_loss,
    discriminators,
    metric_data,
    best_metric,
    wandb,
)

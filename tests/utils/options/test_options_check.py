"""The check of a whole option file: what it accepts, each kind of problem, and all of them at once."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from prismsr.utils.options.check import check_options
from prismsr.utils.options.files import load_options, load_with_lines
from prismsr.utils.options.problems import Problem, errors_among, report
from prismsr.utils.options.schema import DatasetOptions, LossEntry, TrainOptions
from prismsr.utils.options.yaml_loader import read_yaml

import pytest
import yaml
from basicsr.utils.registry import DATASET_REGISTRY, MODEL_REGISTRY
from option_files import PAIRED_REAL_ESRGAN, change
from pydantic import Field

# Every key that BasicSR 1.4.2's documentation and code know for this model.
STOCK_ESRGAN = """
name: stock_esrgan
model_type: ESRGANModel
scale: 4
num_gpu: auto
manual_seed: 0
datasets:
  train:
    name: pairs
    type: PairedImageDataset
    dataroot_gt: data/gt
    dataroot_lq: data/lq
    filename_tmpl: '{}'
    meta_info_file: ~
    io_backend: {type: disk}
    gt_size: 128
    use_hflip: true
    use_rot: true
    use_shuffle: true
    num_worker_per_gpu: 6
    batch_size_per_gpu: 16
    dataset_enlarge_ratio: 100
    prefetch_mode: ~
  val:
    name: pairs
    type: PairedImageDataset
    dataroot_gt: data/gt
    dataroot_lq: data/lq
    io_backend: {type: disk}
  val_2: {name: more, type: PairedImageDataset, dataroot_gt: data/gt, dataroot_lq: data/lq, io_backend: {type: disk}}
network_g: {type: RRDBNet, num_in_ch: 3, num_out_ch: 3, num_feat: 64, num_block: 23}
network_d: {type: VGGStyleDiscriminator, num_in_ch: 3, num_feat: 64}
path:
  pretrain_network_g: ~
  param_key_g: params
  strict_load_g: true
  resume_state: ~
train:
  ema_decay: 0.999
  optim_g: {type: Adam, lr: !!float 1e-4, weight_decay: 0, betas: [0.9, 0.99]}
  optim_d: {type: Adam, lr: 1e-4, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler: {type: MultiStepLR, milestones: [50000, 100000, 200000, 300000], gamma: 0.5}
  total_iter: 400000
  warmup_iter: -1
  pixel_opt: {type: L1Loss, loss_weight: !!float 1e-2, reduction: mean}
  perceptual_opt:
    type: PerceptualLoss
    layer_weights: {'conv5_4': 1}
    vgg_type: vgg19
    use_input_norm: true
    range_norm: false
    perceptual_weight: 1.0
    style_weight: 0
    criterion: l1
  gan_opt: {type: GANLoss, gan_type: vanilla, real_label_val: 1.0, fake_label_val: 0.0, loss_weight: 5e-3}
  net_d_iters: 1
  net_d_init_iters: 0
val:
  val_freq: !!float 5e3
  save_img: true
  pbar: true
  metrics:
    psnr: {type: calculate_psnr, crop_border: 4, test_y_channel: false}
    niqe: {type: calculate_niqe, crop_border: 4, better: lower}
logger:
  print_freq: 100
  save_checkpoint_freq: !!float 5e3
  use_tb_logger: true
  wandb: {project: ~, resume_id: ~}
dist_params: {backend: nccl, port: 29500}
find_unused_parameters: false
"""


@pytest.fixture
def stock() -> dict[str, Any]:
    options: dict[str, Any] = read_yaml(STOCK_ESRGAN, "stock.yml")[0]
    return options


@pytest.fixture
def find(workplace: Path) -> Callable[..., list[str]]:
    """Check options as a training in `workplace`; return "key: message" of each error."""

    def find(options: dict[str, Any], is_train: bool = True) -> list[str]:
        problems = check_options(options, "x.yml", missing_paths="error", is_train=is_train, root=workplace)
        return [f"{problem.key}: {problem.message}" for problem in errors_among(problems)]

    return find


# ------------------------------------------------------------------------------------------- what is accepted


def test_experiment_is_accepted(find: Callable[..., list[str]], experiment: dict[str, Any]) -> None:
    assert find(experiment) == []


def test_stock_esrgan_is_accepted(find: Callable[..., list[str]], stock: dict[str, Any]) -> None:
    assert find(stock) == []


ONE_CHANNEL = {"num_in_ch": 1, "num_out_ch": 1}


@pytest.mark.parametrize(
    ("arguments", "colors", "keys"),
    [
        ({}, (None, None), []),
        (ONE_CHANNEL, ("y", "gray"), []),
        (ONE_CHANNEL, (None, "y"), ["network_g.num_in_ch", "network_g.num_out_ch"]),
        ({"num_out_ch": 1}, (None, None), ["network_g.num_out_ch", "network_g.num_out_ch"]),
        ({}, (None, "gray"), ["network_g.num_in_ch", "network_g.num_out_ch"]),
        ({"num_in_ch": 4}, (None, None), ["network_g.num_in_ch"] * 2),
    ],
)
def test_channels_of_network_and_datasets_agree(
    find: Callable[..., list[str]], experiment: dict[str, Any], arguments: Any, colors: Any, keys: list[str]
) -> None:
    experiment["network_g"] |= arguments
    for key, color in zip(("train", "val"), colors, strict=True):
        experiment["datasets"][key]["color"] = color
    assert [line.split(":")[0] for line in find(experiment)] == keys


@pytest.mark.parametrize(
    ("network", "key"),
    [
        ("ResShiftNet", "datasets.val.color"),
        ("DiffIRS2", "datasets.val.color"),
        ("SAFMN", "datasets.val.color"),
        ("MoSR", "network_g.in_ch"),
        ("ELAN", "network_g.colors"),
    ],
)
def test_networks_of_rgb_take_no_luminance(
    find: Callable[..., list[str]], experiment: dict[str, Any], network: str, key: str
) -> None:
    experiment["network_g"] = {"type": network}
    before = find(experiment)
    experiment["datasets"]["val"]["color"] = "y"
    told = [line.split(":")[0] for line in find(experiment) if line not in before]
    assert told and told[0] == key and set(told) <= {key, key.replace("in_ch", "out_ch")}


def test_channels_of_discriminators_and_of_datasets_without_a_colour(
    find: Callable[..., list[str]], stock: dict[str, Any]
) -> None:
    assert [line.split(":")[0] for line in find(change(stock, "network_d.num_in_ch", 1))] == ["network_d.num_in_ch"]
    assert find(change(stock, "network_g.num_in_ch", 1)) != []
    for network, output in (("network_g", "num_out_ch"), ("network_g", "num_in_ch"), ("network_d", "num_in_ch")):
        stock[network][output] = 1
    for key in stock["datasets"]:
        stock["datasets"][key]["color"] = "y"
    assert find(stock) == []


def test_paired_real_esrgan_is_accepted_and_what_it_switches_off_is_required_without_it(
    find: Callable[..., list[str]],
) -> None:
    paired = read_yaml(PAIRED_REAL_ESRGAN, "paired.yml")[0]
    assert find(paired) == []
    unsaid = [line.split(":")[0] for line in find(change(paired, "high_order_degradation", ...))]
    assert "high_order_degradation" in unsaid and "resize_prob2" in unsaid and len(unsaid) == 17
    other = change(paired, "datasets.train.type", "RealESRGANDataset")
    assert any(line.startswith("datasets.train.type: ") for line in find(other))
    assert [line.split(":")[0] for line in find(change(paired, "l1_gt_usm", ...))] == ["l1_gt_usm"]


def test_sections_set_to_null_count_as_absent(find: Callable[..., list[str]], experiment: dict[str, Any]) -> None:
    experiment["train"]["losses"]["l_gone"] = None
    experiment["val"]["metrics"]["gone"] = None
    experiment.update(network_d=None, dist_params=None, path=None)
    experiment["datasets"]["val"] = None
    experiment["val"] = None
    assert find(experiment) == []


def test_test_file_needs_no_training_sections(find: Callable[..., list[str]], experiment: dict[str, Any]) -> None:
    val = experiment["datasets"]["val"]
    options = {key: experiment[key] for key in ("name", "model_type", "scale", "num_gpu", "network_g")}
    options |= {"datasets": {"test_1": val, "test_2": val}, "val": {"save_img": True, "suffix": "x"}}
    assert find(options, is_train=False) == []
    assert find(options) == [
        "datasets.train: there is no such dataset",
        "datasets.test_1: unknown dataset; they are called train, val, val_2, ...",
        "datasets.test_2: unknown dataset; they are called train, val, val_2, ...",
        "train: the section is required for training",
        "logger: the section is required for training",
        "val.val_freq: is required for training (iterations between two validations)",
    ]


def test_options_of_the_repository(repository: Path) -> None:
    """Each experiment that is shipped passes, but for data and weights that are not on this machine."""
    files = [file for file in (repository / "options").rglob("*.yml") if file.parent.name != "_base_"]
    for file in files:
        loaded = load_with_lines(file)
        is_train = "train" in loaded.options
        problems = check_options(loaded.options, str(file), missing_paths="note", is_train=is_train, root=repository)
        assert errors_among(problems) == [], file


def test_example_of_the_docs(repository: Path, tmp_path: Path) -> None:
    text = (repository / "docs" / "guide" / "options.md").read_text(encoding="utf8")
    (tmp_path / "ssl").mkdir()
    (tmp_path / "_base_").symlink_to(repository / "options" / "_base_")
    file = tmp_path / "ssl" / "x.yml"
    file.write_text(text.split("```yaml\n")[1].split("```")[0], encoding="utf8")
    problems = check_options(load_options(file), "x.yml", missing_paths="note", is_train=True, root=tmp_path)
    assert errors_among(problems) == []


# --------------------------------------------------------------------------------------- each kind of problem

PROBLEMS = [
    ("name", "a/b", "name: must not contain / or \\, since it names a folder; got the text 'a/b'"),
    ("num_gpu", "all", "num_gpu: must be 'auto' or a whole number of at least 0; got the text 'all'"),
    ("num_gpu", ..., "num_gpu: is required"),
    ("manual_sed", 0, "manual_sed: unknown key; did you mean 'manual_seed'?"),
    (
        "model_type",
        "PrismSrMode",
        "model_type: no model named 'PrismSrMode' is registered; did you mean 'PrismSRModel'?",
    ),
    ("scale", ..., "scale: is required (upscaling factor; the datasets read it)"),
    ("scale", 2, "network_g.upscale: is 4, but scale is 2"),
    ("network_g.upscale", ..., None),
    ("network_g.upscale", 3, "network_g.upscale: is 3, but scale is 4"),
    ("network_g", None, "network_g: PrismSRModel needs this network"),
    ("network_g.num_feats", 4, "network_g.num_feats: unknown argument of SRVGGNetCompact; did you mean 'num_feat'?"),
    ("network_g.num_feat", "64", "network_g.num_feat: must be a whole number; got the text '64'"),
    (
        "network_g.act_type",
        "gelu",
        "network_g.act_type: must be one of 'relu', 'prelu', 'leakyrelu'; got the text 'gelu'",
    ),
    ("network_g.type", "SRVGG", "network_g.type: no arch named 'SRVGG'"),
    ("network_g.type", ..., "network_g.type: is required"),
    ("datasets.train.type", "PairedMask", "datasets.train.type: no dataset named 'PairedMask'"),
    ("datasets.train.use_flip", True, "datasets.train.use_flip: unknown key; did you mean 'use_hflip'?"),
    ("datasets.train.gt_size", 18, "datasets.train.gt_size: must be a multiple of scale, 4; got 18"),
    ("datasets.train.gt_size", ..., "datasets.train.gt_size: is required for training (side of the GT patch, pixels)"),
    ("datasets.train.use_rot", 1, "datasets.train.use_rot: must be true or false; got 1"),
    (
        "datasets.train.batch_size_per_gpu",
        True,
        "datasets.train.batch_size_per_gpu: must be a whole number greater than 0; got true",
    ),
    (
        "datasets.train.batch_size_per_gpu",
        0,
        "datasets.train.batch_size_per_gpu: must be a whole number greater than 0; got 0",
    ),
    ("datasets.train.mean", ["a"], "datasets.train.mean.0: must be a number; got the text 'a'"),
    ("datasets.train.prefetch_mode", "cuda", "datasets.train.pin_memory: must be true with prefetch_mode: cuda"),
    (
        "datasets.train.prefetch_mode",
        "gpu",
        "datasets.train.prefetch_mode: must be one of 'cpu', 'cuda' or null; got the text",
    ),
    ("datasets.train.persistent_workers", True, "datasets.train.persistent_workers: must be false where there are no"),
    (
        "datasets.train.dataroot_lq",
        "data/l",
        "datasets.train.dataroot_lq: no such file or folder: data/l (looked for /",
    ),
    ("datasets.valid", {"name": "x"}, "datasets.valid: unknown dataset; they are called train, val, val_2, ..."),
    ("path.pretrain_network_g", "x.pth", "path.pretrain_network_g: no such file or folder: x.pth (looked for /"),
    ("path.pretrain_netwrok_g", None, "path.pretrain_netwrok_g: unknown key; did you mean 'pretrain_network_g'?"),
    ("path.strict_load_d", True, "path.strict_load_d: there is no network_d"),
    ("path.strict_load_g", "yes", "path.strict_load_g: must be true or false; got the text 'yes'"),
    (
        "train.total_iter",
        "1e3",
        "train.total_iter: must be a whole number greater than 0; got the text '1e3' (iterations of the whole",
    ),
    ("train.total_iter", 0.5, "train.total_iter: must be a whole number greater than 0; got 0.5"),
    ("train.total_iter", 2e3, None),
    ("train.ema_decay", 1.5, "train.ema_decay: must be a number of at least 0 and less than 1; got 1.5"),
    ("train.warmup", 3, "train.warmup: unknown key; known: "),
    ("train.optim_d", {"type": "Adam", "lr": 1.0}, "train.optim_d: unknown key"),
    ("train.optim_g.type", "Adan", "train.optim_g.type: no optimizer named 'Adan'; known: Adam,"),
    ("train.optim_g.lr", ..., "train.optim_g.lr: is required by AdamW (learning rate)"),
    ("train.optim_g.lr", "fast", "train.optim_g.lr: must be a number of at least 0; got the text 'fast'"),
    ("train.optim_g.momentum", 0.9, "train.optim_g.momentum: unknown argument of AdamW"),
    ("train.optim_g.betas", [0, 0.99], "train.optim_g.betas: write 0.0 instead of 0"),
    (
        "train.optim_g.betas",
        [0.9, 1.0],
        "train.optim_g.betas: must be a list of 2 numbers of at least 0 and less than 1; got",
    ),
    (
        "train.scheduler.type",
        "StepLR",
        "train.scheduler.type: no scheduler named 'StepLR'; known: Cosine",
    ),
    ("train.scheduler.milestones", [2, 1], "train.scheduler.milestones: must rise; got [2, 1]"),
    ("train.scheduler.milestones", ..., "train.scheduler.milestones: is required by MultiStepRestartLR"),
    (
        "train.scheduler.restarts",
        [0, 1],
        "train.scheduler.restart_weights: must have as many entries as restarts, 2; got 1",
    ),
    ("train.losses.pix", {"type": "L1Loss"}, "train.losses.pix: the name of a loss begins with l_, as in l_g_pix"),
    ("train.losses.l_pix.reduction", "avg", "train.losses.l_pix.reduction: must be one of 'none', 'mean', 'sum'"),
    ("train.losses.l_pix.weight", 1, "train.losses.l_pix.weight: unknown argument of L1Loss; known: loss_weight"),
    ("train.losses.l_pix.loss_weight", float("nan"), "train.losses.l_pix.loss_weight: must be"),
    (
        "train.losses.l_g_percep",
        {"type": "FeatureLoss", "backbone": "st_vgg16", "layer_weights": {"conv3_3": 1.0, "conv9_9": 1.0}},
        "train.losses.l_g_percep.layer_weights.conv9_9: st_vgg16 has no such layer",
    ),
    ("train.losses.l_pix", "L1Loss", "train.losses.l_pix: must be a mapping with a type; got the text 'L1Loss'"),
    ("train.losses.l_pix", None, "train.losses: lists no loss"),
    ("val.val_freq", None, "val.val_freq: must be a whole number greater than 0; got null (~)"),
    ("val.metrics.psnr.crop_boder", 4, "val.metrics.psnr.crop_boder: unknown argument of calculate_psnr; did you mean"),
    ("val.metrics.psnr.crop_border", ..., "val.metrics.psnr.crop_border: is required by calculate_psnr"),
    ("val.metrics.psnr.better", "up", "val.metrics.psnr.better: must be 'higher' or 'lower'; got the text 'up'"),
    ("val.metrics.psnr.type", "psnr", "val.metrics.psnr.type: no metric named 'psnr'"),
    (
        "logger.use_tb_logger",
        "None",
        "logger.use_tb_logger: must be true or false; got the text 'None' (no value is wri",
    ),
    ("logger.wandb", {"projct": "x"}, "logger.wandb.projct: unknown key; did you mean 'project'?"),
    ("logger.wandb", {"project": "x"}, "logger.use_tb_logger: must be true for wandb"),
    ("dist_params", {"backend": "ncl"}, "dist_params.backend: must be one of 'nccl', 'gloo'"),
    ("train", [], "train: must be a mapping or null; got []"),
]


@pytest.mark.parametrize(("path", "value", "message"), PROBLEMS)
def test_one_problem(
    find: Callable[..., list[str]], experiment: dict[str, Any], path: str, value: Any, message: str | None
) -> None:
    found = find(change(experiment, path, value))
    if message is None:
        assert found == []
    else:
        assert any(line.startswith(message) for line in found), found


STOCK_PROBLEMS = [
    ("train.optim_g.type", "AdamW", "train.optim_g.type: no optimizer named 'AdamW'; known: Adam"),
    ("train.gan_opt", ..., "train.gan_opt: is required (adversarial loss)"),
    ("train.gan_opt.gan_type", "wgn", "train.gan_opt.gan_type: must be one of 'vanilla', 'lsgan', 'wgan'"),
    ("train.gan_opt.gan_type", ..., "train.gan_opt.gan_type: is required by GANLoss"),
    ("train.optim_d", ..., "train.optim_d: is required (optimiser of network_d)"),
    (
        "train.perceptual_opt.layer_weights",
        {"conv54": 1},
        "train.perceptual_opt.layer_weights.conv54: vgg19 has no layer",
    ),
    ("train.perceptual_opt.criterion", "l2", "train.perceptual_opt.criterion: must be one of 'l1', 'fro'"),
    ("train.losses", {}, "train.losses: unknown key"),
    ("network_d", None, "network_d: ESRGANModel needs this network"),
    ("network_d.input_size", 64, "network_d.input_size: is 64, but datasets.train.gt_size is 128"),
    ("network_g.scale", 3, "network_g.scale: must be one of 1, 2, 4; got 3"),
    ("scale", 2, "network_g.scale: is not given and RRDBNet's default is 4, but scale is 2"),
    (
        "datasets.train.io_backend",
        {"type": "lmdb"},
        "datasets.train.dataroot_gt: must end in .lmdb with io_backend lmdb",
    ),
    ("datasets.train.io_backend.type", "zip", "datasets.train.io_backend.type: must be one of 'disk', 'lmdb', "),
    ("datasets.train.io_backend", ..., "datasets.train.io_backend: is required"),
]


@pytest.mark.parametrize(("path", "value", "message"), STOCK_PROBLEMS)
def test_one_problem_of_a_stock_model(
    find: Callable[..., list[str]], stock: dict[str, Any], path: str, value: Any, message: str
) -> None:
    found = find(change(stock, path, value))
    assert any(line.startswith(message) for line in found), found


def test_psnr_model_needs_a_loss(find: Callable[..., list[str]], stock: dict[str, Any]) -> None:
    stock["model_type"] = "SRModel"
    for key in ("optim_d", "gan_opt", "net_d_iters", "net_d_init_iters", "perceptual_opt"):
        del stock["train"][key]
    assert find(stock) == []
    stock["train"]["pixel_opt"] = None
    assert find(stock) == ["train: SRModel needs pixel_opt or perceptual_opt"]


def test_cosine_periods_cover_the_training(find: Callable[..., list[str]], experiment: dict[str, Any]) -> None:
    experiment["train"]["scheduler"] = {
        "type": "CosineAnnealingRestartLR",
        "periods": [1, 1],
        "restart_weights": [1, 1],
    }
    assert find(experiment) == []
    experiment["train"]["scheduler"]["restart_weights"] = [1]
    assert find(experiment) == ["train.scheduler.restart_weights: must have as many entries as periods, 2; got 1"]
    experiment["train"]["scheduler"].update(periods=[1])
    assert find(experiment) == ["train.scheduler.periods: must add up to total_iter, 2, or more; got 1"]


def test_adversarial_loss_names_its_discriminator(find: Callable[..., list[str]], experiment: dict[str, Any]) -> None:
    experiment["train"]["losses"]["l_g_gan"] = {"type": "AdversarialLoss", "discriminator": "d2"}
    assert find(experiment) == ["train.losses.l_g_gan.discriminator: 'd2': there is no network_d2"]
    experiment["network_d2"] = None
    assert find(experiment) == ["train.losses.l_g_gan.discriminator: 'd2': there is no network_d2"]
    del experiment["network_d2"]
    experiment["network_d"] = {"type": "UNetDiscriminatorSN", "num_in_ch": 3}
    assert find(experiment) == [
        "train.losses.l_g_gan.discriminator: 'd2': there is no network_d2; known: d",
        "train.optim_d: is required (optimiser of network_d)",
    ]
    del experiment["train"]["losses"]["l_g_gan"]["discriminator"]
    experiment["train"]["optim_d"] = {"type": "SGD", "lr": 1e-3, "momentum": 0.9}
    assert find(experiment) == []


def test_metric_that_compares_needs_gt(find: Callable[..., list[str]], experiment: dict[str, Any]) -> None:
    experiment["datasets"]["val"] = {
        "name": "lq", "type": "SingleImageDataset", "dataroot_lq": "data/lq", "io_backend": {"type": "disk"},
    }  # fmt: skip
    experiment["val"]["metrics"]["niqe"] = {"type": "calculate_niqe", "crop_border": 4, "better": "lower"}
    assert find(experiment) == ["val.metrics.psnr: compares with GT images, which datasets.val has not"]


def test_notes(workplace: Path, experiment: dict[str, Any]) -> None:
    experiment["train"]["scheduler"]["milestones"] = [1, 5]
    experiment["network_d"] = {"type": "UNetDiscriminatorSN", "num_in_ch": 3}
    experiment["train"]["optim_d"] = {"type": "Adam", "lr": 1e-3}
    experiment["datasets"]["train"]["dataroot_gt"] = "elsewhere"
    problems = check_options(experiment, "x.yml", missing_paths="note", is_train=True, root=workplace)
    assert [(problem.key, problem.severity) for problem in problems] == [
        ("datasets.train.dataroot_gt", "note"),
        ("train.scheduler.milestones", "note"),
        ("network_d", "note"),
    ]
    assert problems[0].missing == str(workplace / "elsewhere")


# ----------------------------------------------------------------------------------------------- all at once


def test_ten_mistakes_in_one_file_with_their_lines(
    workplace: Path, experiment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    Path("base.yml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    Path("x.yml").write_text(
        "_base_: base.yml\n"
        "manualseed: 1\n"
        "num_gpu: -1\n"
        "network_g: {num_conf: 3}\n"
        "datasets:\n"
        "  train: {gt_size: 10, dataroot_gt: nowhere, use_hflip: maybe}\n"
        "train:\n"
        "  optim_g: {type: Adamw}\n"
        "  losses:\n"
        "    l_pix: {loss_wieght: 1}\n"
        "    l_ssl: {type: NoSuchLoss}\n"
        "val: {metrics: {psnr: {crop_border: four}}}\n"
    )
    loaded = load_with_lines("x.yml")
    problems = check_options(
        loaded.options, "x.yml", missing_paths="error", is_train=True, root=".", lines=loaded.lines
    )
    assert {(problem.where, problem.key) for problem in errors_among(problems)} == {
        ("x.yml:2", "manualseed"),
        ("x.yml:3", "num_gpu"),
        ("x.yml:4", "network_g.num_conf"),
        ("x.yml:6", "datasets.train.gt_size"),
        ("x.yml:6", "datasets.train.dataroot_gt"),
        ("x.yml:6", "datasets.train.use_hflip"),
        ("x.yml:8", "train.optim_g.type"),
        ("x.yml:10", "train.losses.l_pix.loss_wieght"),
        ("x.yml:11", "train.losses.l_ssl.type"),
        ("x.yml:12", "val.metrics.psnr.crop_border"),
    }
    text = report(problems)
    assert "x.yml:10: train.losses.l_pix.loss_wieght: unknown argument of L1Loss; did you mean 'loss_weight'?" in text


SURPRISES: list[Any] = [None, [], {"a": 1}, {"type": ["L1Loss"]}, "x", -1, True]


def key_paths(options: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in options.items():
        yield above + key
        if isinstance(value, dict):
            yield from key_paths(value, f"{above}{key}.")


@pytest.mark.parametrize("is_train", [True, False])
def test_nothing_in_a_file_makes_the_check_itself_fail(
    stock: dict[str, Any], experiment: dict[str, Any], is_train: bool
) -> None:
    experiment["network_d"] = {"type": "UNetDiscriminatorSN", "num_in_ch": 3}
    experiment["train"]["losses"]["l_g_gan"] = {"type": "AdversarialLoss", "discriminator": "d"}
    for options in (stock, experiment):
        for path in key_paths(options):
            for value in SURPRISES:
                check_options(change(options, path, value), "x.yml", missing_paths="error", is_train=is_train)


def test_report_puts_errors_last() -> None:
    problems = [Problem("a", "x"), Problem("b", "y", "note"), Problem("c", "z", where="f.yml:1")]
    assert report(problems) == "note: b: y\nerror: a: x\nerror: f.yml:1: c: z"


def test_takes_less_than_a_second(stock: dict[str, Any], workplace: Path) -> None:
    start = time.perf_counter()
    check_options(stock, "x.yml", missing_paths="error", is_train=True, root=workplace)
    assert time.perf_counter() - start < 1


# -------------------------------------------------------------------------------- classes of users of the package


class FolderOptions(DatasetOptions):
    USES_SCALE: ClassVar[bool] = False

    dataroot_gt: str
    jpeg: int = Field(default=90, ge=1, le=100, description="JPEG quality")


class TwoLossOptions(TrainOptions):
    first_opt: LossEntry


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset and a model that declare their keys, and one of each that does not."""
    classes: list[tuple[Any, str, dict[str, Any]]] = [
        (DATASET_REGISTRY, "FolderDataset", {"OPTIONS": FolderOptions}),
        (DATASET_REGISTRY, "SilentDataset", {}),
        (MODEL_REGISTRY, "TwoLossModel", {"OPTIONS": TwoLossOptions}),
        (MODEL_REGISTRY, "SilentModel", {}),
    ]
    for registry, name, attributes in classes:
        monkeypatch.setitem(registry._obj_map, name, type(name, (), attributes))


@pytest.mark.usefixtures("registered")
def test_declared_keys_of_own_classes(find: Callable[..., list[str]], experiment: dict[str, Any]) -> None:
    experiment["model_type"] = "TwoLossModel"
    experiment["train"]["optim_g"]["type"] = "Adam"
    del experiment["train"]["losses"]
    experiment["train"]["first_opt"] = {"type": "L1Los"}
    train = {"name": "x", "type": "FolderDataset", "dataroot_gt": "data/gt", "jpeg": 101}
    experiment["datasets"]["train"] = train
    assert find(experiment) == [
        "datasets.train.jpeg: must be a whole number of at least 1 and of at most 100; got 101 (JPEG quality)",
        "datasets.train.batch_size_per_gpu: is required for training (samples per GPU and step)",
        "datasets.train.num_worker_per_gpu: is required for training (loading processes per GPU)",
        "train.first_opt.type: no loss named 'L1Los'; did you mean 'L1Loss'?",
    ]


@pytest.mark.usefixtures("registered")
def test_classes_that_declare_nothing_are_noted(workplace: Path, experiment: dict[str, Any]) -> None:
    experiment["model_type"] = "SilentModel"
    experiment["degradation"] = 1
    experiment["train"] = {"anything": 1}
    experiment["datasets"]["train"] = {"type": "SilentDataset", "whatever": 1, "dataroot_gt": "nowhere"}
    problems = check_options(experiment, "x.yml", missing_paths="error", is_train=True, root=workplace)
    assert [(problem.severity, problem.key) for problem in problems] == [
        ("note", "train"),
        ("note", "datasets.train"),
        ("error", "datasets.train.dataroot_gt"),
    ]


def test_best_metric_is_one_of_the_metrics(find: Callable[..., list[str]], experiment: dict[str, Any]) -> None:
    experiment["val"]["save_best"] = "psnrr"
    assert find(experiment) == ["val.save_best: no metric in val.metrics is called 'psnrr'; did you mean 'psnr'?"]
    experiment["val"]["save_best"] = "psnr"
    assert find(experiment) == []


@pytest.mark.parametrize(
    ("loss", "key"),
    [
        ({"type": "AdversarialLoss", "view": ["gradient"]}, "view"),
        ({"type": "AdversarialLoss", "view": "textured", "view_options": {"size": 1001}}, "view_options.size"),
        ({"type": "SelfSimilarityLoss", "mask_stride": 0}, "mask_stride"),
        ({"type": "SelfSimilarityLoss", "search": 24}, "search"),
        ({"type": "SelfSimilarityLoss", "search": "wide"}, "search"),
    ],
)
def test_values_that_a_loss_would_refuse_when_built_are_told(
    experiment: dict[str, Any], loss: dict[str, Any], key: str
) -> None:
    experiment["network_d"] = {"type": "UNetDiscriminatorSN", "num_in_ch": 3}
    experiment["train"]["losses"]["l_x"] = loss
    found = check_options(experiment, "x.yml", missing_paths="note", is_train=True)
    assert f"train.losses.l_x.{key}" in [problem.key for problem in found]

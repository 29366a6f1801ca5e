"""A training that is killed again and again ends as one that ran through, bit for bit."""

import itertools
import os
import random
import signal
from copy import deepcopy

from prismsr.utils.folder_lock import folder_lock

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.archs import build_network
from skimage.data import astronaut
from trainings import TRAIN, Launcher, checkpoint, differences

TOTAL = 40
ENDS = (0, -signal.SIGKILL, 130, 143, -signal.SIGINT, -signal.SIGTERM)  # the last two: before or after the training
SIGNALS = [signal.SIGKILL] * 3 + [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(scope="module")
def server(launch_server, training_workplace):
    return Launcher(launch_server, training_workplace)


def _experiment(**changes):
    options = deepcopy(TRAIN)
    options["train"] |= {"total_iter": TOTAL, "scheduler": {"type": "MultiStepLR", "milestones": [10, 30]}}
    options["datasets"]["train"] |= {"num_worker_per_gpu": 2, "dataset_enlarge_ratio": 5}
    options["val"] |= {"val_freq": 20, "save_img": False, "save_best": "psnr"}
    options["logger"] |= {"print_freq": 3, "save_checkpoint_freq": 4, "keep_checkpoints": 3}
    return options | changes


def _stock():
    """BasicSR's own model, dataset and loss."""
    options = _experiment(model_type="SRModel")
    images = {"type": "PairedImageDataset", "dataroot_gt": "HR", "dataroot_lq": "LR", "io_backend": {"type": "disk"}}
    options["datasets"]["train"] |= images
    del options["network_d"], options["train"]["optim_d"], options["train"]["losses"]
    options["train"] |= {"pixel_opt": {"type": "L1Loss"}, "total_iter": 24}
    return options


def _sfd(repository):
    """SFD: three optimisers, spectral norms, prompts, and a CLIP that no checkpoint holds."""
    demo = yaml.safe_load((repository / "options" / "demo" / "sfd_tiny.yml").read_text())
    names = ("clip", "network_d_feat", "network_d_tg")
    options = _experiment(**{name: demo[name] for name in names})
    del options["network_d"], options["train"]["optim_d"]
    losses = {name: demo["train"]["losses"][name] for name in ("l_g_feat", "l_g_tg")}
    optimizers = {name: demo["train"][name] for name in ("optim_d_feat", "optim_d_tg")}
    options["train"] |= {"losses": {"l_g_pix": {"type": "L1Loss"}, **losses}, **optimizers}
    return options


def _degraded(repository):
    """The same with Real-ESRGAN's synthesis: kernels in the workers, degradation and its pool in the step."""
    base = yaml.safe_load((repository / "options" / "_base_" / "degradation_hggt.yml").read_text())
    options = _experiment(degradation=base["degradation"] | {"gt_size": 32, "queue_size": 8})
    del options["datasets"]["train"]["dataroot_lq"], options["datasets"]["train"]["gt_size"]
    options["datasets"]["train"] |= base["datasets"]["train"] | {"crop_pad_size": 48}
    return options


def _amo(training_workplace, repository):
    """LoRA on a base that begins from params_ema, without a discriminator; ground truths drawn by scores of crops."""
    options = _experiment(lora={"rank": 2, "alpha": 4.0, "targets": ["body.[024]"]})
    _write_versions(training_workplace / "versions")
    base = yaml.safe_load((repository / "options" / "_base_" / "degradation_hggt_one_order.yml").read_text())
    own = {"type": "MultiGTDataset", "dataroot_gt": "versions", "sampling": "sma", "tau": 1.0, "crop_pad_size": 104}
    kept = {key: value for key, value in options["datasets"]["train"].items() if not key.startswith(("dataroot", "gt"))}
    options["datasets"]["train"] = kept | base["datasets"]["train"] | own
    options["degradation"] = base["degradation"] | {"gt_size": 96, "queue_size": 4}
    options["scoring"] = {"metric": "natural_scene"}
    torch.manual_seed(0)
    base = training_workplace / "base.pth"
    states = {key: build_network(options["network_g"]).state_dict() for key in ("params", "params_ema")}
    torch.save(states, base)
    options["path"] = {"pretrain_network_g": "base.pth", "param_key_g": "params_ema"}
    del options["network_d"], options["train"]["optim_d"]
    options["train"] |= {"losses": {"l_g_pix": {"type": "L1Loss"}}, "total_iter": 12}
    options["val"]["val_freq"] = 6
    options["logger"]["save_checkpoint_freq"] = 3
    return options


def _gan_family(training_workplace):
    """Every loss of SSL's first table, both views, a second output, and a part of net_g that is trained first."""
    torch.manual_seed(0)
    ranker = training_workplace / "ranker.pth"
    torch.save(build_network({"type": "RankerVGG", "num_feat": 2}).state_dict(), ranker)
    options = _experiment(network_g={"type": "SPSRNet", "num_feat": 2, "num_block": 20})
    options["network_d_grad"], options["train"]["optim_d_grad"] = options["network_d"], options["train"]["optim_d"]
    gan = {"type": "AdversarialLoss", "relativistic": True, "loss_weight": 5e-3}
    options["train"]["losses"] = {
        "l_g_pix": {"type": "L1Loss"},
        "l_g_branch": {"type": "BranchLoss"},
        "l_g_grad": {"type": "GradientLoss"},
        "l_g_ldl": {"type": "LDLLoss"},
        "l_g_buddy": {"type": "BestBuddyLoss"},
        "l_g_back": {"type": "BackProjectionLoss"},
        "l_g_rank": {"type": "RankLoss", "weights": str(ranker), "num_feat": 2},
        "l_g_gan": {**gan, "view": "textured"},
        "l_g_gan_grad": {**gan, "discriminator": "d_grad", "view": "gradient"},
    }
    options["train"] |= {"only": {"parameters": ["f_"], "until": 4}, "total_iter": 6}
    options["logger"]["save_checkpoint_freq"] = 3
    del options["datasets"]["val"], options["val"]
    return options


def _write_versions(root):
    image = astronaut()[:208, :208, ::-1]
    for name, sigma in (("original", 0), ("a", 0.6), ("b", 1.0)):
        version = image if sigma == 0 else cv2.GaussianBlur(image, (0, 0), sigma)
        (root / name).mkdir(parents=True)
        for row, column in itertools.product((0, 104), (0, 104)):
            patch = np.ascontiguousarray(version[row : row + 104, column : column + 104])
            cv2.imwrite(str(root / name / f"{row}{column}.png"), patch)


@pytest.fixture(scope="module")
def train(training_workplace, repository, server):
    files = {"resume": _experiment(), "degraded": _degraded(repository), "sfd": _sfd(repository), "stock": _stock()}
    files["amo"] = _amo(training_workplace, repository)
    files["gan_family"] = _gan_family(training_workplace)
    for name, options in files.items():
        (training_workplace / f"{name}.yml").write_text(yaml.safe_dump(options))

    def run(name, *arguments, file="resume", **options):
        flags = [argument for argument in arguments if argument.startswith("--")]
        changes = [argument for argument in arguments if not argument.startswith("--")]
        path = str(training_workplace / f"{file}.yml")
        return server.train("-opt", path, *flags, "--force_yml", f"name={name}", *changes, **options)

    return run


@pytest.fixture(scope="module")
def whole(training_workplace, server, train):
    assert train("whole") == 0, server.log.read_text()
    return checkpoint(training_workplace / "experiments" / "whole")


@pytest.mark.parametrize(("file", "kills"), [("resume", 20), ("degraded", 4), ("sfd", 2)])
def test_killed_at_random_moments(training_workplace, server, train, whole, file, kills):
    if file != "resume":
        assert train(f"{file}_whole", file=file) == 0, server.log.read_text()
        whole = checkpoint(training_workplace / "experiments" / f"{file}_whole")
    rng = random.Random(0)
    killed, runs = 0, 0
    while killed < kills:  # a fast machine needs more than one run for as many
        name, runs, code = f"{file}_cut{runs}", runs + 1, None
        while code != 0:
            kill = rng.choice(SIGNALS) if killed < kills else None
            code = train(name, "--auto_resume", file=file, kill=kill, after=rng.uniform(0.3, 1.0))
            assert code in ENDS, server.log.read_text()
            killed += code != 0
        cut = checkpoint(training_workplace / "experiments" / name)
        assert {f"training_states/{TOTAL}.state", "models/net_g_best.pth", "losses.csv", "metrics.csv"} <= cut.keys()
        # a signal near the end leaves a checkpoint of its iteration, in the place of an older one of those kept
        both = whole.keys() & cut.keys()
        assert {name for name in whole if str(TOTAL) in name or "latest" in name} <= both
        assert differences({name: whole[name] for name in both}, {name: cut[name] for name in both}) == []


@pytest.mark.parametrize("workers", [0, 3])
def test_number_of_workers_changes_nothing(training_workplace, train, whole, workers):
    name = f"workers{workers}"
    assert train(name, f"datasets:train:num_worker_per_gpu={workers}") == 0
    assert differences(whole, checkpoint(training_workplace / "experiments" / name)) == []


def test_damaged_checkpoints_are_named_and_cost_their_iterations_alone(training_workplace, server, train, whole):
    assert train("damaged") == 0
    folder = training_workplace / "experiments" / "damaged"
    newest, second, third = sorted(int(path.stem) for path in folder.glob("training_states/*.state"))[::-1]
    for path in (folder / "training_states" / f"{newest}.state", folder / "models" / f"net_d_{second}.pth"):
        path.write_bytes(path.read_bytes()[:-100])
    assert train("damaged", "--auto_resume") == 0
    log = server.log.read_text()
    assert f"Passing over the state of iteration {newest}" in log and f"net_d_{second}.pth" in log
    assert f"iter: {third}.\n" in log
    assert differences(whole, checkpoint(folder)) == []


def test_full_disk_stops_the_run_and_loses_nothing(training_workplace, server, train, whole):
    folder = training_workplace / "experiments" / "full"
    assert train("full", "train:total_iter=20") == 0
    before = {name: content for name, content in checkpoint(folder).items() if not name.endswith(".csv")}
    largest = max(path.stat().st_size for path in folder.glob("training_states/*"))
    assert train("full", "--auto_resume", file_limit=largest - 1000) == 1
    log = server.log.read_text()
    assert "cannot be written (File too large)" in log and "Traceback" not in log
    after = checkpoint(folder)
    assert differences(before, {name: after[name] for name in before}) == []
    assert train("full", "--auto_resume") == 0
    assert differences(whole, checkpoint(folder)) == []


def test_finished_run_is_left_as_it_is(training_workplace, train, whole):
    assert train("whole", "--auto_resume") == 0
    assert differences(whole, checkpoint(training_workplace / "experiments" / "whole")) == []


def test_second_run_in_one_folder_is_refused(training_workplace, server, train):
    folder = training_workplace / "experiments" / "taken"
    with folder_lock(folder):
        assert train("taken") == 2
    assert f"process {os.getpid()} on" in server.log.read_text() and not folder.exists()
    assert train("taken", "train:total_iter=1") == 0
    assert not list(folder.parent.glob(".taken*"))


def test_constant_images_train_on(training_workplace, server, train):
    """Images of one colour have no edge for the self-similarity loss."""
    for folder, side in (("HR_flat", 96), ("LR_flat", 24)):
        (training_workplace / folder).mkdir()
        for value in (0, 90, 200, 255):
            image = np.full((side, side, 3), value, np.uint8)
            assert cv2.imwrite(str(training_workplace / folder / f"{value}.png"), image)
    data = ("datasets:train:dataroot_gt=HR_flat", "datasets:train:dataroot_lq=LR_flat")
    settings = ("train:total_iter=4", "logger:print_freq=1")
    assert train("flat", *data, *settings) == 0, server.log.read_text()
    assert "is skipped" not in server.log.read_text()
    rows = (training_workplace / "experiments" / "flat" / "losses.csv").read_text().splitlines()
    column = rows[0].split(",").index("l_g_ssl")
    assert len(rows) == 5 and {float(row.split(",")[column]) for row in rows[1:]} == {0.0}


def test_other_seed_other_run(training_workplace, train, whole):
    assert train("seed", "manual_seed=1", "train:total_iter=3") == 0
    other = checkpoint(training_workplace / "experiments" / "seed")
    assert other["losses.csv"].splitlines()[1] != whole["losses.csv"].splitlines()[1]


def test_no_good_checkpoint_left_is_an_error_and_nothing_is_lost(training_workplace, server, train):
    assert train("lost", "train:total_iter=4") == 0
    folder = training_workplace / "experiments" / "lost"
    for path in folder.glob("training_states/*"):
        path.write_bytes(b"")
    before = sorted(folder.rglob("*.pth"))
    assert train("lost", "--auto_resume") == 2
    assert "No training state in" in server.log.read_text()
    assert sorted(folder.rglob("*.pth")) == before


def test_smaller_batch_after_resuming_is_told_and_runs_to_the_end(training_workplace, server, train):
    batches = ("datasets:train:batch_size_per_gpu=4", "datasets:train:dataset_enlarge_ratio=1")
    assert train("batch", *batches, "train:total_iter=12") == 0  # three epochs of 4 iterations
    smaller = ("datasets:train:batch_size_per_gpu=1", "datasets:train:dataset_enlarge_ratio=1")
    assert train("batch", "--auto_resume", *smaller, "train:total_iter=16") == 0  # one epoch has 19
    assert "other training data than its training state had (batch size: 4 then, 1 now)" in server.log.read_text()
    state = training_workplace / "experiments" / "batch" / "training_states" / "16.state"
    assert train("another", f"path:resume_state={state}") == 2
    assert "is of another experiment than another" in server.log.read_text()


def test_basicsrs_own_model_and_dataset_resume_exactly_too(training_workplace, server, train):
    assert train("stock", file="stock") == 0, server.log.read_text()
    assert train("stock_cut", "train:total_iter=13", file="stock") == 0
    assert train("stock_cut", "--auto_resume", file="stock") == 0
    whole, cut = (checkpoint(training_workplace / "experiments" / name) for name in ("stock", "stock_cut"))
    assert whole["losses.csv"] == cut["losses.csv"]
    for name in ("models/net_g_24.pth", "training_states/24.state"):
        assert differences(whole[name], cut[name]) == []


def test_views_outputs_and_a_part_that_is_trained_first_go_on(training_workplace, server, train):
    assert train("family", file="gan_family") == 0, server.log.read_text()
    assert train("family_cut", "train:total_iter=3", file="gan_family") == 0
    folders = [training_workplace / "experiments" / name for name in ("family", "family_cut")]
    states = {
        iteration: torch.load(folder / "training_states" / f"{iteration}.state", weights_only=True)
        for iteration, folder in ((6, folders[0]), (3, folders[1]))
    }
    assert {number: len(state["optimizers"][0]["state"]) for number, state in states.items()} == {3: 36, 6: 790}
    assert train("family_cut", "--auto_resume", file="gan_family") == 0, server.log.read_text()
    assert differences(*map(checkpoint, folders)) == []


def test_adapter_and_online_choice_go_on(training_workplace, server, train):
    assert train("amo", file="amo") == 0, server.log.read_text()
    assert train("amo_cut", "train:total_iter=6", file="amo") == 0
    assert train("amo_cut", "--auto_resume", file="amo") == 0
    assert "base.pth with the adapter" in server.log.read_text()
    whole, cut = (checkpoint(training_workplace / "experiments" / name) for name in ("amo", "amo_cut"))
    assert {f"models/net_g{kind}_{end}.pth" for kind in ("", "_lora") for end in ("12", "latest", "best")} <= cut.keys()
    assert len(cut["models/net_g_lora_12.pth"]["params_ema"]) == 6
    assert differences(whole, cut) == []


def test_nan_stops_the_run_with_the_last_good_state(training_workplace, server, train):
    broken = ("train:losses:l_g_pix:loss_weight=1e38", "train:max_skipped_updates=3", "train:total_iter=16")
    assert train("nan", "train:total_iter=8") == 0
    good = torch.load(training_workplace / "experiments" / "nan" / "models" / "net_g_8.pth", weights_only=True)
    assert train("nan", "--auto_resume", *broken) == 1
    log = server.log.read_text()
    assert "stopped at iteration 11" in log and "Traceback" not in log
    kept = torch.load(training_workplace / "experiments" / "nan" / "models" / "net_g_11.pth", weights_only=True)
    assert differences(good, kept) == []
    assert train("nan", "--auto_resume", "train:total_iter=12") == 0

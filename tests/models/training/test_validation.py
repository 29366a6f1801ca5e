"""Validation against BasicSR's own, and on several ranks against one."""

import importlib.util
import json
import logging
import random
import shutil
import signal
from pathlib import Path

from prismsr.models.training import signals
from prismsr.models.training.log import read_log
from prismsr.models.training.validation import validate
from prismsr.utils.errors import DataError
from prismsr.utils.weights.files import WeightsError

import numpy as np
import pytest
import torch
from basicsr.utils import get_root_logger
from basicsr.utils.registry import METRIC_REGISTRY

CASE = Path(__file__).with_name("validation_case.py")


@pytest.fixture(scope="module")
def case():
    spec = importlib.util.spec_from_file_location("validation_case", CASE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def images(case, tmp_path_factory):
    """Folders five (five pairs of different sizes), one (a single pair) and broken (the second LQ is cut off)."""
    root = tmp_path_factory.mktemp("images")
    case.make_images(root / "five")
    for name in ("gt", "lq"):
        (root / "one" / name).mkdir(parents=True)
        shutil.copy(root / "five" / name / "picture.3.png", root / "one" / name)
    shutil.copytree(root / "five", root / "broken")
    broken = root / "broken" / "lq" / "picture.1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    return root


def _on_ranks(server, tasks, images, out, processes):
    ranks = ("--standalone", f"--nproc_per_node={processes}")
    code, output = server.start(out, "torchrun", *ranks, str(CASE), tasks, str(images), str(out)).end()
    assert code == 0, output
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(processes)]


@pytest.fixture
def one_thread():
    """As torchrun's processes have it: sums of several threads are rounded differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def log():
    """Messages of BasicSR's logger, which does not propagate."""

    class Keep(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    messages, handler, logger = [], Keep(), get_root_logger()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield messages
    logger.setLevel(level)
    logger.removeHandler(handler)


class Scalars:
    """A TensorBoard writer that keeps what it is given."""

    def __init__(self):
        self.rows = []

    def add_scalar(self, *row):
        self.rows.append(row)


# ---------------------------------------------------------------------------------------------- several ranks


@pytest.mark.parametrize("processes", [2, 3])
def test_ranks_report_what_one_process_does(launch_server, case, images, tmp_path, one_thread, processes):
    ranks = _on_ranks(launch_server, "ranks,interrupted,broken", images, tmp_path, processes)
    saved = _files(tmp_path / "visualization")
    rows = read_log(tmp_path / "metrics.csv")
    shutil.rmtree(tmp_path / "visualization")
    (tmp_path / "metrics.csv").unlink()
    alone = json.loads(json.dumps(case.alone(images, tmp_path)))
    for rank in ranks:
        assert rank["ranks"] == alone  # to the bit
    assert saved == _files(tmp_path / "visualization") and len(saved) == 5
    assert rows == read_log(tmp_path / "metrics.csv") and len(rows) == 2 + 2 + 1 + 2

    for rank in ranks:
        assert rank["interrupted"]["said"] == "Interrupted: SIGTERM"
        assert not rank["interrupted"]["recorded"] and not rank["broken"]["recorded"]
    said = [rank["broken"]["said"] for rank in ranks]
    assert said[1].startswith("ImageReadError: ") and "picture.1" in said[1]
    assert said[0] == "TrainingError: rank 1: " + said[1].removeprefix("ImageReadError: ")
    assert set(said[2:]) <= {said[0]}


# ---------------------------------------------------------------------------------------------- against BasicSR's


@pytest.mark.parametrize("is_train", [True, False])
@pytest.mark.parametrize("ema", [0, 0.9])
def test_like_basicsr(case, images, tmp_path, log, is_train, ema):
    ends = []
    for name, function in (("theirs", case.original_validation()), ("ours", validate)):
        opt = case.options(tmp_path / name, is_train, suffix=None if ema else "x2")
        opt["train"]["ema_decay"] = ema
        model, scalars = case.make_model(opt), Scalars()
        if is_train:
            case.train(model)
        loaders = {kind: case.make_loader(images / kind, kind) for kind in ("five", "one")}
        log.clear()
        for iteration, kind in ((3, "five"), (6, "one"), (9, "five")):
            function(model, loaders[kind], iteration if is_train else "case", scalars, True)
        assert len(log) == 3 and log[2].startswith("Validation five\n\t # psnr: ") and "Best: " in log[2]
        ends.append((model.metric_results, model.best_metric_results, log.copy(), scalars.rows, model.net_g.training))
        assert not {"lq", "gt", "output"} & vars(model).keys()
    assert ends[0] == ends[1]
    theirs, ours = (_files(tmp_path / name / "visualization") for name in ("theirs", "ours"))
    assert theirs == ours and len(ours) == (11 if is_train else 6)


def test_without_metrics_images_are_saved(case, images, tmp_path):
    model = case.make_model(case.options(tmp_path, metrics=None))
    validate(model, case.make_loader(images / "five"), 5, None, True)
    assert not hasattr(model, "metric_results")
    assert len(list((tmp_path / "visualization").rglob("*_5.png"))) == 5
    assert not (tmp_path / "metrics.csv").exists()


def test_where_nothing_is_wanted_a_training_computes_nothing(case, images, tmp_path, monkeypatch):
    model = case.make_model(case.options(tmp_path, metrics=None))
    monkeypatch.setattr(model, "test", lambda: pytest.fail("an image was computed"))
    validate(model, case.make_loader(images / "five"), 5, None, False)


def test_without_gt_no_gt_of_the_training_is_used(case, images, tmp_path):
    @METRIC_REGISTRY.register()
    def calculate_number_of_images(img, img2=None, **kwargs):
        return 1 if img2 is None else 2

    model = case.make_model(case.options(tmp_path, metrics={"images": {"type": "calculate_number_of_images"}}))
    case.train(model)
    validate(model, case.make_loader(images / "five", gt=False), 5, None, False)
    assert model.metric_results == {"images": 1.0}
    validate(model, case.make_loader(images / "five"), 5, None, False)
    assert model.metric_results == {"images": 2.0}


# ---------------------------------------------------------------------------------------------- what stays as it was


def _draws():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_generators_and_modes_are_left_alone(case, images, tmp_path):
    model = case.make_model(case.options(tmp_path), case.NoisyModel)
    model.net_g.body[1].eval()  # as a frozen part is
    loader = case.make_loader(images / "five")
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = _draws()
    random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])
    validate(model, loader, 1, None, False)
    assert _draws() == expected
    assert model.net_g.training and model.net_g.body[0].training and not model.net_g.body[1].training
    first = model.metric_results
    validate(model, loader, 2, None, False)
    assert model.metric_results == first  # drawn anew from the seed and the image, not from where training stands
    model.opt["manual_seed"] = 8
    validate(model, loader, 3, None, False)
    assert model.metric_results != first


def test_workers_give_the_same(case, images, tmp_path):
    model = case.make_model(case.options(tmp_path))
    loader = case.make_loader(images / "five")
    validate(model, loader, 1, None, False)
    first = model.metric_results
    validate(model, torch.utils.data.DataLoader(loader.dataset, num_workers=2), 2, None, False)
    assert model.metric_results == first


# ---------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("deferred", [True, False])
def test_interrupted_validation_records_nothing(case, images, tmp_path, deferred):
    model = case.make_model(case.options(tmp_path))
    loader = case.make_loader(images / "five")
    validate(model, loader, 1, None, False)
    before = model.metric_results, {**model.best_metric_results["five"]["psnr"]}, _files(tmp_path)
    with signals.handle_signals():
        if deferred:
            signals.defer()
        interrupted = torch.utils.data.DataLoader(case.Signalled(loader.dataset, 2, signal.SIGINT))
        with pytest.raises(signals.Interrupted, match="Ctrl-C"):
            validate(model, interrupted, 2, None, False)
    assert before == (model.metric_results, model.best_metric_results["five"]["psnr"], _files(tmp_path))
    assert model.net_g.training


def test_signal_in_the_last_image_loses_nothing(case, images, tmp_path):
    model = case.make_model(case.options(tmp_path))
    loader = torch.utils.data.DataLoader(case.Signalled(case.make_loader(images / "five").dataset, 4))
    with signals.handle_signals():
        signals.defer()
        validate(model, loader, 2, None, False)
        assert signals.stop_requested() == signal.SIGTERM
    assert model.best_metric_results["five"]["psnr"]["iter"] == 2


def test_bad_images_and_empty_sets(case, images, tmp_path):
    model = case.make_model(case.options(tmp_path))
    with pytest.raises(DataError, match=r"picture\.1"):
        validate(model, case.make_loader(images / "broken"), 1, None, False)
    loader = case.make_loader(images / "one")
    loader.dataset.keys = []
    with pytest.raises(DataError, match="'five'"):
        validate(model, loader, 1, None, False)
    assert not hasattr(model, "metric_results")


def test_metric_that_fails_for_one_image_is_nan_there_and_named(case, images, tmp_path, log):
    @METRIC_REGISTRY.register()
    def calculate_now_and_then(img, img2=None, broken=(), **kwargs):
        calls.append(img.shape)
        if len(calls) in broken:
            raise np.linalg.LinAlgError("SVD did not converge")
        return float("nan") if len(calls) == 4 else float(len(calls))

    calls = []
    metrics = {
        "odd": {"type": "calculate_now_and_then", "broken": [2]},
        "psnr": {"type": "calculate_psnr", "crop_border": 0},
    }
    model = case.make_model(case.options(tmp_path, metrics=metrics))
    validate(model, case.make_loader(images / "five"), 5, None, False)
    assert model.metric_results["odd"] == (1 + 3 + 5) / 3 and model.metric_results["psnr"] > 0
    assert [text for text in log if "no value" in text] == [
        "Validation five: no value for picture.1: odd: LinAlgError: SVD did not converge",
        "Validation five: no value for picture.3: odd: it is not a number",
    ]
    assert "Validation five: odd is over 3 of 5 images" in log
    assert [row.get("images") for row in read_log(tmp_path / "metrics.csv")] == ["3", ""]

    model.opt["val"]["metrics"]["odd"]["broken"] = range(100)
    validate(model, case.make_loader(images / "five"), 6, None, False)
    assert np.isnan(model.metric_results["odd"]) and model.best_metric_results["five"]["odd"]["iter"] == 5


def test_missing_weights_are_no_fault_of_an_image(case, images, tmp_path):
    @METRIC_REGISTRY.register()
    def calculate_without_weights(img, **kwargs):
        raise WeightsError("no file")

    model = case.make_model(case.options(tmp_path, metrics={"odd": {"type": "calculate_without_weights"}}))
    with pytest.raises(WeightsError):
        validate(model, case.make_loader(images / "five"), 5, None, False)


# ---------------------------------------------------------------------------------------------- what is kept


def test_metrics_and_curves_are_kept_while_training(case, images, tmp_path):
    model = case.make_model(case.options(tmp_path))
    loader = case.make_loader(images / "five")
    for iteration in (2, 4, 4):  # BasicSR's closing validation repeats the last one
        validate(model, loader, iteration, None, False)
    rows = read_log(tmp_path / "metrics.csv")
    assert [(row["iter"], row["metric"]) for row in rows] == [
        ("2", "psnr"),
        ("2", "ssim"),
        ("4", "psnr"),
        ("4", "ssim"),
    ]
    assert float(rows[0]["value"]) == model.metric_results["psnr"]
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_kept_when_testing(case, images, tmp_path):
    model = case.make_model(case.options(tmp_path, is_train=False))
    validate(model, case.make_loader(images / "one"), "case", None, False)
    assert _files(tmp_path) == {}


def test_curves_that_cannot_be_drawn_are_a_warning(case, images, tmp_path, log):
    (tmp_path / "losses.png").mkdir()
    model = case.make_model(case.options(tmp_path))
    validate(model, case.make_loader(images / "one"), 2, None, False)
    assert "losses.png could not be drawn: IsADirectoryError" in log[-1]
    assert len(read_log(tmp_path / "metrics.csv")) == 2


def test_an_image_that_is_too_small_for_a_metric(case, images, tmp_path, log):
    metrics = {"niqe": {"type": "calculate_niqe", "crop_border": 60}}
    validate(case.make_model(case.options(tmp_path, metrics=metrics)), case.make_loader(images / "one"), 5, None, False)
    (told,) = [text for text in log if "no value" in text]
    assert "picture.3" in told and "niqe" in told and "96 x 192" in told

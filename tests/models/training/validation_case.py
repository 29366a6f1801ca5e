"""A small model and its validation sets for test_validation; as a script, training and validation on several ranks."""

import importlib.util
import json
import os
import random
import signal
import sys
from pathlib import Path

from prismsr.models.training import signals
from prismsr.models.training.basicsr_patches import init_dist, patch_basicsr
from prismsr.models.training.rank_agreement import leave
from prismsr.models.training.validation import validate

import cv2
import numpy as np
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import sr_model
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import ARCH_REGISTRY, MODEL_REGISTRY
from torch import nn

SIZES = [(96, 60), (48, 110), (100, 52), (56, 96), (98, 50)]  # LQ height, width; NIQE wants two blocks of 96x96 of x2
PSNR_SSIM = {
    "psnr": {"type": "calculate_psnr", "crop_border": 4, "test_y_channel": True},
    "ssim": {"type": "calculate_ssim", "crop_border": 4, "better": "higher"},
}
NIQE = {"niqe": {"type": "calculate_niqe", "crop_border": 0, "better": "lower"}}


@ARCH_REGISTRY.register()
class TinyBatchNormNet(nn.Module):
    """x2, with running statistics, which differ from rank to rank."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 1, 1))

    def forward(self, x):
        return nn.functional.pixel_shuffle(self.body(x), 2) + nn.functional.interpolate(x, scale_factor=2)


class NoisyModel(SRModel):
    """A model whose result is drawn, as a diffusion model's is."""

    def test(self):
        super().test()
        self.output += 0.1 * torch.randn_like(self.output) + 0.1 * random.random() * np.random.rand()


class Signalled(torch.utils.data.Dataset):
    """A wrapper; asks its own process to end when the item is read."""

    def __init__(self, dataset, index, number=signal.SIGTERM):
        self.dataset, self.opt, self.index, self.number = dataset, dataset.opt, index, number

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        if index == self.index:
            os.kill(os.getpid(), self.number)
        return self.dataset[index]


def original_validation():
    """BasicSR's own SRModel.nondist_validation, whatever stands in its place."""
    registered = MODEL_REGISTRY._obj_map.pop("SRModel")
    try:
        spec = importlib.util.spec_from_file_location("basicsr.models.installed_sr_model", sr_model.__file__)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        MODEL_REGISTRY._obj_map["SRModel"] = registered
    return module.SRModel.nondist_validation


def make_images(folder):
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate(SIZES):
        gt = cv2.GaussianBlur(rng.integers(0, 255, (height * 2, width * 2, 3), dtype=np.uint8), (0, 0), 2)
        lq = cv2.resize(gt, (width, height), interpolation=cv2.INTER_AREA)
        for name, image in (("gt", gt), ("lq", lq)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(folder / name / f"picture.{number}.png"), image)


def options(folder, is_train=True, **val):
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    training = {
        "ema_decay": 0,
        "total_iter": 10,
        "pixel_opt": {"type": "L1Loss"},
        "optim_g": {"type": "Adam", "lr": 1e-2},
        "scheduler": {"type": "MultiStepLR", "milestones": [100]},
    }
    return {
        **{"name": "case", "is_train": is_train, "num_gpu": 0, "scale": 2, "manual_seed": 7},
        **{"dist": world_size > 1, "rank": rank, "world_size": world_size},
        "network_g": {"type": "TinyBatchNormNet"},
        "path": {"visualization": str(folder / "visualization"), "experiments_root": str(folder)},
        "train": training,
        "val": {"suffix": None, "metrics": PSNR_SSIM, **val},
    }


def make_model(opt, kind=SRModel):
    torch.manual_seed(1)
    return kind(opt)


def make_loader(folder, name="five", gt=True, phase="val"):
    opt = {
        "name": name,
        "type": "PairedImageMaskDataset",
        "phase": phase,
        "scale": 2,
        "dataroot_lq": str(folder / "lq"),
    }
    opt["dataroot_gt"] = str(folder / "gt")
    if not gt:
        opt |= {"type": "SingleImageDataset", "io_backend": {"type": "disk"}}
    return build_dataloader(build_dataset(opt), opt)


def train(model, steps=3):
    """Steps on batches of this rank's own."""
    generator = torch.Generator().manual_seed(model.opt["rank"])
    for step in range(1, steps + 1):
        gt = torch.rand(2, 3, 16, 16, generator=generator)
        model.feed_data({"gt": gt, "lq": nn.functional.avg_pool2d(gt, 2)})
        model.optimize_parameters(step)


def _figures(model):
    return {"results": model.metric_results, "best": model.best_metric_results}


def _sets(root):
    return [("five", root / "five"), ("one", root / "one")]


def _compare(model, root, out):
    """Validation of all sets; returns what this rank ended with."""
    figures = {}
    for name, folder in _sets(root):
        validate(model, make_loader(folder, name), 4, None, True)
        figures[name] = _figures(model)
    model.opt["val"]["metrics"] = NIQE
    validate(model, make_loader(root / "five", "blind", gt=False), 4, None, False)
    figures["blind"] = _figures(model)
    noisy = make_model(options(out))
    noisy.__class__ = NoisyModel
    validate(noisy, make_loader(root / "five", "noisy"), 4, None, False)
    figures["noisy"] = _figures(noisy)
    return figures


def _on_ranks(root, out):
    model = make_model(options(out))
    train(model)
    if model.opt["rank"] == 0:
        torch.save(model.net_g.module.state_dict(), out / "net_g.pth")
    before = model.net_g
    figures = _compare(model, root, out)
    assert model.net_g is before and model.net_g.training and model.net_g.module.training
    train(model)  # the ranks are still in step
    return figures


def alone(root, out):
    """The figures of one process, with the network that the ranks have trained."""
    model = make_model(options(out))
    model.net_g.load_state_dict(torch.load(out / "net_g.pth"))
    return _compare(model, root, out)


def _told(root, out, loader):
    model = make_model(options(out))
    try:
        validate(model, loader, 4, None, False)
    except (Exception, signals.Interrupted) as error:
        said = f"{type(error).__name__}: {error}"
    else:
        said = "nothing"
    return {"said": said, "recorded": hasattr(model, "metric_results")}


def _interrupted(root, out):
    loader = make_loader(root / "five")
    with signals.handle_signals():
        signals.defer()
        # rank 1 alone is signalled, in the first of its two images
        return _told(root, out, torch.utils.data.DataLoader(Signalled(loader.dataset, 1)))


def _broken(root, out):
    return _told(root, out, make_loader(root / "broken"))


def main(task, root, out):
    root, out = Path(root), Path(out)
    patch_basicsr()
    init_dist("pytorch")
    tasks = {"ranks": _on_ranks, "interrupted": _interrupted, "broken": _broken}
    result = {name: tasks[name](root, out) for name in task.split(",")}
    (out / f"{os.environ['RANK']}.json").write_text(json.dumps(result))
    leave(0)


if __name__ == "__main__":
    main(*sys.argv[1:])

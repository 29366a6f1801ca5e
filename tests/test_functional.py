"""prismsr.functional where nothing but torch and numpy can be imported."""

import json
import os
import subprocess
import sys

import prismsr
from prismsr import functional

import pytest

REFUSED = (
    *("basicsr", "lmdb", "pydantic", "torchvision", "cv2", "yaml", "diffusers", "open_clip", "pyiqa", "scipy"),
    *("skimage", "PIL", "safetensors", "timm", "tqdm", "spandrel", "sklearn", "matplotlib", "stlpips_pytorch"),
)
WITHOUT = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if any(name == refused or name.startswith(refused + ".") for refused in json.loads(sys.argv[1])):
            raise ModuleNotFoundError(f"{name} is refused", name=name)

sys.meta_path.insert(0, Refuse())
"""
COMPUTE = """
import torch
from prismsr import functional
torch.manual_seed(0)
sr, gt = torch.rand(2, 1, 3, 40, 40, dtype=torch.float64)
mask = functional.edge_mask(gt)
graph = functional.self_similarity_graph(sr, mask)[0]
loss = functional.self_similarity_loss(sr, gt, mask)
more = [functional.ldl_loss(sr, gt, gt), functional.best_buddy_loss(sr, gt), functional.gradient_loss(sr, gt)]
more += [functional.back_projection_loss(sr, gt[..., ::4, ::4]), functional.flat_mask(gt, std=0.3).sum()]
more = [float(value) for value in more]
names = functional.__all__
"""
PRINT = """
import prismsr
figures = [float(loss), graph.sum().item(), functional.psnr_loss(sr, gt).item(), more]
print(json.dumps([names, *figures, prismsr.__version__]))
try:
    functional.psnr([sr[0, 0].numpy()], [gt[0, 0].numpy()])
except ModuleNotFoundError as error:
    print(error.name)
try:
    prismsr.load_generator
except ModuleNotFoundError as error:
    print(error.name)
"""


def test_functions_without_basicsr_and_what_it_needs():
    command = [sys.executable, "-c", WITHOUT + COMPUTE + PRINT, json.dumps(REFUSED)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    values, psnr_needs, generator_needs = done.stdout.splitlines()
    here: dict = {}
    exec(COMPUTE, here)
    names, loss, total, psnr_loss, more, version = json.loads(values)
    assert names == functional.__all__
    assert loss == pytest.approx(float(here["loss"]), rel=1e-12) and loss > 0
    assert total == pytest.approx(float(here["graph"].sum()), rel=1e-12)
    assert psnr_loss == pytest.approx(functional.psnr_loss(here["sr"], here["gt"]).item(), rel=1e-12)
    assert more == pytest.approx(here["more"], rel=1e-12) and min(more) > 0
    assert version == prismsr.__version__
    assert psnr_needs == "cv2"
    assert generator_needs in REFUSED

from dataclasses import replace

from prismsr.archs.clip.clip_arch import Clip
from prismsr.archs.feat_d_arch import FeatD
from prismsr.tools.reporting.demonstrations import METHODS
from prismsr.tools.reporting.feature_map import draw_feature_maps, map_logits

import numpy as np
import torch
import yaml
from clip_tiny import CLIP
from report_case import read_image

FEAT_D = {"channels": [32, 64, 128], "num_feat": 8}


def test_map_is_feat_d_on_the_rgb_image():
    torch.manual_seed(0)
    clip, feat_d = Clip(**CLIP), FeatD(**FEAT_D).eval()
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.float64)
    rgb = torch.from_numpy(image[..., ::-1].copy() / 255).permute(2, 0, 1)[None].float()
    made = map_logits(clip, feat_d, image)
    assert made.shape == (32, 48)
    np.testing.assert_allclose(made, feat_d(clip.image(rgb).middle)[0, 0].detach(), atol=1e-5)


def test_a_row_for_each_image_and_what_was_found(tree):
    """The checkpoint of the experiment judges: one that says the same everywhere finds no place of GT more real."""
    options = {"name": "demo_b", "clip": CLIP, "network_d_feat": {"type": "FeatD", **FEAT_D}}
    (tree / "options" / "demo").mkdir(parents=True)
    (tree / "options" / "demo" / "b.yml").write_text(yaml.safe_dump(options))
    feat_d = FeatD(**FEAT_D)
    torch.nn.init.zeros_(feat_d.last.weight)
    torch.nn.init.constant_(feat_d.last.bias, 2.0)
    models = tree / "experiments" / "demo_b" / "models"
    models.mkdir(parents=True)
    torch.save({"params": feat_d.state_dict()}, models / "net_d_feat_latest.pth")
    (tree / "results").rename(tree / "evaluation")
    shown = replace(METHODS["sfd"], shown={"a": "a.yml", "b": "b.yml"}, titles={"a": "A", "b": "B"}, rivals=("a", "b"))
    ((_, path, sentence),) = draw_feature_maps(tree, tree, shown)
    assert "at 0% of the places" in sentence and "2.00 on GT and 2.00 on B" in sentence
    assert read_image(path).shape[1] == 990

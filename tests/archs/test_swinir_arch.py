"""SwinIR with the release's padding: its figures, and BasicSR's SwinIR on the mirrored image."""

from prismsr.archs.swinir_arch import SwinIRExtraWindow
from prismsr.utils.options.check import check_options

import numpy as np
import pytest
import torch
from basicsr.archs import build_network
from basicsr.archs.swinir_arch import SwinIR
from wave_case import assert_figures, set_waves, wave_image

TINY = {
    "upscale": 4,
    "img_size": 8,
    "window_size": 4,
    "depths": [2],
    "embed_dim": 12,
    "num_heads": [2],
    "mlp_ratio": 2,
    "upsampler": "pixelshuffle",
    "resi_connection": "1conv",
}


@torch.no_grad()
@pytest.mark.parametrize(
    ("size", "figures"),
    [
        ((8, 8), {"sum": 1337.300549, "first": 0.4380181398, "last": 0.4256456948}),
        ((7, 10), {"sum": 1462.422365, "first": 0.4380101159, "last": 0.4254497108}),
    ],
)
def test_gives_the_figures_of_the_release(size, figures):
    net = set_waves(SwinIRExtraWindow(**TINY)).eval()
    assert_figures(net(wave_image(1, 3, *size)), (1, 3, 4 * size[0], 4 * size[1]), **figures)


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 9), (2, 3)])
def test_is_the_one_of_basicsr_on_the_mirrored_image(size):
    theirs = SwinIR(**TINY).eval()
    ours = SwinIRExtraWindow(**TINY).eval()
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(1, 3, *size)
    added = [(0, 0), (0, 0), *((0, 4 - side % 4) for side in size)]
    expected = theirs(torch.from_numpy(np.pad(image.numpy(), added, mode="symmetric")))
    assert torch.equal(ours(image), expected[..., : 4 * size[0], : 4 * size[1]])


def test_is_registered_with_the_arguments_of_swinir():
    entry = {"type": "SwinIRExtraWindow", **TINY}
    assert isinstance(build_network(entry), SwinIRExtraWindow)
    options = {"scale": 4, "network_g": {**entry, "widow_size": 4}}
    found = check_options(options, "x.yml", missing_paths="note", is_train=True)
    assert [problem.key for problem in found if problem.key.startswith("network_g")] == ["network_g.widow_size"]

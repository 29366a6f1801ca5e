"""The small autoencoder with a codebook that a demo trains."""

from prismsr.archs.resshift.image_vq_arch import ImageVQ
from prismsr.archs.resshift.options import VQOptions
from prismsr.archs.resshift.vq_model import build_vq
from prismsr.losses.latent_loss import LatentLoss
from prismsr.utils.errors import OptionError

import pytest
import torch

VQ = {"channels": [8, 8], "layers": 1, "codes": 64, "groups": 1, "attention": False}


@pytest.fixture
def images(photograph_tensor):
    return torch.cat([photograph_tensor[:, :, 40:72, left : left + 32] for left in (20, 60, 100, 140)])


def test_it_learns_images_and_their_codes(images, tmp_path):
    net = ImageVQ(VQ)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        output = dict(zip(net.OUTPUTS, net(images), strict=True))
        codes = LatentLoss()(output["latent_prediction"], output["latent"])
        losses.append([(output["sr"] - images).abs().mean().item(), codes.item()])
        optimizer.zero_grad()
        ((output["sr"] - images).abs().mean() + codes).backward()
        assert all(parameter.grad is not None for parameter in net.parameters())
        optimizer.step()
    assert losses[-1][0] < 0.8 * losses[0][0] and losses[-1][1] < losses[0][1]
    with torch.no_grad():
        whole = net.train()(images)[0]
        assert torch.allclose(net.eval()(images), whole, atol=1e-5)
        torch.save({"params": net.state_dict()}, tmp_path / "vq.pth")
        vq = build_vq(VQOptions.model_validate({**VQ, "path": str(tmp_path / "vq.pth")}))
        assert torch.allclose((vq(2 * images - 1).sample + 1) / 2, whole, atol=1e-5)


@pytest.mark.parametrize("size, wrong", [(32, 0), (31, 1)])
def test_patches_have_a_multiple_of_the_factor(size, wrong):
    entry = {"type": "ImageVQ", "vq": VQ}
    problems = list(ImageVQ.check_patch(entry, "network_g", size, "datasets.train.gt_size"))
    assert [problem.key for problem in problems] == wrong * ["datasets.train.gt_size"]


def test_an_output_norm_of_single_channels_is_refused():
    with pytest.raises(OptionError, match=r"network_g\.vq\.groups"):
        ImageVQ({**VQ, "groups": 8})

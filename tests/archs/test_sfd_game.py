"""The parts together, as a training step plays them."""

from prismsr.archs.feat_d_arch import FeatD
from prismsr.archs.prompt_discriminator_arch import PromptDiscriminator

import pytest
import torch
from torch.nn import functional as F


@pytest.fixture
def players(clip):
    torch.manual_seed(0)
    return FeatD(clip.image.channels, 8), PromptDiscriminator(width=16).attach(clip.text)


def test_generator_s_loss_reaches_the_images_and_no_weights(clip, players, images):
    for net in players:
        net.requires_grad_(False)
        sr = images.clone().requires_grad_()
        only = {kind: kind == net.features for kind in ("middle", "final")}
        F.softplus(-net(clip.image(sr, **only))).mean().backward()
        assert sr.grad.isfinite().all() and sr.grad.abs().max() > 0
        assert not [parameter for parameter in [*net.parameters(), *clip.parameters()] if parameter.grad is not None]


def test_discriminators_learn_and_clip_stays_as_it_is(clip, players, images):
    before = {name: value.clone() for name, value in clip.state_dict().items()}
    blurred = F.interpolate(F.avg_pool2d(images, 4), scale_factor=4, mode="bilinear")
    real, fake = clip.image(images), clip.image(blurred)
    assert not real.final.requires_grad
    for net in players:
        optimizer = torch.optim.Adam([parameter for parameter in net.parameters() if parameter.requires_grad], 1e-2)
        clip.train(), net.train()
        losses = []
        for _ in range(60):
            optimizer.zero_grad()
            loss = F.softplus(-net(real)).mean() + F.softplus(net(fake)).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.5 * losses[0], (type(net), losses)
        assert net(real).mean() > net(fake).mean()
    after = clip.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(value, after[name]) for name, value in before.items())

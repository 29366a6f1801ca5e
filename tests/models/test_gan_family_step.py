"""Steps with two discriminators, views, a second output and the losses of SSL's table 1, beside a plain loop."""

from copy import deepcopy

from prismsr.utils.errors import UserError

import pytest
import torch
from basicsr.archs import build_network
from torch import Tensor
from torch.nn import functional as F

STEPS, DECAY = 3, 0.9
SGD = {"type": "SGD", "lr": 0.05}
RAGAN = {"type": "AdversarialLoss", "relativistic": True, "loss_weight": 0.1}
SPSR = {
    "l_g_pix": {"type": "L1Loss", "loss_weight": 0.1},
    "l_g_grad": {"type": "GradientLoss", "loss_weight": 0.2},
    "l_g_branch": {"type": "BranchLoss", "loss_weight": 0.5},
    "l_g_gan": RAGAN,
    "l_g_gan_grad": {**RAGAN, "discriminator": "d_grad", "view": "gradient"},
}
BEBY_LDL = {
    "l_g_buddy": {"type": "BestBuddyLoss"},
    "l_g_back": {"type": "BackProjectionLoss"},
    "l_g_ldl": {"type": "LDLLoss", "loss_weight": 10.0},
    "l_g_gan": {**RAGAN, "view": "textured", "view_options": {"size": 7, "std": 0.05}},
    "l_g_gan_grad": {**RAGAN, "relativistic": False, "discriminator": "d_grad"},
}
PLAIN = {"type": "SRVGGNetCompact", "num_feat": 4, "num_conv": 1}
LINEAR = {"type": "VGGDiscriminator", "num_feat": 2, "input_size": 128}


# --------------------------------------------------------------------- the same, written a second time


def _gradients(images: Tensor) -> Tensor:
    kernel = torch.zeros(2, 1, 3, 3)
    kernel[0, 0, :, 1] = kernel[1, 0, 1, :] = torch.tensor([-1.0, 0.0, 1.0])
    both = F.conv2d(images.flatten(0, 1)[:, None], kernel, padding=1)
    return (both.square().sum(1) + 1e-6).sqrt().view_as(images)


def _textured(images: Tensor, gt: Tensor) -> Tensor:
    luma = torch.einsum("bchw,c->bhw", gt, torch.tensor([0.2989, 0.587, 0.114]))[:, None]
    windows = F.pad(luma, (3, 3, 3, 3), mode="reflect").unfold(2, 7, 1).unfold(3, 7, 1)
    return images * (windows.flatten(4).std(-1) >= 0.05)


def _buddies(sr: Tensor, gt: Tensor) -> Tensor:
    def cut(images):
        return images.unfold(2, 3, 3).unfold(3, 3, 3).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)

    versions = [gt, *(F.interpolate(gt, scale_factor=s, mode="bicubic") for s in (0.5, 0.25))]
    candidates = torch.cat([cut(version) for version in versions], 1)
    with torch.no_grad():
        distances = torch.cdist(cut(sr), candidates) ** 2 + torch.cdist(cut(gt), candidates) ** 2
    chosen = distances.argmin(2, keepdim=True).expand(-1, -1, candidates.shape[2])
    return (cut(sr) - candidates.gather(1, chosen)).abs().mean()


def _artefacts(sr: Tensor, gt: Tensor, ema: Tensor) -> Tensor:
    residual, of_ema = ((gt - images).abs().sum(1, keepdim=True) for images in (sr, ema))
    windows = F.pad(residual, (3, 3, 3, 3), mode="reflect").unfold(2, 7, 1).unfold(3, 7, 1)
    weight = residual.flatten(1).var(1)[:, None, None, None] ** 0.2 * windows.flatten(4).var(-1)
    weight = weight * (residual >= of_ema)
    return (weight * (sr - gt)).abs().mean()


def _bce(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def _fool(net, sr, gt, relativistic=True):
    if not relativistic:
        return 0.1 * _bce(net(sr), 1.0)
    real, fake = net(gt).detach(), net(sr)
    return 0.1 * (_bce(real - fake.mean(), 0.0) + _bce(fake - real.mean(), 1.0)) / 2


def _judge(net, sr, gt, relativistic=True):
    real, fake = net(gt), net(sr)
    if not relativistic:
        return _bce(real, 1.0) + _bce(fake, 0.0)
    return (_bce(real - fake.mean().detach(), 1.0) + _bce(fake - real.mean().detach(), 0.0)) / 2


class _Spsr:
    views = (lambda images, gt: images, lambda images, gt: _gradients(images))
    relativistic = (True, True)

    @staticmethod
    def losses(output, gt, lq, ema):
        sr, branch = output
        return sr, {
            "l_g_pix": 0.1 * (sr - gt).abs().mean(),
            "l_g_grad": 0.2 * (_gradients(sr) - _gradients(gt)).square().mean(),
            "l_g_branch": 0.5 * (branch - _gradients(gt)).abs().mean(),
        }


class _BebyLdl:
    views = (_textured, lambda images, gt: images)
    relativistic = (True, False)

    @staticmethod
    def losses(output, gt, lq, ema):
        index = torch.arange(-6, 134)
        index = torch.where(index < 0, -1 - index, torch.where(index > 127, 255 - index, index))
        mirrored = output[:, :, index][:, :, :, index]
        x = ((torch.arange(16) - 7.5) / 4).abs()
        taps = torch.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
        taps = taps / taps.sum()
        kernel = (taps[:, None] * taps).expand(3, 1, 16, 16)
        reduced = F.conv2d(mirrored, kernel, stride=4, groups=3)
        return output, {
            "l_g_buddy": _buddies(output, gt),
            "l_g_back": (reduced - lq).abs().mean(),
            "l_g_ldl": 10.0 * _artefacts(output, gt, ema),
        }


def _train_plainly(method, nets, batches):
    """The states after each step, and the logs."""
    net_g, net_ema, *discriminators = nets
    optimizers = [torch.optim.SGD([p for p in n.parameters() if p.requires_grad], 0.05) for n in (net_g, *nets[2:])]
    logs = []
    for batch in batches:
        gt, lq = batch["gt"], batch["lq"]
        with torch.no_grad():
            ema = net_ema(lq)
        sr, log = method.losses(net_g(lq), gt, lq, ema)
        playing = list(zip(("l_g_gan", "l_g_gan_grad"), discriminators, method.views, method.relativistic, strict=True))
        for name, net_d, view, relativistic in playing:
            log[name] = _fool(net_d, view(sr, gt), view(gt, gt), relativistic)
        optimizers[0].zero_grad()
        sum(log.values()).backward()
        optimizers[0].step()
        for (_, net_d, view, relativistic), optimizer in zip(playing, optimizers[1:], strict=True):
            optimizer.zero_grad()
            _judge(net_d, view(sr.detach(), gt), view(gt, gt), relativistic).backward()
            optimizer.step()
        with torch.no_grad():
            for average, value in zip(net_ema.parameters(), net_g.parameters(), strict=True):
                average.copy_(DECAY * average + (1 - DECAY) * value)
        logs.append({name: value.item() for name, value in log.items()})
    return logs


@pytest.mark.usefixtures("double", "spsr")
@pytest.mark.parametrize(
    ("network_g", "losses", "method"),
    [({"type": "TwoOutputsNet"}, SPSR, _Spsr), (PLAIN, BEBY_LDL, _BebyLdl)],
    ids=["spsr", "beby_ldl"],
)
def test_steps_equal_a_plain_loop(make_model, make_batch, network_g, losses, method):
    model = make_model(LINEAR, SGD, network_g, second=LINEAR, losses=losses, ema_decay=DECAY)
    batches = [make_batch(40 * number, samples=2, size=128) for number in range(STEPS)]
    nets = [deepcopy(net) for net in (model.net_g, model.net_g_ema, *model.discriminators.values())]
    logs = _train_plainly(method, nets, batches)
    for iteration, (batch, log) in enumerate(zip(batches, logs, strict=True), 1):
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        found = model.get_current_log()
        assert {name: found[name] for name in log} == pytest.approx(log, rel=1e-9)
    ours = (model.net_g, model.net_g_ema, *model.discriminators.values())
    for net, expected in zip(ours, nets, strict=True):
        for (name, value), other in zip(net.named_parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(value, other, rtol=1e-8, atol=1e-10, msg=name)


def test_outputs_have_to_be_those_that_the_network_declares(make_model, make_batch, spsr, monkeypatch):
    model = make_model(**spsr)
    monkeypatch.setattr(type(model.net_g), "OUTPUTS", ("sr",))
    model.feed_data(make_batch())
    with pytest.raises(UserError, match="TwoOutputsNet returned 2 outputs"):
        model.optimize_parameters(1)


def test_validation_and_average_see_sr_alone(make_model, make_batch, spsr):
    model = make_model(**spsr, grad_clip=1.0, net_d_iters=2)
    for iteration in (1, 2):
        model.feed_data(make_batch())
        model.optimize_parameters(iteration)
        assert model.output.shape == model.gt.shape
    model.lq = torch.rand(1, 3, 9, 14)
    model.test()
    assert model.output.shape == (1, 3, 36, 56)
    assert build_network({"type": "TwoOutputsNet"}).eval()(model.lq).shape == (1, 3, 36, 56)

"""SFD's training step: who learns from what, and no pass of CLIP more than needed."""

from copy import deepcopy

import pytest
import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from clip_tiny import CLIP
from torch.nn import functional as F

FEAT = {"type": "AdversarialLoss", "discriminator": "d_feat", "features": "clip", "loss_weight": 0.1}
TEXT = {"type": "AdversarialLoss", "discriminator": "d_tg", "features": "clip", "loss_weight": 0.1}
NETWORKS = {
    "d_feat": {"type": "FeatD", "channels": [32, 64, 128], "num_feat": 8},
    "d_tg": {"type": "PromptDiscriminator", "width": 16, "context_length": 4},
    "d": {"type": "UNetDiscriminatorSN", "num_in_ch": 3, "num_feat": 4},
}


@pytest.fixture
def batch(photograph_tensor):
    gt = torch.cat([photograph_tensor[:, :, 40:104, x : x + 64] for x in (10, 200)]).to(torch.get_default_dtype())
    return {"gt": gt, "lq": F.avg_pool2d(gt, 4)}


def _model(tmp_path, losses, **train):
    optimizer = {"type": "Adam", "lr": 1e-3}
    names = {entry["discriminator"] for entry in losses.values() if "discriminator" in entry}
    options = {
        "name": "sfd", "model_type": "PrismSRModel", "scale": 4, "num_gpu": 0, "dist": False, "rank": 0,
        "world_size": 1, "is_train": True, "clip": deepcopy(CLIP),
        "network_g": {"type": "SRVGGNetCompact", "num_feat": 8, "num_conv": 1, "upscale": 4},
        "path": {"models": str(tmp_path), "training_states": str(tmp_path)},
        **{f"network_{name}": NETWORKS[name] for name in names},
        "train": {
            "optim_g": optimizer, "scheduler": {"type": "MultiStepLR", "milestones": [100]}, "losses": losses,
            **{f"optim_{name}": optimizer for name in names}, **train,
        },
    }  # fmt: skip
    set_random_seed(0)
    return build_model(options)


def _step(model, batch, iteration=1):
    model.feed_data(batch)
    model.optimize_parameters(iteration)
    return model.get_current_log()


def _count(module, passes):
    module.register_forward_hook(lambda *args: passes.append(1))


@pytest.mark.parametrize("losses", [{"l_g_feat": FEAT, "l_g_tg": TEXT}, {"l_g_feat": FEAT}, {"l_g_tg": TEXT}])
def test_one_pass_over_sr_and_one_over_gt_for_all_terms(tmp_path, batch, losses):
    model = _model(tmp_path, losses)
    image, text, deepest, pooled = [], [], [], []
    _count(model.clip.clip.image, image)
    _count(model.clip.clip.text, text)
    _count(model.clip.clip.image.visual.layer4, deepest)
    model.clip.clip.image._pool, pool = lambda x: (pooled.append(1), pool(x))[1], model.clip.clip.image._pool
    for iteration in range(1, 4):
        _step(model, batch, iteration)
        assert (len(image), len(text)) == (2 * iteration, iteration * ("l_g_tg" in losses))
        assert len(deepest) == len(pooled) == 2 * iteration * ("l_g_tg" in losses)


def test_each_learns_and_clip_does_not(tmp_path, batch):
    model = _model(tmp_path, {"l_g_feat": FEAT, "l_g_tg": TEXT})  # no other loss reaches the generator
    before = {name: deepcopy(net.state_dict()) for name, net in _nets(model).items()}
    frozen = {**dict(model.clip.clip.named_parameters()), **dict(model.clip.clip.named_buffers())}
    kept = {name: value.clone() for name, value in frozen.items()}
    for iteration in range(1, 4):
        log = _step(model, batch, iteration)
    assert {"l_g_feat", "l_g_tg", "l_d_feat_real", "l_d_tg_fake"} <= log.keys()
    for name, net in _nets(model).items():
        assert any(not torch.equal(value, before[name][key]) for key, value in net.state_dict().items()), name
    assert all(torch.equal(value, kept[name]) for name, value in frozen.items())
    assert all(parameter.grad is None for parameter in model.clip.clip.parameters())


def _nets(model):
    return {"g": model.net_g, **model.discriminators}


def test_discriminators_see_the_ground_truth_as_real_and_the_output_as_fake(tmp_path, batch):
    model = _model(tmp_path, {"l_g_feat": FEAT, "l_g_tg": TEXT})
    seen = {name: [] for name in model.discriminators}
    for name, net in model.discriminators.items():
        net.register_forward_pre_hook(lambda module, given, calls=seen[name]: calls.append(given[0]))
    _step(model, batch)
    for calls in seen.values():
        assert len(calls) == 3  # the generator's, then real and fake
        for features, images in zip(calls, (model.output, batch["gt"], model.output), strict=True):
            expected = model.clip.clip.image(images, **model.clip.wanted)
            torch.testing.assert_close(features.final, expected.final)
            torch.testing.assert_close(features.middle, expected.middle)


@pytest.mark.parametrize("terms", [("l_g_feat",), ("l_g_tg",)])
def test_the_gradient_reaches_the_generator_through_each(tmp_path, batch, terms):
    losses = {"l_g_feat": FEAT, "l_g_tg": TEXT}
    model = _model(tmp_path, {name: losses[name] for name in terms})
    before = [parameter.clone() for parameter in model.net_g.parameters()]
    _step(model, batch)
    assert any(not torch.equal(now, then) for now, then in zip(model.net_g.parameters(), before, strict=True))


def test_beside_an_image_discriminator_with_half_precision_and_parts(tmp_path, batch):
    vanilla = {"type": "AdversarialLoss", "discriminator": "d", "loss_weight": 0.1}
    losses = {"l_g_pix": {"type": "L1Loss"}, "l_g_gan": vanilla, "l_g_feat": FEAT, "l_g_tg": TEXT}
    model = _model(tmp_path, losses, amp="bf16", accum_iter=2, grad_clip=1.0, ema_decay=0.9, net_d_iters=2)
    for iteration in range(1, 4):
        log = _step(model, batch, iteration)
        assert all(torch.isfinite(torch.tensor(value)) for value in log.values())
    assert ("l_g_feat" in log) is False  # the third step trains the discriminators alone
    model.save(0, 3)
    prompts = torch.load(tmp_path / "net_d_tg_3.pth", weights_only=True)["params"]
    assert list(prompts) == ["context"]
    assert not [
        key for key in torch.load(tmp_path / "net_d_feat_3.pth", weights_only=True)["params"] if "visual" in key
    ]


@pytest.mark.usefixtures("double")
def test_the_parts_of_a_batch_train_like_the_whole(tmp_path, batch):
    nets = []
    for parts in (1, 2):
        model = _model(tmp_path, {"l_g_tg": TEXT}, accum_iter=parts)
        _step(model, batch)
        nets.append({name: net.state_dict() for name, net in _nets(model).items()})
    for name, state in nets[0].items():
        for key, value in state.items():
            torch.testing.assert_close(nets[1][name][key], value, rtol=0, atol=1e-10)  # float64: rounding is 1e-12

"""The whole network: what is trained, what is saved, and where gradients go."""

import copy

from prismsr.archs.latent.trained_parts import copy_sharing_frozen, load_trainable, trainable_state
from prismsr.archs.lgcaa.options import LgcaaOptions
from prismsr.utils.errors import OptionError
from prismsr.utils.weights.files import WeightsError

import pytest
import torch
from basicsr.archs import build_network
from lgcaa_tiny import BASE, CONTEXT, LATENT, NETWORK, needs_half_precision

SIDE = 8 * LATENT
WINDOWED = {"local_window": 3}


def build(**changes):
    torch.manual_seed(3)
    return build_network({**NETWORK, **changes})


@pytest.fixture(scope="module")
def shared():
    return build()


@pytest.fixture
def net(shared):
    return copy.deepcopy(shared)


def inputs(batch=2, size=(LATENT, LATENT), seed=0):
    generator = torch.Generator().manual_seed(seed)
    z_t = torch.randn(batch, 4, *size, generator=generator)
    images = [torch.rand(batch, 3, side * size[0], side * size[1], generator=generator) for side in (8, 2)]
    return z_t, torch.arange(batch) * 300 + 5, *images


def loss_of(net, **given):
    noise, x_rgb = net(*inputs(**given))
    target = torch.randn(noise.shape, generator=torch.Generator().manual_seed(9))
    return (noise - target).square().mean() + sum((image - 0.5).square().mean() for image in x_rgb or ())


def group_of(name):
    """Which of the groups of the gradient map a parameter belongs to."""
    if name.startswith("unet."):
        return next((part for part in ("lgcaa.mlp.2", "lgcaa", "attn1", "attn2") if f".{part}." in name), "unet")
    if name.startswith("controlnet.controlnet_cond_embedding"):
        return "zero embedding" if ".conv_out." in name else "embedding"
    if name.startswith(("controlnet.controlnet_down_blocks", "controlnet.controlnet_mid_block")):
        return "zero convolutions"
    return name.split(".")[0]


def test_forward_gives_noise_and_an_image(net):
    noise, x_rgb = net(*inputs())
    assert noise.shape == (2, 4, LATENT, LATENT)
    assert [image.shape for image in x_rgb] == [(2, 3, SIDE, SIDE)]
    assert net.eval()(*inputs())[1] is None


def test_it_starts_as_the_plain_unet_with_the_same_tokens(net):
    plain = build(lgcaa={"mode": "none"})
    assert not [name for name, _ in plain.named_parameters() if "lgcaa" in name]
    with torch.no_grad():
        for other in (net, build(lgcaa={"preset": "paper_literal"})):
            plain.projection.load_state_dict(other.projection.state_dict())
            z_t, t, up, lr = inputs()
            context = plain.projection(plain.dino(lr))
            assert torch.equal(other(z_t, t, up, lr)[0], plain.unet(z_t, t, context).sample)


def test_trained_are_the_named_parts_and_no_other(net):
    frozen_unet = ("conv_", "time_embedding", "norm", "proj_", "ff.", "resnets", "samplers")
    for name, parameter in net.named_parameters():
        part = name.split(".")[0]
        in_attention = ".attn1." in name or ".attn2." in name
        expected = part in ("controlnet", "projection", "rgb_head") or (part == "unet" and in_attention)
        assert parameter.requires_grad == expected == (name in net.trained), name
        if part == "unet" and not expected:
            assert any(word in name for word in frozen_unet), name
    attentions = build(lgcaa={"mode": "none"}, train_pattern=["attn1"])
    assert not any(".attn2." in name for name in attentions.trained if name.startswith("unet."))


def test_gradients_reach_exactly_the_trained_parts(net):
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-3)
    still = {"lgcaa", "zero embedding", "controlnet"}
    for step in range(3):
        optimizer.zero_grad()
        loss_of(net).backward()
        for name, parameter in net.named_parameters():
            if name not in net.trained:
                assert parameter.grad is None, name
                continue
            assert parameter.grad is not None, name  # or DDP would wait for it
            if step == 0 and group_of(name) in still:
                assert not parameter.grad.any(), name
            elif step != 1:
                assert parameter.grad.any(), name
        optimizer.step()


@pytest.mark.parametrize("mode", ["pixelshuffle", "multiscale"])
def test_losses_of_x_rgb_reach_the_condition_alone(mode):
    net = build(rgb=mode)
    x_rgb = net(*inputs())[1]
    assert [image.shape[-1] for image in x_rgb] == ([SIDE] if mode == "pixelshuffle" else [32, 16, 8])
    sum(image.square().mean() for image in x_rgb).backward()
    reached = {group_of(name) for name, parameter in net.named_parameters() if parameter.grad is not None}
    assert reached == {"embedding", "rgb_head"}
    assert net.get_parameter("controlnet.controlnet_cond_embedding.conv_in.weight").grad.any()


def test_without_its_head_no_parameter_is_left_over():
    net = build(rgb=None)
    noise, x_rgb = net(*inputs())
    assert x_rgb is None and net.rgb_head is None
    noise.square().mean().backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


def test_frozen_parts_do_not_depend_on_the_mode(net):
    net.train()
    assert not any(module.training for part in (net.vae, net.dino) for module in part.modules())
    for module in net.modules():
        assert not isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        assert not (isinstance(module, torch.nn.Dropout) and module.p > 0)


def test_state_is_the_trained_tensors_alone(net, shared, tmp_path):
    state = trainable_state(net)
    assert list(state) == list(net.state_dict()) and sorted(state) == sorted(net.trained)
    assert not any(name.startswith(("vae", "dino")) for name in state)
    with torch.no_grad():
        for name in net.trained:
            net.get_parameter(name).add_(0.01)
    torch.save(trainable_state(net), tmp_path / "net.pth")
    other = copy.deepcopy(shared)
    load_trainable(other, torch.load(tmp_path / "net.pth", weights_only=True))
    with torch.no_grad():
        assert torch.equal(other(*inputs())[0], net(*inputs())[0])


def test_states_of_other_networks_are_refused(net):
    state = trainable_state(net)
    name = "projection.weight"
    with pytest.raises(WeightsError, match=r"file\.pth.*missing: projection\.weight"):
        load_trainable(net, {key: value for key, value in state.items() if key != name}, "file.pth")
    with pytest.raises(WeightsError, match=r"unknown: vae\.odd"):
        load_trainable(net, {**state, "vae.odd": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"of another size: projection\.weight"):
        load_trainable(net, {**state, name: torch.zeros(2, 2)})
    with pytest.raises(WeightsError, match="lgcaa"):
        load_trainable(build(lgcaa={"mode": "none"}), state)
    with pytest.raises(RuntimeError, match=r"projection\.weight"):
        net.load_state_dict({key: value for key, value in state.items() if key != name})


def test_random_weights_but_the_projections_are_the_same_whatever_the_generators_state(monkeypatch):
    torch.manual_seed(11)
    reseeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", reseeded.append)  # else all processes would draw equal noise
    first = build_network({**NETWORK})
    assert reseeded == []
    state = torch.get_rng_state()
    torch.manual_seed(11)
    torch.nn.Linear(24, CONTEXT)
    assert torch.equal(torch.get_rng_state(), state)  # the projection is all that they drew
    torch.manual_seed(12)
    second = build_network({**NETWORK})
    for (name, own), other in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(own, other) == (not name.startswith("projection.")), name


def test_average_shares_what_is_frozen(net):
    average = copy_sharing_frozen(net)
    for (name, own), other in zip(net.named_parameters(), average.parameters(), strict=True):
        assert (own is other) == (name not in net.trained), name
    assert list(average.state_dict()) == list(net.state_dict())
    with torch.no_grad():
        before = average(*inputs())[0]
        net.get_parameter("projection.weight").zero_()
        assert torch.equal(average(*inputs())[0], before)


@pytest.mark.parametrize("lgcaa", [{}, WINDOWED], ids=str)
def test_gradient_checkpointing_changes_nothing(lgcaa):
    grads = []
    for checkpointing in (False, True):
        net = build(lgcaa=lgcaa)
        torch.manual_seed(5)
        for name in net.trained:
            if ".mlp.2." in name or "controlnet_down" in name:
                torch.nn.init.normal_(net.get_parameter(name), std=0.1)
        if checkpointing:
            net.enable_gradient_checkpointing()
        loss_of(net).backward()
        grads.append({name: net.get_parameter(name).grad for name in net.trained})
    for name, value in grads[0].items():
        torch.testing.assert_close(grads[1][name], value, rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.parametrize("size", [(7, 5), (9, 11)])
def test_odd_sizes(net, size):
    noise, x_rgb = net(*inputs(size=size))
    assert noise.shape[2:] == size and x_rgb[0].shape[2:] == tuple(8 * side for side in size)


@needs_half_precision
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_half_precision_is_finite(dtype):
    net = build(base={**BASE, "frozen_dtype": dtype})
    kept = {p.dtype for name, p in net.unet.named_parameters() if f"unet.{name}" not in net.trained}
    assert kept == {getattr(torch, dtype)}
    with torch.autocast("cpu", torch.bfloat16):
        noise, x_rgb = net(*inputs())
    (noise.float().square().mean() + x_rgb[0].float().square().mean()).backward()
    for name in net.trained:
        grad = net.get_parameter(name).grad
        assert grad.dtype == torch.float32 and bool(grad.isfinite().all()), name


def test_condition_is_computed_once_for_a_sampling(net):
    z_t, t, up, lr = inputs()
    with torch.no_grad():
        condition = net.condition(up, lr)
        tokens = net.dino(lr)
        expected = net(z_t, t, up, lr)[0]
        assert torch.equal(net(z_t, t, condition=condition)[0], expected)
        assert torch.equal(net(z_t, t, condition=net.condition(up, None, tokens))[0], expected)
    with pytest.raises(ValueError, match=r"\(64, 64\).*\(32, 64\)"):
        net(z_t[:, :, :4], t, up, lr)
    with pytest.raises(ValueError, match="tokens"):
        net(z_t, t, up)


def test_control_scale_weighs_the_residuals(net):
    torch.manual_seed(1)
    for name, parameter in net.named_parameters():
        if group_of(name) == "zero convolutions":
            torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        z_t, t, up, lr = inputs()
        tokens = net.projection(net.dino(lr))
        down, mid = net.controlnet(z_t, t, tokens, up, return_dict=False)
        assert all(part.abs().max() > 0.01 for part in (*down, mid))
        for scale in (0.0, 0.25, 1.0):
            given = {
                "down_block_additional_residuals": [scale * part for part in down],
                "mid_block_additional_residual": scale * mid,
            }
            expected = net.unet(z_t, t, tokens, **given).sample
            torch.testing.assert_close(net(*inputs(), control_scale=scale)[0], expected)


def test_zero_projection_leaves_the_cross_attention_its_bias(net):
    zero = build(dino={**NETWORK["dino"], "context": "dino_zero"})
    assert not zero.projection(torch.rand(1, 3, 24)).any()
    loss_of(zero).backward()
    assert zero.projection.weight.grad.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lgcaa": {"mode": "locl"}}, "lgcaa.mode: must be one of 'none', 'local'"),
        ({"lgcaa": {"mod": "local", "clamp": 0}}, r"lgcaa.clamp: must be a number.*lgcaa.mod: unknown key"),
        ({"lgcaa": {"preset": "paper"}}, "lgcaa.preset: must be one of"),
        ({"lgcaa": {"local_window": 4, "mode": "global"}}, "local_window needs a local attention"),
        ({"dino": {"siz": 3}}, "dino.siz: unknown key; did you mean 'size'"),
        ({"dino": {"config": {"depht": 2}}}, "dino.config does not suit"),
        ({"dino": {"model": "vit_base_patch16_224.dyno"}}, "vit_base_patch16_224.dyno"),
        ({"base": {**BASE, "unet": {"block_out_chanels": [1]}}}, "did you mean 'block_out_channels'"),
        ({"base": {"path": "some/folder", "unet": {"layers_per_block": 1}}}, "unet is for random weights"),
        ({"base": {**BASE, "condition_channels": [4, 8]}}, "reduce by 2, the VAE reduces by 8"),
        ({"train_pattern": ["attn3"]}, "no module of the UNet is named attn3"),
    ],
)
def test_wrong_options_are_told_with_their_key(changes, message):
    with pytest.raises(OptionError, match=f"(?s){message}"):
        build(**changes)


@pytest.fixture(scope="module")
def full_size():
    with torch.device("meta"):
        return build_network({"type": "LGCAANet", "base": {"path": None}, "dino": {"pretrained": False}})


def test_parameters_of_the_full_size(full_size):
    parts = {"controlnet": 364_228_240, "vae": 83_653_863, "dino": 85_798_656, "projection": 787_456}
    for name, size in {**parts, "rgb_head": 442_560, "unet": 865_910_724 + 124_004_035}.items():
        assert sum(p.numel() for p in full_size.get_submodule(name).parameters()) == size, name
    trained = {name: full_size.get_parameter(name).numel() for name in full_size.trained}
    assert sum(trained.values()) == 589_388_691
    assert sum(size for name, size in trained.items() if name.startswith("unet.")) == 223_930_435
    assert len(full_size.injected) == 16


@pytest.mark.parametrize(
    ("lgcaa", "expected"),
    [
        ({"mode": "none"}, 0),
        ({"mode": "local"}, 74_429_955),
        ({"mode": "global"}, 74_404_800),
        ({"merge_norm": False}, 123_979_075),
        ({}, 124_004_035),
        ({"preset": "paper_literal"}, 124_003_840),
        ({"mlp_ratio": 2.0}, 148_797_315),
        ({"combine": "stacked"}, 74_429_760),
    ],
    ids=str,
)
def test_parameters_of_table_2_s_rows(full_size, lgcaa, expected):
    from prismsr.archs.lgcaa.branch import LGCAABranch

    options = LgcaaOptions.model_validate(lgcaa)
    total = 0
    for name in full_size.injected if options.mode != "none" else ():
        attn = full_size.unet.get_submodule(name)
        with torch.device("meta"):
            branch = LGCAABranch(attn.query_dim, attn.heads, options)
        total += sum(p.numel() for p in branch.parameters())
    assert total == expected

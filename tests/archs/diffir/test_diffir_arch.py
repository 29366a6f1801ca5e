"""DiffIR's stages: checkpoints of the release, where an image's diffusion starts, sizes, and what needs GT."""

from prismsr.archs.diffir.diffir_arch import DiffIRS1, DiffIRS2
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.options.entries import check_entry
from prismsr.utils.weights.files import WeightsError, load_strictly
from prismsr.utils.weights.network_notes import require_same_options
from prismsr.utils.weights.spandrel import read_arguments

import pytest
import torch
from basicsr.utils import get_root_logger
from diffir_case import TINY, fill_waves, images

LQ, GT = images()


@pytest.fixture(scope="module")
def net():
    return fill_waves(DiffIRS2(**TINY)).eval()


def _publish(net):
    """The state dict as the release saves it: two parts a second time, and the numbers of the schedule."""
    state = dict(net.state_dict())
    doubles = {"condition.": "diffusion.condition.", "denoise.": "diffusion.model."}
    for own, double in doubles.items():
        state |= {double + key.removeprefix(own): state[key].clone() for key in net.state_dict() if key.startswith(own)}
    state["diffusion.betas"] = torch.tensor(net.schedule.betas)
    return {**state, "diffusion.alphas_cumprod": torch.tensor(net.schedule.levels)}


@pytest.mark.parametrize("published", [True, False])
def test_loads_strictly_with_doubled_tensors_and_without(net, published):
    state = _publish(net) if published else net.state_dict()
    loaded = DiffIRS2(**TINY)
    load_strictly(loaded, state, "x.pth")
    torch.testing.assert_close(loaded.state_dict(), net.state_dict(), rtol=0, atol=0)
    assert not any(key.startswith("diffusion") for key in loaded.state_dict())


@pytest.mark.parametrize("key", ["diffusion.condition.mlp.0.bias", "diffusion.model.resmlp.2.resmlp.0.weight"])
def test_a_double_that_differs_is_refused(net, key):
    state = _publish(net)
    state[key] = state[key] + 1e-6
    with pytest.raises(WeightsError, match=rf"x\.pth.*{key}"):
        load_strictly(DiffIRS2(**TINY), state, "x.pth")


def test_a_double_alone_is_refused(net):
    state = _publish(net)
    del state["condition.mlp.0.bias"]
    with pytest.raises(WeightsError, match=r"diffusion\.condition\.mlp\.0\.bias"):
        load_strictly(DiffIRS2(**TINY), state, "x.pth")


@pytest.mark.parametrize("schedule", [{"timesteps": 5}, {"linear_start": 0.2}])
def test_weights_of_another_schedule_are_refused(net, schedule):
    with pytest.raises(WeightsError, match="betas"):
        load_strictly(DiffIRS2(**TINY, **schedule), _publish(net), "x.pth")


@pytest.mark.parametrize("arguments", [{}, {"ffn_expansion_factor": 2.66, "heads": [1, 1, 2, 4], "n_encoder_res": 2}])
def test_arguments_are_read_from_a_file(tmp_path, arguments):
    net = DiffIRS2(**{**TINY, **arguments}, n_denoise_res=2, timesteps=3, linear_end=0.5)
    torch.save({"params": net.state_dict(), "params_ema": _publish(net)}, tmp_path / "s2.pth")
    found = read_arguments(tmp_path / "s2.pth")
    assert found.pop("type") == "DiffIRS2"
    expected = {"heads": [1, 2, 4, 8], "ffn_expansion_factor": 2.2, **TINY, **arguments}
    assert found == {**expected, "n_denoise_res": 2, "timesteps": 3, "linear_start": 0.1, "linear_end": 0.5}
    torch.save(DiffIRS1(**{**TINY, **arguments}).state_dict(), tmp_path / "s1.pth")
    assert read_arguments(tmp_path / "s1.pth") == {"type": "DiffIRS1", **expected}


@torch.no_grad()
def test_the_start_is_the_images_own(net):
    batch = torch.cat([LQ.flip(3), LQ, LQ.flip(2), LQ.flip(2, 3)])
    torch.manual_seed(0)
    starts, alone = net._make_start(batch), net._make_start(batch[2:3])
    torch.manual_seed(1)
    assert torch.equal(net._make_start(batch), starts)
    assert torch.equal(starts[2:3], alone)
    assert 0.8 < float(starts.std()) < 1.2 and abs(float(starts.mean())) < 0.2
    assert len({float(row[0]) for row in starts}) == 4
    torch.testing.assert_close(net(batch)[2:3], net(batch[2:3]))


@torch.no_grad()
def test_start_at_zeros(net):
    other = fill_waves(DiffIRS2(**TINY, start="zeros")).eval()
    assert torch.equal(other(LQ), net.restore(LQ, net.predict_prior(LQ, torch.zeros(1, 256))))
    assert not torch.equal(other(LQ), net(LQ))


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 8), (13, 5), (1, 17)])
def test_images_of_any_size(net, size):
    lq, gt = LQ[..., : size[0], : size[1]], GT[..., : 4 * size[0], : 4 * size[1]]
    assert net(lq).shape == DiffIRS1(**TINY)(lq, gt).shape == gt.shape


@torch.no_grad()
def test_tiles_see_the_prior_of_the_whole(net):
    assert torch.equal(net.look_at_whole(LQ)(LQ), net(LQ))
    tile = LQ[..., :8]
    assert torch.equal(net.look_at_whole(LQ)(tile), net.restore(tile, net.predict_prior(LQ)))
    assert not torch.equal(net.look_at_whole(LQ)(tile), net(tile))


def test_the_first_stage_needs_gt():
    with pytest.raises(UserError, match="DiffIRS2"):
        DiffIRS1(**TINY)(LQ)


def test_checkpointed_blocks_give_the_same_gradients(net):
    plain, spared = (fill_waves(DiffIRS2(**TINY)).train() for _ in range(2))
    spared.enable_gradient_checkpointing()
    for one in (plain, spared):
        sr, _ = one(LQ)
        sr.square().mean().backward()
    for one, other in zip(plain.parameters(), spared.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dim", 0),
        ("dim", 7),
        ("num_blocks", [1, 1, 1]),
        ("heads", [1, 2, 0, 8]),
        ("ffn_expansion_factor", 0.0),
        ("timesteps", 0),
        ("linear_start", 2.0),  # from here on the prior would be no number
        ("linear_start", 0.0),
    ],
)
def test_arguments_are_in_their_bounds(name, value):
    entry = {"type": "DiffIRS2", **TINY}
    assert not [*check_entry("arch", entry, "network_g")]
    (problem,) = check_entry("arch", {**entry, name: value}, "network_g")
    assert problem.key.startswith(f"network_g.{name}")


@pytest.mark.parametrize("strict", [True, False])
def test_a_checkpoint_of_another_schedule_is_told(net, tmp_path, monkeypatch, strict):
    file = tmp_path / "net_g_1.pth"
    torch.save({"params": net.state_dict(), net.NOTES: net.sections}, file)
    require_same_options(DiffIRS2(**TINY), file, strict)
    other = DiffIRS2(**{**TINY, "timesteps": 3})
    if strict:
        with pytest.raises(WeightsError, match=r"network_g\.schedule: timesteps: 4 then, 3 now"):
            require_same_options(other, file, strict)
    else:
        told = []
        monkeypatch.setattr(get_root_logger(), "warning", told.append)
        require_same_options(other, file, strict)
        assert "timesteps: 4 then, 3 now" in told[0]


def test_heads_divide_the_channels():
    with pytest.raises(OptionError, match=r"heads\.1"):
        DiffIRS2(**{**TINY, "heads": [1, 3, 4, 8]})


@pytest.mark.parametrize(("size", "wrong"), [(64, 0), (256, 0), (48, 1), (40, 1)])
def test_gt_patches_are_multiples_of_32(size, wrong):
    found = list(DiffIRS2.check_patch({}, "network_g", size, "degradation.gt_size"))
    assert [problem.key for problem in found] == ["degradation.gt_size"] * wrong

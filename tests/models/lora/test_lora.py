"""LoRA: the mathematics against convolutions and linear layers beside the base's, merging, and what a step changes."""

from copy import deepcopy

from prismsr.models.lora.adapters import (
    LowRank,
    adapter_state,
    adapters,
    add_adapters,
    low_rank_weight,
    merge,
    merge_state,
)
from prismsr.models.step.gradient_checkpointing import checkpoint_blocks, find_repeated_blocks
from prismsr.models.step.memory import compile_in_place, to_channels_last
from prismsr.models.step.moving_average import update_average
from prismsr.utils.errors import OptionError

import pytest
import torch
from basicsr.archs import build_network
from torch import nn
from torch.nn import functional as F

RRDB = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 2, "num_grow_ch": 4}
SWINIR = {
    "type": "SwinIR", "upscale": 4, "img_size": 8, "window_size": 4, "depths": [2, 2], "embed_dim": 12,
    "num_heads": [2, 2], "mlp_ratio": 2, "upsampler": "nearest+conv",
}  # fmt: skip
CASES = [(SWINIR, 3, ["layers.*.mlp.fc?"]), (RRDB, 2, ["body.*.rdb*.conv*"])]


@pytest.fixture(params=CASES, ids=["swinir", "rrdb"])
def case(request):
    """A plain network, the same with random adapters at alpha 1.5 rank, and LQ images."""
    network, rank, targets = request.param
    torch.manual_seed(0)
    plain = build_network(network).eval()
    adapted = deepcopy(plain)
    names = add_adapters(adapted, rank, 1.5 * rank, targets)
    for _, _, adapter in adapters(adapted):
        nn.init.normal_(adapter.lora_B)
    return plain, adapted, names, torch.rand(1, 3, 8, 12)


# ------------------------------------------------------------------------------------------------ the mathematics


def _beside(layer, a, b, scale):
    """A hook that adds to a layer's output what a branch of two layers, in -> rank -> out, makes of its input."""

    def add(layer, inputs, output):
        if isinstance(layer, nn.Linear):
            return output + scale * F.linear(F.linear(inputs[0], a), b)
        down = F.conv2d(inputs[0], a.view(-1, *layer.weight.shape[1:]), stride=layer.stride, padding=layer.padding)
        return output + scale * F.conv2d(down, b.view(*b.shape, 1, 1))

    layer.register_forward_hook(add)


@torch.no_grad()
def test_output_is_that_of_branches_beside_the_layers(case):
    plain, adapted, names, lq = case
    plain, adapted, lq = plain.double(), adapted.double(), lq.double()
    before = plain(lq)
    layers = dict(plain.named_modules())
    for name, _, adapter in adapters(adapted):
        _beside(layers[name], adapter.lora_A, adapter.lora_B, 1.5)
    assert [name for name, _, _ in adapters(adapted)] == names
    torch.testing.assert_close(adapted(lq), plain(lq))
    assert (adapted(lq) - before).abs().max() > 1e-3


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@torch.no_grad()
def test_merged_network_is_a_plain_one_with_the_same_output(case, precision, tolerance):
    plain, adapted, _, lq = case
    adapted, lq = adapted.to(precision), lq.to(precision)
    merged = merge_state(adapted)
    assert list(merged) == list(plain.state_dict())
    from_states = merge(plain.to(precision).state_dict(), adapter_state(adapted), 1.5)
    expected = adapted(lq)
    for state in (merged, from_states):
        plain.load_state_dict(state, strict=True)
        torch.testing.assert_close(plain(lq), expected, rtol=0, atol=tolerance)


@torch.no_grad()
def test_begins_as_the_base_to_the_bit():
    for network, rank, targets in CASES:
        plain = build_network(network).eval()
        adapted = deepcopy(plain)
        add_adapters(adapted, rank, None, targets)
        lq = torch.rand(1, 3, 8, 8)
        assert torch.equal(adapted(lq), plain(lq))
        state = merge_state(adapted)
        assert all(torch.equal(state[key], value) for key, value in plain.state_dict().items())


def test_gradient():
    torch.manual_seed(0)
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((5, 3, 2, 2), (2, 12), (5, 2))]
    assert torch.autograd.gradcheck(lambda *inputs: low_rank_weight(*inputs, 0.7), tensors)


def test_parameter_counts_of_the_full_networks():
    full = {"num_heads": [6] * 6, "depths": [6] * 6, "embed_dim": 180, "img_size": 64, "window_size": 8}
    with torch.device("meta"):
        rrdb = build_network({"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3})
        mlps = nn.ModuleList(nn.ModuleDict({"fc1": nn.Linear(180, 360), "fc2": nn.Linear(360, 180)}) for _ in range(36))
    swinir = build_network({**SWINIR, **full, "depths": [1], "num_heads": [6]})
    counts = [
        (rrdb, 24, "body.*.rdb*.conv*", 345, 9_856_512),
        (mlps, 48, "*.fc?", 72, 1_866_240),
        (swinir, 48, "layers.*.mlp.fc?", 2, 1_866_240 // 36),
    ]
    for net, rank, target, layers, parameters in counts:
        assert len(add_adapters(net, rank, None, [target])) == layers
        assert sum(value.numel() for value in net.parameters() if value.requires_grad) == parameters


def test_in_autocast_the_weight_stays_float32_and_gradients_flow(case):
    _, adapted, names, lq = case
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        assert adapted.get_submodule(names[0]).weight.dtype is torch.float32
        output = adapted(lq)
    output.float().sum().backward()
    for _, _, adapter in adapters(adapted):
        assert adapter.lora_A.grad.abs().sum() > 0 and adapter.lora_B.grad.abs().sum() > 0


def test_running_statistics_belong_to_the_base():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    add_adapters(net, 2, None, ["0"])
    before = deepcopy(net.state_dict())
    net.train()(torch.rand(2, 3, 8, 8))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


# ------------------------------------------------------------------------------------------------ running otherwise


def _gradients(net, lq):
    net.train()
    net.zero_grad()
    net(lq).square().sum().backward()
    return {name: value.grad.clone() for name, value in net.named_parameters() if value.requires_grad}


def test_recomputed_laid_out_or_compiled_it_learns_the_same():
    torch.manual_seed(0)
    net = build_network(RRDB)
    add_adapters(net, 2, None, CASES[1][2])
    net, lq = net.double(), torch.rand(1, 3, 8, 8, dtype=torch.float64)
    expected = _gradients(net, lq)
    recomputed, laid_out, compiled = deepcopy(net), deepcopy(net), deepcopy(net)
    checkpoint_blocks(recomputed)
    to_channels_last(laid_out)
    assert laid_out.body[0].rdb1.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    compile_in_place(compiled, "default", backend="eager")
    for other, tolerance in ((recomputed, 0), (laid_out, 1e-12), (compiled, 0)):
        for name, gradient in _gradients(other, lq).items():
            torch.testing.assert_close(gradient, expected[name], rtol=tolerance, atol=tolerance, msg=name)


def test_adapted_layers_stay_of_one_class_for_checkpointing():
    net = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(3)), nn.PReLU(), nn.PReLU())
    add_adapters(net, 1, None, ["[012]"])
    assert len(find_repeated_blocks(net)) == 3


# ------------------------------------------------------------------------------------------------ wrong patterns


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (
            ["body.0.rdb4.conv1"],
            r"'body.0.rdb4.conv1' matches no linear layer .* RRDBNet; known: body.0.rdb\d.conv1",
        ),
        (["layers.*"], r"'layers.\*' matches no .* RRDBNet; known: "),
        (["body.0", "conv_first"], "'body.0' matches no"),
    ],
)
def test_patterns_that_match_nothing(targets, message):
    net = build_network(RRDB)
    with pytest.raises(OptionError, match=message):
        add_adapters(net, 2, None, targets)
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_patterns_that_match_layers_of_another_kind():
    with pytest.raises(OptionError, match=r"norm1 \(LayerNorm\)"):
        add_adapters(build_network(SWINIR), 2, None, ["layers.0.*"])
    grouped = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, groups=4))
    with pytest.raises(OptionError, match=r"1 \(Conv2d\)"):
        add_adapters(grouped, 2, None, ["*"])
    with pytest.raises(OptionError, match="lora"):
        add_adapters(nn.Sequential(nn.PReLU(), nn.ReLU()), 2, None, ["1"])


# ------------------------------------------------------------------------------------------------ moving average


def test_average_leaves_frozen_tensors_as_they_are_and_copies_all_at_0():
    torch.manual_seed(0)
    net, average = nn.Linear(50, 50), nn.Linear(50, 50)
    update_average(average, net, 0)
    assert torch.equal(average.weight, net.weight) and torch.equal(average.bias, net.bias)
    net.weight.requires_grad_(False)
    with torch.no_grad():
        net.bias += 1
    before = average.weight.clone()
    assert not torch.equal(before * 0.999 + before * (1 - 0.999), before)  # what is to be avoided
    update_average(average, net, 0.999)
    assert torch.equal(average.weight, before)
    # numbers below 2, each rounded by 2^-24 at the most: two products, their sum, and this difference
    torch.testing.assert_close(average.bias, net.bias - 0.999, rtol=0, atol=4 * 2**-24)
    net.bias.requires_grad_(False)
    update_average(average, net, 0.999)


def test_low_rank_module_keeps_to_its_weight():
    weight = torch.zeros(6, 2, 3, 3, dtype=torch.float64)
    module = LowRank(weight, 4, 8.0)
    assert (module.lora_A.shape, module.lora_B.shape, module.scale) == ((4, 18), (6, 4), 2.0)
    assert module.lora_A.dtype is torch.float64
    assert module.lora_A.abs().max() <= 18**-0.5 and module.lora_A.std() > 0.1


def test_without_alpha_the_factor_is_1():
    net = nn.Sequential(nn.Linear(6, 4))
    add_adapters(net, 3, None, ["0"])
    assert [adapter.scale for *_, adapter in adapters(net)] == [1]

import shutil

from prismsr.models.step.gradient_checkpointing import checkpoint_blocks, find_repeated_blocks
from prismsr.models.step.memory import compile_in_place
from prismsr.utils.errors import OptionError, TrainingError

import pytest
import torch
from basicsr.archs.rrdbnet_arch import RRDBNet
from torch import nn
from torch._inductor import config as inductor

SGD = {"type": "SGD", "lr": 0.1}
ROUNDING = {"rtol": 0, "atol": 1e-10}  # of gradients, sums of 1e5 terms that are below 1 together, in float64: 1e-11


def _trained(model, batch, steps=2):
    for iteration in range(1, steps + 1):
        model.feed_data(batch)
        model.optimize_parameters(iteration)
    return model


def _assert_same_training(model, expected, **tolerance):
    nets = [(model.net_g, expected.net_g), (model.discriminators["d"], expected.discriminators["d"])]
    for net, plain in [*nets, (model.net_g_ema, expected.net_g_ema)]:
        assert list(net.state_dict()) == list(plain.state_dict())
        for key, value in plain.state_dict().items():
            torch.testing.assert_close(net.state_dict()[key], value, msg=key, **tolerance)


@pytest.mark.usefixtures("double")
def test_channels_last_changes_no_value(make_model, make_batch):
    plain = _trained(make_model("spectral", SGD), make_batch())
    model = _trained(make_model("spectral", SGD, channels_last=True), make_batch())
    assert model.net_g.conv_first.weight.is_contiguous(memory_format=torch.channels_last)
    assert model.output.is_contiguous(memory_format=torch.channels_last)
    _assert_same_training(model, plain, **ROUNDING)


@pytest.mark.usefixtures("double")
def test_channels_last_with_a_discriminator_that_views_its_maps_as_rows(make_model):
    gt = torch.rand(2, 3, 128, 128)
    batch = {"gt": gt, "lq": torch.nn.functional.avg_pool2d(gt, 4)}
    plain = _trained(make_model("batch", {"type": "SGD", "lr": 1e-3}), batch, steps=1)
    _assert_same_training(
        _trained(make_model("batch", {"type": "SGD", "lr": 1e-3}, channels_last=True), batch, steps=1),
        plain,
        **ROUNDING,
    )


def test_checkpointing_changes_no_bit_and_keeps_less(make_model, make_batch):
    kept = {}
    models = {}
    for option in (False, True):
        models[option] = make_model("spectral", SGD, grad_checkpointing=option)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: (sizes.append(t.numel()), t)[1], lambda t: t
        ):
            models[option].net_g(make_batch()["lq"])
        kept[option] = sum(sizes)
        _trained(models[option], make_batch())
    _assert_same_training(models[True], models[False], rtol=0, atol=0)
    assert kept[True] < 0.6 * kept[False]  # the rest is the upsampling


class _Block(nn.Sequential):
    def __init__(self):
        conv = torch.nn.utils.spectral_norm(nn.Conv2d(4, 4, 3, padding=1))
        super().__init__(conv, nn.BatchNorm2d(4), nn.Dropout(0.3), nn.ReLU())


def test_checkpointing_with_batch_norm_spectral_norm_and_dropout():
    results = []
    for option in (False, True):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(_Block(), _Block(), _Block()))
        if option:
            checkpoint_blocks(net)
        for _ in range(2):
            net(torch.rand(2, 3, 8, 8)).square().sum().backward()
        results.append((net.state_dict(), [parameter.grad for parameter in net.parameters()]))
    (state, gradients), (checkpointed_state, checkpointed_gradients) = results
    assert list(state) == list(checkpointed_state)
    assert all(torch.equal(state[key], checkpointed_state[key]) for key in state)
    assert all(torch.equal(*pair) for pair in zip(gradients, checkpointed_gradients, strict=True))


def test_checkpointing_finds_the_longest_run_of_blocks():
    net = RRDBNet(num_in_ch=3, num_out_ch=3, num_feat=8, num_block=3, num_grow_ch=4)
    assert find_repeated_blocks(net) == list(net.body)


def test_checkpointing_names_a_network_without_blocks():
    with pytest.raises(OptionError, match=r"train\.grad_checkpointing"):
        checkpoint_blocks(nn.Conv2d(3, 3, 3))


class _Greedy(nn.Module):
    def forward(self, sr, gt):
        return torch.empty(2**50).sum()


def test_out_of_memory_says_what_to_change(make_model, make_batch):
    model = make_model(None)
    model.terms["l_greedy"] = _Greedy()
    with pytest.raises(TrainingError) as caught:
        _trained(model, make_batch(), 1)
    message = str(caught.value)
    assert "Out of memory at iteration 1 with the batch lq 4x3x8x8, gt 4x3x32x32" in message
    keys = ("datasets.train.batch_size_per_gpu", "datasets.train.gt_size")
    for key in (*keys, "train.accum_iter", "train.amp", "train.grad_checkpointing"):
        assert key in message


def test_other_errors_pass_unchanged(make_model, make_batch):
    class Broken(nn.Module):
        def forward(self, sr, gt):
            raise RuntimeError("shapes do not fit")

    model = make_model(None)
    model.terms["l_broken"] = Broken()
    with pytest.raises(RuntimeError, match="shapes do not fit") as caught:
        _trained(model, make_batch(), 1)
    assert not isinstance(caught.value, TrainingError)


def _captured(graphs):
    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    return backend


def test_compiled_in_place_the_network_is_the_same(make_batch):
    """Dynamo traces; its graphs run uncompiled, so that this needs no C++ compiler."""
    torch.manual_seed(0)
    net = RRDBNet(num_in_ch=3, num_out_ch=3, num_feat=8, num_block=1, num_grow_ch=4)
    keys, lq, graphs = list(net.state_dict()), make_batch()["lq"], []
    expected = net(lq)
    torch.compiler.reset()
    compile_in_place(net, "default", _captured(graphs))
    assert torch.equal(net(lq), expected)
    assert graphs
    assert list(net.state_dict()) == keys
    torch.compiler.reset()


def test_compile_refuses_data_parallel():
    with pytest.raises(OptionError, match=r"train\.compile: .* start with torchrun"):
        compile_in_place(nn.DataParallel(nn.Conv2d(3, 3, 3)), "default")


@pytest.mark.parametrize("train", [{}, {"amp": "bf16", "grad_checkpointing": True, "accum_iter": 2}])
def test_both_networks_train_compiled(make_model, make_batch, train):
    """With the discriminator's gradients on and off, and its logits without any graph."""
    torch.compiler.reset()
    plain = _trained(make_model("spectral", SGD, **train), make_batch())
    model = make_model("spectral", SGD, **train)
    for net in (model.net_g, model.discriminators["d"]):
        compile_in_place(net, "default", _captured([]))
    _assert_same_training(_trained(model, make_batch()), plain, rtol=0, atol=0)
    torch.compiler.reset()


@pytest.fixture
def own_kernels(monkeypatch, pytestconfig):
    """A cache for each ATEN_CPU_CAPABILITY: torch's one hands kernels of one to another, with wrong results.

    Without vector instructions, for which Inductor compiles a try of each, and large headers for each kernel.
    """
    folder = pytestconfig.cache.mkdir(f"inductor_{torch.backends.cpu.get_cpu_capability()}")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
    with inductor.patch({"cpp.vec_isa_ok": False}):
        yield


@pytest.mark.usefixtures("double", "own_kernels")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_the_option_compiles(make_model, make_batch):
    torch.compiler.reset()
    small = {"type": "SRVGGNetCompact", "num_feat": 4, "num_conv": 0, "upscale": 4}
    plain = _trained(make_model(None, SGD, network_g=small, ema_decay=0), make_batch())
    model = _trained(make_model(None, SGD, network_g=small, ema_decay=0, compile=True), make_batch())
    assert torch._dynamo.utils.counters["inductor"]
    for key, value in plain.net_g.state_dict().items():
        torch.testing.assert_close(model.net_g.state_dict()[key], value, **ROUNDING, msg=key)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for size in (64, 48):  # validation
        model.feed_data(make_batch(samples=1, size=size))
        model.test()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs
    torch.compiler.reset()

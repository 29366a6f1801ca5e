"""ELAN: figures and names of SSL's release, and a second implementation in plain loops."""

from prismsr.archs.elan_arch import ELAN, window_attention

import pytest
import torch
from torch.nn import functional as F
from wave_case import assert_figures, set_waves, wave_image

TINY = {"scale": 2, "m_elan": 2, "c_elan": 6, "window_sizes": (2, 4)}


@torch.no_grad()
@pytest.mark.parametrize(
    ("options", "figures"),
    [
        ({"m_elan": 2, "n_share": 0}, {"sum": 7446.123147, "first": 0.5039139101, "last": 0.320612163}),
        (
            {"m_elan": 4, "n_share": 1},
            {"sum": 7468.235505, "sum_abs": 7651.686581, "first": 0.5526359826, "last": -0.01730303158},
        ),
    ],
)
def test_gives_the_figures_of_the_release(options, figures):
    net = set_waves(ELAN(c_elan=12, **options))
    assert_figures(net(wave_image(1, 3, 18, 20)), (1, 3, 72, 80), **figures)


@pytest.mark.parametrize(
    ("options", "parameters", "trained", "keys"),
    [
        ({}, 8_487_408, 8_312_448, 436),
        ({"norm": "batch"}, 8_487_408, 8_312_448, 436 + 3 * 36),
        ({"m_elan": 24, "c_elan": 60, "n_share": 1}, 640_368, 601_488, 4 + 12 * 24),
    ],
)
def test_parameters_of_the_releases(options, parameters, trained, keys):
    with torch.device("meta"):
        net = ELAN(**options)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    assert sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad) == trained
    assert len(net.state_dict()) == keys


def test_names_of_the_releases():
    inside = ["conv0.shift_conv.weight", "conv0.shift_conv.conv1x1.weight", "conv1.shift_conv.conv1x1.bias"]
    names = [f"body.1.modules_lfe.lfe_0.{name}" for name in inside]
    names += [f"body.0.modules_gmsa.gmsa_0.{name}" for name in ("project_inp.0.weight", "project_out.bias")]
    names += ["head.0.weight", "tail.0.bias"]
    layer = ELAN(**TINY).state_dict()
    assert {*names, "body.0.modules_gmsa.gmsa_0.project_inp.1.norm.weight"} <= {*layer}
    batch = ELAN(**TINY, norm="batch").state_dict()
    assert {*names, "body.0.modules_gmsa.gmsa_0.project_inp.1.running_var"} <= {*batch}
    assert "mean" not in layer


# ------------------------------------------------------------------------------------------------- the reference


def _attend(query, value, size):
    """Attention with its table, window after window."""
    result = torch.empty_like(value)
    for sample in range(len(value)):
        for top in range(0, value.shape[2], size):
            for left in range(0, value.shape[3], size):
                window = (sample, slice(None), slice(top, top + size), slice(left, left + size))
                q, v = query[window].flatten(1).T, value[window].flatten(1).T
                attended = torch.softmax(q @ q.T, dim=1) @ v
                result[window] = attended.T.reshape(result[window].shape)
    return result


def _shift(x):
    """Channels moved by one pixel, with zeros where nothing comes from."""
    share, result = x.shape[1] // 5, torch.zeros_like(x)
    result[:, :share, :, :-1] = x[:, :share, :, 1:]
    result[:, share : 2 * share, :, 1:] = x[:, share : 2 * share, :, :-1]
    result[:, 2 * share : 3 * share, :-1] = x[:, 2 * share : 3 * share, 1:]
    result[:, 3 * share : 4 * share, 1:] = x[:, 3 * share : 4 * share, :-1]
    result[:, 4 * share :] = x[:, 4 * share :]
    return result


def _network(image, state, options):
    windows, shared = options["window_sizes"], options.get("n_share", 0)
    mean = torch.tensor([0.4488, 0.4371, 0.4040], dtype=image.dtype).view(1, 3, 1, 1)

    def conv(x, key, padding=0):
        return F.conv2d(x, state[f"{key}.weight"], state[f"{key}.bias"], padding=padding)

    first = x = conv((image - mean) * 255, "head.0", 1)
    for block in range(options["m_elan"] // (1 + shared)):
        for part in range(1 + shared):
            key = f"body.{block}.modules_lfe.lfe_{part}"
            wide = conv(_shift(x), f"{key}.conv0.shift_conv.conv1x1").clamp(min=0)
            x = x + conv(_shift(wide), f"{key}.conv1.shift_conv.conv1x1")
            key = f"body.{block}.modules_gmsa.gmsa_{part}"
            y = conv(x, f"{key}.project_inp.0").permute(0, 2, 3, 1)
            norm = (state[f"{key}.project_inp.1.norm.{kind}"] for kind in ("weight", "bias"))
            y = F.layer_norm(y, y.shape[-1:], *norm).permute(0, 3, 1, 2)
            shares = y.split(y.shape[1] // len(windows), dim=1)
            if part == 0:
                half = y.shape[1] // len(windows) // 2
                queries, shares = [share[:, :half] for share in shares], [share[:, half:] for share in shares]
            attended = []
            for query, value, size in zip(queries, shares, windows, strict=True):
                move = block % 2 * size // 2
                rolled = (part.roll((-move, -move), (2, 3)) for part in (query, value))
                attended.append(_attend(*rolled, size).roll((move, move), (2, 3)))
            x = x + conv(torch.cat(attended, 1), f"{key}.project_out")
    return F.pixel_shuffle(conv(first + x, "tail.0", 1), options["scale"]) / 255 + mean


# ----------------------------------------------------------------------------------------------------- the tests


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("extra", [{}, {"n_share": 1, "m_elan": 4}])
@torch.no_grad()
def test_equals_the_reference_at_odd_sizes(photograph_tensor, extra):
    torch.manual_seed(0)
    net = ELAN(**{**TINY, **extra})
    image = photograph_tensor[:, :, 60:67, 150:155].double()
    padded = F.pad(image, (0, 3, 0, 1), mode="reflect")
    expected = _network(padded, net.state_dict(), {**TINY, **extra})[..., :14, :10]
    torch.testing.assert_close(net(image), expected)
    assert net(image[..., :2, :3]).shape == (1, 3, 4, 6)


def test_attention_gradient_is_that_of_the_table():
    torch.manual_seed(0)
    q, v = (torch.randn(2, 3, 4, 8, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda *part: window_attention(*part, 2), (q, v))
    gradients = [torch.autograd.grad(attend(q, v, 4).square().sum(), (q, v)) for attend in (window_attention, _attend)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_network_gradient(norm):
    torch.manual_seed(0)
    net = ELAN(**{**TINY, "img_range": 1.0, "c_elan": 4, "m_elan": 2, "scale": 1}, norm=norm).double()
    image = torch.rand(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, image, fast_mode=True)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"c_elan 10 \(a multiple of 3\)"):
        ELAN(c_elan=10)
    with pytest.raises(ValueError, match="norm 'group'"):
        ELAN(norm="group")

"""A small DiffIR with weights and images made of sines, for which the release's networks were run."""

import torch

TINY = {"dim": 8, "num_blocks": [1, 1, 1, 1], "num_refinement_blocks": 1, "n_encoder_res": 1}


@torch.no_grad()
def fill_waves(net):
    """The network with v_j = sin(.7 j + 1.3 i + .5), scaled as its kind of parameter asks, i its place by name."""
    for place, (name, parameter) in enumerate(sorted(net.named_parameters())):
        index = torch.arange(parameter.numel(), dtype=torch.float64)
        values = torch.sin(0.7 * index + 1.3 * place + 0.5).view_as(parameter)
        if parameter.ndim > 1:
            values *= (parameter.numel() / len(parameter)) ** -0.5
        else:
            values = 0.1 * values + (1 if name.endswith("weight") else 0)
        parameter.copy_(values)
    return net


def wave(shape, step):
    """sin(step j) over the flattened tensor, float32."""
    return torch.sin(step * torch.arange(torch.Size(shape).numel(), dtype=torch.float64)).view(shape).float()


def images():
    """LQ (1, 3, 16, 16) and GT (1, 3, 64, 64)."""
    return 0.5 + 0.5 * wave((1, 3, 16, 16), 0.3), 0.5 + 0.5 * wave((1, 3, 64, 64), 0.11)


def assert_near(values, figures, tolerance=1e-4):
    """Compare with figures to a relative tolerance, of which the sixth decimal's rounding is spared."""
    found = torch.as_tensor(values, dtype=torch.float64)
    expected = torch.tensor(figures, dtype=torch.float64)
    assert torch.all((found - expected).abs() <= tolerance * expected.abs() + 6e-7), (found.tolist(), figures)


def assert_row(tensor, mean, deviation, first, last, weighted):
    """Compare with a row of figures: mean, deviation, first three, last, mean of x_j sin j."""
    flat = tensor.detach().flatten().double()
    sines = torch.sin(torch.arange(len(flat), dtype=torch.float64))
    found = [flat.mean(), flat.std(correction=0), *flat[:3], flat[-1], (flat * sines).mean()]
    assert_near([float(value) for value in found], [mean, deviation, *first, last, weighted])

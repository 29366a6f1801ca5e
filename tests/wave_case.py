"""Weights and images made of sines, for which the releases' networks were run and their outputs written down."""

import torch


@torch.no_grad()
def set_waves(net):
    """The network in float64 with p.flatten()[i] = .05 sin(.37 i + k), k its number among all names in order."""
    net.double()
    for number, (_, parameter) in enumerate(sorted(net.named_parameters())):
        if parameter.requires_grad:
            index = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_((0.05 * torch.sin(0.37 * index + number)).view_as(parameter))
    return net


def wave_image(*shape, phase=0.0):
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (0.5 + 0.5 * torch.sin(0.011 * index + phase)).view(shape)


def assert_figures(output, shape, **figures):
    """Compare with what was written down: sum, sum_abs, first, last, of which some may be missing."""
    assert tuple(output.shape) == shape
    flat = output.detach().flatten()
    found = {"sum": flat.sum(), "sum_abs": flat.abs().sum(), "first": flat[0], "last": flat[-1]}
    for name, figure in figures.items():
        assert abs(float(found[name]) - figure) <= 1e-6 * abs(figure), (name, float(found[name]), figure)

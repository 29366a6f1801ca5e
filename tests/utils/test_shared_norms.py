from prismsr.utils.shared_norms import SharedNorms

import torch
from torch import nn


def _network():
    torch.manual_seed(0)
    network = nn.Sequential(nn.GroupNorm(2, 6), nn.SiLU(), nn.Conv2d(6, 4, 1), nn.GroupNorm(4, 4), nn.Tanh()).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network.eval()


def _maps():
    maps = torch.randn(2, 6, 8, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return maps * torch.linspace(0.1, 3, 15) + torch.linspace(-1, 2, 15)


@torch.no_grad()
def test_with_statistics_of_the_whole_tiles_are_parts_of_the_whole():
    """Measured on the whole map, then applied tile by tile: every pixel is what it is in the whole, image by image."""
    network, maps = _network(), _maps()
    whole, norms = network(maps), SharedNorms(network)
    with norms.measured():
        assert torch.equal(network(maps), whole)
    with norms.applied():
        tiles = [network(maps[..., start : start + 5]) for start in (0, 5, 10)]
    assert torch.allclose(torch.cat(tiles, -1), whole)
    assert not torch.allclose(network(maps[..., :5]), whole[..., :5], atol=0.1)  # put back


@torch.no_grad()
def test_statistics_of_tiles_add_up_to_those_of_the_whole():
    """Of the first norm, before which nothing was normalised; tiles of different sizes count by their pixels."""
    network, maps = _network(), _maps()
    norms = SharedNorms(network)
    with norms.measured():
        for start, stop in ((0, 2), (2, 9), (9, 15)):
            network(maps[..., start:stop])
    count, total, square = norms.sums[network[0]]
    groups = maps.reshape(2, 2, -1)
    assert (count == 3 * 8 * 15).all()
    assert torch.allclose(total / count, groups.mean(-1)) and torch.allclose(square / count, groups.square().mean(-1))

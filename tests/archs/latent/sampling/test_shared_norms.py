from prismsr.archs.latent.sampling.latent_tiling import Window
from prismsr.archs.latent.sampling.shared_norms import SharedNorms, Tile

import pytest
import torch
from torch import nn


class Blocks(nn.Module):
    """Three norms, registered in another order than they are called; no pixel sees another but through them."""

    def __init__(self):
        super().__init__()
        self.late, self.first, self.middle = nn.GroupNorm(4, 4), nn.GroupNorm(2, 6), nn.GroupNorm(1, 4)
        self.conv = nn.Conv2d(6, 4, 1)
        torch.manual_seed(0)
        for parameter in self.parameters():
            nn.init.normal_(parameter)

    def forward(self, x):
        x = self.conv(self.first(x).tanh())
        return self.late(x + self.middle(x).sin()).tanh()


@pytest.fixture
def maps():
    maps = torch.randn(2, 6, 8, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return maps * torch.linspace(0.1, 3, 15) + torch.linspace(-1, 2, 15)


PLACES = [(0, 2), (2, 9), (9, 15)]


def _tile(run, height, width, rows=slice(None), columns=slice(None)):
    core = Window(*(slice(*part.indices(side)) for part, side in ((rows, height), (columns, width))))
    return Tile(run, (height, width), core)


def _in_tiles(network, maps, stages):
    """The network's output tile by tile; how often it was called to gather statistics, and how often to the end."""
    calls, norms = [0, 0], SharedNorms(network)

    def run(start, stop):
        calls[0] += 1
        network(maps[..., start:stop])
        calls[1] += 1

    norms.measure([_tile(lambda place=place: run(*place), 8, place[1] - place[0]) for place in PLACES], stages)
    with norms.apply_statistics():
        return torch.cat([network(maps[..., start:stop]) for start, stop in PLACES], -1), calls, norms.sums


@torch.no_grad()
@pytest.mark.parametrize("stages", [3, 10])
def test_with_as_many_stages_as_norms_tiles_are_parts_of_the_whole(maps, stages):
    network = Blocks().double().eval()
    tiles, calls, _ = _in_tiles(network, maps, stages)
    assert torch.allclose(tiles, network(maps)) and calls == [9, 0]
    assert not torch.allclose(network(maps[..., :2]), tiles[..., :2], atol=0.1)  # the norms are put back


@torch.no_grad()
def test_a_stage_uses_the_tiles_own_statistics_within_it(maps):
    """Of one stage the first norm's statistics are the whole image's, and the next one's of tiles normalised alone."""
    network = Blocks().double().eval()
    _, calls, sums = _in_tiles(network, maps, 1)
    assert calls == [3, 0]
    groups = maps.reshape(2, 2, -1)
    count, total, square = sums[network.first]
    assert (count == 3 * 8 * 15).all()
    assert torch.allclose(total / count, groups.mean(-1)) and torch.allclose(square / count, groups.square().mean(-1))
    parts = [network.conv(network.first(maps[..., start:stop]).tanh()) for start, stop in PLACES]
    groups = torch.cat(parts, -1).reshape(2, 1, -1)
    count, total, square = sums[network.middle]
    assert torch.allclose(total / count, groups.mean(-1)) and torch.allclose(square / count, groups.square().mean(-1))


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 4, 24, 36), (1, 4, 24 * 36), (1, 4, 4, 6)])
def test_cores_alone_count(shape):
    """Of maps twice and a third as large as the tile, and flat ones, as attention has them."""
    norm = nn.GroupNorm(2, 4)
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    norms = SharedNorms(nn.Sequential(norm))
    norms.measure([_tile(lambda: norm(maps), 12, 18, slice(3, 9), slice(6, 18))], 1)
    square = maps.reshape(1, 4, *((24, 36) if len(shape) == 3 else shape[2:]))
    height, width = square.shape[2:]
    core = square[..., height // 4 : height * 3 // 4, width // 3 :].reshape(1, 2, -1).double()
    count, total, squares = norms.sums[norm]
    assert (count == core.shape[-1]).all()
    assert torch.allclose(total, core.sum(-1)) and torch.allclose(squares, core.square().sum(-1))

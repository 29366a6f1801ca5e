"""Tiles: they cover an axis, their weights sum to one, and their blend is what the network makes of the whole image."""

import math
from collections.abc import Callable
from itertools import pairwise

from prismsr.utils.tiling import blend_rows, split_axis, weigh_tiles

import pytest
import torch
from basicsr.archs.rrdbnet_arch import RRDBNet
from basicsr.archs.srvgg_arch import SRVGGNetCompact
from torch import Tensor, nn

AXES = [
    (100, 32, 8, 1),
    (97, 32, 16, 1),
    (33, 32, 16, 1),
    (128, 36, 8, 8),  # the tile is rounded down to 32
    (120, 36, 5, 8),  # the overlap is rounded up to 8
    (50, 10, 0, 1),
    (61, 20, 3, 1),  # no room for a ramp
    (20, 64, 8, 1),  # one tile
    (20, 0, 8, 1),
]


@pytest.mark.parametrize(("length", "tile", "overlap", "multiple"), AXES)
def test_tiles_cover_the_axis_on_their_grid(length: int, tile: int, overlap: int, multiple: int) -> None:
    tiles = split_axis(length, tile, overlap, multiple)
    assert_even(tiles, length, overlap, multiple)
    assert tiles[0].stop <= (tile or length)


def assert_even(tiles: list[slice], length: int, overlap: int, multiple: int) -> None:
    side, shared = tiles[0].stop, [part.stop - after.start for part, after in pairwise(tiles)]
    assert all(part.stop - part.start == side and part.start % multiple == 0 for part in tiles)
    assert tiles[0].start == 0 and tiles[-1].stop == length
    assert all(overlap <= pixels <= min(shared) + multiple for pixels in shared)


ROUNDED_UP = [*range(385, 393), *range(417, 421), 449, *range(753, 758), 1121, 1122, 1473]
"""Sides whose least cost is above 1.3 on a grid of 16: 385 is 400 there, and two tiles of (400 + 32) / 2 are 224."""


@pytest.mark.parametrize(("multiple", "dear"), [(1, []), (8, []), (16, ROUNDED_UP)])
def test_the_default_tiles_cost_little_for_square_images_of_every_side(multiple: int, dear: list[int]) -> None:
    cost = {}
    for side in range(385, 1601):
        length = -(-side // multiple) * multiple  # as images are mirrored to windows
        tiles = split_axis(length, 384, 32, multiple)
        count, size = len(tiles), tiles[0].stop
        assert_even(tiles, length, 32, multiple)
        assert size <= 384 and size % multiple == 0
        assert (count - 1) * 384 - (count - 2) * 32 < length  # one tile less does not cover it
        assert count * (size - multiple) - (count - 1) * 32 < length  # nor do tiles that are one step shorter
        assert (count * size / length) ** 2 <= 1.3
        cost[side] = (count * size / side) ** 2
    assert [side for side, ratio in cost.items() if ratio > 1.3] == dear


@pytest.mark.parametrize(("length", "tile", "overlap", "multiple"), AXES)
def test_weights_sum_to_one_and_leave_out_the_border(length: int, tile: int, overlap: int, multiple: int) -> None:
    scale, total = 3, torch.zeros(3 * length)
    tiles = weigh_tiles(length, tile, overlap, scale, multiple)
    for number, span in enumerate(tiles):
        first = scale * span.start + span.used.start
        total[first : first + len(span.weights)] += torch.from_numpy(span.weights)
        margin = scale * overlap * 3 / 8  # of a tile's border inside the image: not used
        assert span.used.start >= (margin - 1 if number else 0)
        assert scale * (span.stop - span.start) - span.used.stop >= (margin - 1 if number + 1 < len(tiles) else 0)
    assert torch.allclose(total, torch.ones(()), atol=1e-6)


@pytest.mark.parametrize(("length", "tile", "overlap", "multiple"), AXES)
def test_gaussian_weights_are_those_of_the_formula(length: int, tile: int, overlap: int, multiple: int) -> None:
    """exp(-d^2 / (2 * 0.01)) of the distance d to the tile's centre in tiles, over the sum of all tiles."""
    tiles = weigh_tiles(length, tile, overlap, 2, multiple, window="gaussian")
    side = 2 * (tiles[0].stop - tiles[0].start)
    raw = [math.exp(-(((index + 0.5) / side - 0.5) ** 2) / 0.02) for index in range(side)]
    total = [0.0] * (2 * length)
    for part in tiles:
        for index, weight in enumerate(raw):
            total[2 * part.start + index] += weight
    for part in tiles:
        expected = [weight / total[2 * part.start + index] for index, weight in enumerate(raw)]
        assert (part.used.start, part.used.stop) == (0, side)
        assert part.weights == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("length", [20, 384])
def test_an_image_that_fits_in_a_tile_is_run_as_it_is(length: int) -> None:
    image, seen = torch.rand(1, 3, length, length), []
    result = collected(lambda x: seen.append(x) or x, image, 1, 384, 32)
    assert torch.equal(result, image) and [x.shape for x in seen] == [image.shape]


@pytest.mark.parametrize(("tile", "overlap", "multiple"), [(32, 17, 1), (4, 0, 8), (8, 8, 8), (32, -1, 1)])
def test_impossible_tiles_are_refused(tile: int, overlap: int, multiple: int) -> None:
    with pytest.raises(ValueError, match=f"tile {tile} and overlap {overlap}"):
        split_axis(64, tile, overlap, multiple)


def naive_blend(run: Callable[[Tensor], Tensor], image: Tensor, scale: int, tile: int, overlap: int) -> Tensor:
    """Weighted sum over the whole output at once, with the weights of `weigh_tiles`."""
    rows = weigh_tiles(image.shape[-2], tile, overlap, scale)
    columns = weigh_tiles(image.shape[-1], tile, overlap, scale)
    result = torch.zeros(1, 3, scale * image.shape[-2], scale * image.shape[-1])
    for row in rows:
        for column in columns:
            output = run(image[..., row.start : row.stop, column.start : column.stop])
            for i, down in enumerate(row.weights, row.used.start):
                for j, across in enumerate(column.weights, column.used.start):
                    result[..., scale * row.start + i, scale * column.start + j] += down * across * output[..., i, j]
    return result


def collected(run: Callable[[Tensor], Tensor], image: Tensor, scale: int, tile: int, overlap: int) -> Tensor:
    bands = list(blend_rows(run, image, scale, tile, overlap))
    tops = [first for first, _ in bands]
    heights = [band.shape[1] for _, band in bands]
    assert tops == [sum(heights[:index]) for index in range(len(heights))]
    return torch.cat([band for _, band in bands], 1)[None]


def test_bands_are_the_weighted_sum_of_the_tiles() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 25, 22)
    means = lambda x: nn.functional.interpolate(x - x.mean(), scale_factor=2)  # differs from tile to tile
    expected = naive_blend(means, image, 2, 12, 6)
    assert torch.allclose(
        collected(means, image, 2, 12, 6), expected, rtol=0, atol=16 * 2**-24
    )  # sums of 4 tiles below 1, each weighed twice


@pytest.mark.parametrize(
    ("net", "reach"),
    [
        (SRVGGNetCompact(num_feat=8, num_conv=4, upscale=4), 6),  # 6 convolutions of 3x3 at the input's size
        (RRDBNet(3, 3, scale=4, num_feat=8, num_block=1, num_grow_ch=4), 19),  # 17 of them, and 4 on larger maps
    ],
)
def test_convolutional_nets_give_what_they_give_for_the_whole(
    net: nn.Module, reach: int, photograph_tensor: Tensor
) -> None:
    torch.manual_seed(1)
    net, image = (
        net.double(),
        photograph_tensor[..., 90:150, 200:353].double(),
    )  # two of RRDBNet's tiles and one overlap are 153 wide
    for weights in net.parameters():  # far from those of a start, so that the reach is used
        nn.init.normal_(weights, std=(2 / weights[0].numel()) ** 0.5 if weights.ndim > 1 else 0.1)
    overlap = -(-reach * 8 // 3)
    with torch.inference_mode():
        whole = net(image)
        tiled = collected(net, image, 4, 2 * overlap, overlap)
        hard = collected(net, image, 4, 20, 0)
    spread = float(whole.std())
    # the tiles are computed in float64; as they are blended each value is rounded 16 times at the most
    assert float((tiled - whole).abs().max()) < 16 * 2**-24 * float(whole.abs().max())
    assert float((hard - whole).abs().max()) > 0.1 * spread  # without overlap the seams show


def test_the_default_tiles_give_the_whole_image_for_a_network_of_their_reach(photograph_tensor: Tensor) -> None:
    """12 pixels to each side are 3/8 of the overlap of 32; 400 x 400 pixels are four tiles of 216 x 216."""
    torch.manual_seed(1)
    net, seen = SRVGGNetCompact(num_feat=4, num_conv=10, upscale=2).double(), []
    net.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape[-2:])))
    image = nn.functional.pad(photograph_tensor[..., :400].double(), (0, 0, 0, 100), mode="reflect")
    with torch.inference_mode():
        whole, tiled = net(image), collected(net, image, 2, 384, 32)
    assert seen == [(400, 400)] + 4 * [(216, 216)]
    assert float((tiled - whole).abs().max()) < 16 * 2**-24 * float(whole.abs().max())

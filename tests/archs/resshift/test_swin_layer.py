"""The Swin layer against references that visit every pair of tokens."""

from prismsr.archs.resshift.swin_layer import SwinLayer, WindowAttention
from prismsr.archs.resshift.windows import join_windows, make_mask, split_windows

import pytest
import torch
from torch import nn

WINDOW, SHIFT = 8, 4


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_windows_are_cut_row_by_row_and_put_back():
    maps = torch.arange(2 * 3 * 16 * 24).view(2, 3, 16, 24)
    windows = split_windows(maps, WINDOW)
    assert windows.shape == (2, 2, 3, 64, 3)
    assert torch.equal(windows[1, 1, 2, 9], maps[1, :, 9, 17])
    assert torch.equal(join_windows(windows, WINDOW), maps)


def _blocked(kind, height, width, one, other):
    """Whether two places of a rolled map, in one window, must not see each other."""

    def region(place, length):  # as Swin labels an axis after its roll
        return (place >= length - WINDOW) + (place >= length - SHIFT)

    if kind == "swin":
        return (region(one[0], height), region(one[1], width)) != (region(other[0], height), region(other[1], width))
    return one[0] // WINDOW == height // WINDOW - 1 and (one[1] % WINDOW < SHIFT) != (other[1] % WINDOW < SHIFT)


@pytest.mark.parametrize("kind", ["released", "swin"])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 24), (8, 16)])
def test_masks_follow_their_rule(kind, height, width):
    mask = make_mask(kind, height // WINDOW, width // WINDOW, WINDOW, SHIFT)
    for row in range(height // WINDOW):
        for column in range(width // WINDOW):
            places = [(8 * row + n // 8, 8 * column + n % 8) for n in range(64)]
            wanted = [[-100.0 * _blocked(kind, height, width, one, other) for other in places] for one in places]
            assert torch.equal(mask[row, column], torch.tensor(wanted))


def _attend(attention, x, kind, shift):
    """Windowed attention of a map (C, H, W), a loop over tokens, without a roll."""
    _, height, width = x.shape
    heads, table = attention.heads, attention.relative_position_bias_table
    q, k, v = attention.qkv(x.permute(1, 2, 0)).unflatten(-1, (3, heads, -1)).unbind(2)
    result = torch.zeros_like(v)
    for top in range(0, height, WINDOW):
        for left in range(0, width, WINDOW):
            moved = [(top + n // WINDOW, left + n % WINDOW) for n in range(WINDOW**2)]  # in the rolled map
            real = [((y + shift) % height, (x + shift) % width) for y, x in moved]
            for one, here in zip(moved, real, strict=True):
                seen = [
                    (place, (one[0] - other[0] + 7) * 15 + one[1] - other[1] + 7)
                    for other, place in zip(moved, real, strict=True)
                    if not shift or not _blocked(kind, height, width, one, other)
                ]
                keys, values = (torch.stack([part[place] for place, _ in seen], 1) for part in (k, v))
                logits = (q[here][:, None] * keys).sum(-1) * q.shape[-1] ** -0.5
                logits = logits + torch.stack([table[offset] for _, offset in seen], 1)
                result[here] = (logits.softmax(1)[..., None] * values).sum(1)
    return attention.proj(result.flatten(2)).permute(2, 0, 1)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["released", "swin"])
def test_a_layer_is_its_formula(kind):
    layer = SwinLayer(6, 8, depth=2, heads=2, window=WINDOW, shift=SHIFT, mask=kind, groups=4, ratio=2)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.4)
    x = torch.randn(1, 6, 16, 24)
    wanted = layer.patch_embed["proj"](x)
    for number, block in enumerate(layer.blocks):
        wanted = wanted + _attend(block.attn, block.norm1(wanted)[0], kind, SHIFT * number)
        wanted = wanted + block.mlp.fc2(nn.functional.gelu(block.mlp.fc1(block.norm2(wanted))))
    wanted = layer.patch_unembed["proj"](wanted)
    assert torch.allclose(layer(x), wanted, atol=2e-4)


def test_the_two_masks_give_other_outputs():
    torch.manual_seed(0)
    attention = WindowAttention(8, 2, WINDOW)
    windows = split_windows(torch.randn(1, 8, 16, 16), WINDOW)
    released, swin = (attention(windows, make_mask(kind, 2, 2, WINDOW, SHIFT)) for kind in ("released", "swin"))
    assert torch.equal(released[:, 0, 0], swin[:, 0, 0])
    assert not torch.allclose(released[:, 0, 1], swin[:, 0, 1])

from copy import deepcopy

from prismsr.archs.clip.clip_arch import Clip
from prismsr.archs.clip.features import ClipFeatures, ClipImageEncoder, position_rows

import pytest
import torch
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torchvision.transforms.functional import normalize

SIZES = {  # height, width: sizes of layer1, layer2, layer3, layer4; every level floors
    (128, 128): [(32, 32), (16, 16), (8, 8), (4, 4)],
    (192, 192): [(48, 48), (24, 24), (12, 12), (6, 6)],
    (224, 224): [(56, 56), (28, 28), (14, 14), (7, 7)],
    (256, 320): [(64, 80), (32, 40), (16, 20), (8, 10)],
    (130, 200): [(32, 50), (16, 25), (8, 12), (4, 6)],
    (500, 500): [(125, 125), (62, 62), (31, 31), (15, 15)],
}


@pytest.mark.parametrize("size", list(SIZES)[:4])
def test_shapes_of_rn50(rn50, size):
    with torch.no_grad():
        features = rn50.image(torch.rand(1, 3, *size))
    expected = [(1, channels, *level) for channels, level in zip((256, 512, 1024), SIZES[size][:3], strict=True)]
    assert [tuple(level.shape) for level in features.middle] == expected
    assert features.final.shape == (1, 1024)


@pytest.mark.parametrize("size", SIZES)
def test_shapes_of_other_sizes_and_layers(tiny_net, size):
    encoder = ClipImageEncoder(tiny_net.visual, layers=[2, 3, 4])
    features = encoder(torch.rand(2, 3, *size))
    assert [tuple(level.shape[2:]) for level in features.middle] == SIZES[size][1:]
    assert tuple(level.shape[1] for level in features.middle) == encoder.channels == (64, 128, 256)
    assert features.final.shape == (2, encoder.embed_dim) == (2, 24)


def test_sizes_of_rn50_s_parts(rn50):
    assert rn50.image.channels == (256, 512, 1024) and rn50.image.embed_dim == rn50.text.embed_dim == 1024
    assert round(sum(parameter.numel() for parameter in rn50.image.parameters()) / 1e6, 2) == 38.32
    with torch.no_grad():
        maps = rn50.image(torch.rand(1, 3, 128, 128), final=False).middle
    assert all(0.1 < level.std() < 10 for level in maps)  # random weights, but no dead ones


@pytest.mark.parametrize("pos_embedding", ["1d", "2d"])
def test_equals_open_clip_at_its_own_size(tiny_net, photograph_tensor, pos_embedding):
    images, clip = photograph_tensor[:, :, 40:264, 100:324].double(), deepcopy(tiny_net).double()
    net = clip.visual
    mean, std = torch.tensor([OPENAI_DATASET_MEAN, OPENAI_DATASET_STD], dtype=torch.float32).tolist()  # as ours
    normalised = normalize(images, mean, std)
    expected = net.forward_intermediates(normalised, indices=[1, 2, 3], intermediates_only=True)
    features = ClipImageEncoder(net, pos_embedding=pos_embedding).double()(images)
    for ours, theirs in zip(features.middle, expected["image_intermediates"], strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(features.final, clip.encode_image(normalised))
    plain = ClipImageEncoder(net).double()(images)
    assert not torch.allclose(plain.final, features.final)


def test_without_positions_the_pooling_sees_a_set(tiny_net, images):
    """Without positional embedding a shuffled last map gives the same vector; with it, another."""
    shuffled = torch.randperm(6)
    results = {}
    for kind in ("none", "1d", "2d"):
        encoder = ClipImageEncoder(deepcopy(tiny_net.visual), layers=[2, 3, 4], pos_embedding=kind).double()
        last = encoder(images.double()).middle[2]
        moved = last.flatten(2)[:, :, shuffled].view_as(last)
        results[kind] = (encoder._pool(last), encoder._pool(moved))
    torch.testing.assert_close(*results["none"])
    assert not torch.allclose(*results["1d"]) and not torch.allclose(*results["2d"])


def test_position_grid_keeps_the_mean_s_row_and_a_gradient_of_positions():
    rows = torch.cat([torch.tensor([7.0]), torch.arange(7.0).repeat(7)])[:, None].double()  # grows with the column
    grid = position_rows(rows, (3, 14), "2d")
    assert grid.shape == (43, 1) and grid[0] == 7
    columns = grid[1:].reshape(3, 14)
    torch.testing.assert_close(columns[0], columns[2])
    assert (columns.diff() > 0).all()
    assert position_rows(rows, (3, 14), "1d").shape == (43, 1)


def test_what_is_not_asked_for_is_not_computed(clip, images):
    """The deeper layers are broken, so that reaching them would show."""
    whole = clip.image(images)
    torch.testing.assert_close(clip.image(images, middle=False).final, whole.final)
    assert clip.image(images, middle=False).middle == ()
    clip.image.visual.layer4 = clip.image.visual.attnpool = None
    only = clip.image(images, final=False)
    assert only.final is None
    for ours, theirs in zip(only.middle, whole.middle, strict=True):
        assert torch.equal(ours, theirs)
    clip.image.visual.stem = None
    assert clip.image(images, middle=False, final=False) == ((), None)


def test_gradient_goes_to_the_images_and_is_right(tiny_net):
    encoder = ClipImageEncoder(tiny_net.visual.double()).double()
    images = torch.rand(1, 3, 32, 40, dtype=torch.float64, requires_grad=True)
    try:
        assert torch.autograd.gradcheck(lambda x: (*encoder(x).middle, encoder(x).final), images, fast_mode=True)
    finally:
        tiny_net.visual.float()
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_half_precision_is_left_out_unless_asked_for(tiny_net, images):
    full = ClipImageEncoder(tiny_net.visual)(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ClipImageEncoder(tiny_net.visual)(images).final, full.final)
        half = ClipImageEncoder(tiny_net.visual, autocast=True)(images)
    assert half.middle[0].dtype == torch.bfloat16 and half.final.dtype == torch.float32
    torch.testing.assert_close(half.final, full.final, rtol=0.1, atol=0.1 * full.final.std().item())
    assert not torch.equal(half.final, full.final)


def test_stays_in_evaluation_mode(clip, images):
    before = {name: value.clone() for name, value in clip.state_dict().items()}
    clip.train()
    clip.image.train()
    assert not any(module.training for module in clip.modules())
    clip.image(images)
    assert all(torch.equal(value, before[name]) for name, value in clip.state_dict().items())


def test_features_split_join_and_detach(clip, images):
    features = clip.image(images.requires_grad_())
    first, second = features.split([1, 2])
    assert first.final.shape[0] == 1 and second.middle[1].shape[0] == 2
    joined = ClipFeatures.cat([first, second]).detach()
    assert not joined.final.requires_grad and not any(level.requires_grad for level in joined.middle)
    for ours, theirs in zip((*joined.middle, joined.final), (*features.middle, features.final), strict=True):
        assert torch.equal(ours, theirs)
    only_final = features._replace(middle=())
    assert torch.equal(ClipFeatures.cat(only_final.split([2, 1])).final, features.final)
    only_middle = ClipFeatures.cat(features._replace(final=None).split([2, 1]))
    assert only_middle.final is None and torch.equal(only_middle.middle[2], features.middle[2])


def test_mistakes_are_named(tiny_net, clip):
    with pytest.raises(ValueError, match="layers"):
        ClipImageEncoder(tiny_net.visual, layers=[3, 2, 1])
    with pytest.raises(ValueError, match=r"\(31, 64\)"):
        clip.image(torch.rand(1, 3, 31, 64))
    assert clip.image(torch.rand(1, 3, 16, 16), final=False).middle[2].shape[2:] == (1, 1)
    with pytest.raises(ValueError, match="ViT-B-32"):
        Clip(None, model="ViT-B-32")
    with pytest.raises(ValueError, match="model is 'RN51'"):
        Clip(None, model="RN51")

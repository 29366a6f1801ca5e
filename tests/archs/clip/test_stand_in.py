from prismsr.archs.clip.clip_arch import Clip
from prismsr.utils.compat import import_stlpips
from prismsr.utils.options.check import check_options
from prismsr.utils.options.files import load_options, merge
from prismsr.utils.options.problems import errors_among

import pytest
import torch


def test_maps_are_the_packages_own():
    stand_in, images = Clip(model="st_vgg16"), torch.rand(2, 3, 49, 64)
    features = stand_in.image(images)
    assert features.final is None and stand_in.text is None
    assert tuple(level.shape[1] for level in features.middle) == stand_in.image.channels
    network = import_stlpips().stlpips.LPIPS(net="vgg", variant="shift_tolerant", verbose=False)
    theirs = network.net(network.scaling_layer(images * 2 - 1))
    for made, layer in zip(features.middle, ("relu1_2", "relu2_2", "relu3_3"), strict=True):
        torch.testing.assert_close(made, getattr(theirs, layer), rtol=0, atol=2e-3)
    with pytest.raises(ValueError, match="no final vector"):
        stand_in.image(images, final=True)


def test_it_judges_maps_alone(repository):
    """Feat-D takes it; the prompts, which need a text, are refused before anything is built."""
    files = [repository / "options" / "sfd" / f"{kind}_only_x4.yml" for kind in ("feat_d", "tg_d")]
    errors = [errors_among(list_problems(merge(load_options(file), {"clip": {"model": "st_vgg16"}}))) for file in files]
    assert [[problem.key for problem in one] for one in errors] == [[], ["clip.model"]]


def list_problems(options):
    return list(check_options(options, "x.yml", missing_paths="note", is_train=True))

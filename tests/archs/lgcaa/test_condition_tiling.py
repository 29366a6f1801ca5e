from prismsr.archs.latent.sampling.enlarged_image import EnlargedImage
from prismsr.archs.latent.sampling.latent_tiling import Window, split_map
from prismsr.archs.lgcaa.lgcaa_arch import ConditionFeatures

import pytest
import torch
from basicsr.archs import build_network
from lgcaa_tiny import NETWORK


@pytest.mark.usefixtures("double")
@torch.no_grad()
def test_windows_are_parts_of_the_whole_images_features():
    net = build_network(NETWORK).eval()
    embedding = net.controlnet.controlnet_cond_embedding.double()
    source = EnlargedImage(torch.rand(1, 3, 34, 50), (136, 200), 8)
    whole = embedding.features(source.window(Window(slice(0, 136), slice(0, 200))))[-1]
    features = ConditionFeatures(embedding, source, 8)
    assert features.size == (17, 25)
    for window in split_map(17, 25, 7, 2):
        assert torch.allclose(features.of(window), window.of(whole))
    all_of_it = features.of(Window(slice(0, 17), slice(0, 25)))
    assert torch.equal(all_of_it, whole)
    assert features.of(Window(slice(0, 17), slice(0, 25))) is all_of_it

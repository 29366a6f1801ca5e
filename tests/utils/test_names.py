"""Near names: typos are recognised, other words are not; what there is is listed where nothing is near."""

from prismsr.utils.names import did_you_mean, nearest

import pytest

TYPOS = [
    ("l1loss", "L1Loss"),
    ("L1Los", "L1Loss"),
    ("manualseed", "manual_seed"),
    ("manual-sed", "manual_seed"),
    ("pretrain_netwrok_g", "pretrain_network_g"),
    ("use_flip", "use_hflip"),
    ("num_feats", "num_feat"),
    ("loss_wieght", "loss_weight"),
    ("SelfSimiliartyLoss", "SelfSimilarityLoss"),
    ("PrismSrMode", "PrismSRModel"),
    ("conv54", "conv5_4"),
    ("niqqe", "niqe"),
    ("siz", "size"),
    ("frist", "first"),
    ("dpm", "dpm++"),
    ("ESRGAN-SLL", "ESRGAN-SSL"),
]
OTHER_WORDS = [
    ("DISTSLoss", "NoiseLoss"),
    ("GANLoss", "PSNRLoss"),
    ("L2Loss", "L1Loss"),
    ("calculate_ssim", "calculate_psnr"),
    ("dataroot_lq", "dataroot_gt"),
    ("optim_d", "optim_g"),
    ("EDSR", "EDVR"),
    ("AdamW", "Adam"),
    ("SGD", "Adam"),
    ("vgg16", "vgg19"),
    ("Set14", "Set5"),
    ("d2", "d"),
    ("noise_range", "resize_range"),
    ("sma", "smp"),
    ("", "d"),
    ("", "loss"),
]


@pytest.mark.parametrize(("name", "known"), TYPOS)
def test_a_typo_is_recognised(name: str, known: str) -> None:
    assert nearest(name, [known, "quite_another"]) == known


@pytest.mark.parametrize(("name", "known"), OTHER_WORDS)
def test_another_word_is_not_offered(name: str, known: str) -> None:
    assert nearest(name, [known]) is None


def test_the_nearest_of_several() -> None:
    assert (
        nearest("blur_kernel_siz", ["blur_kernel_size2", "blur_kernel_sise", "blur_kernel_size"]) == "blur_kernel_size"
    )


def test_what_there_is_is_listed_where_nothing_is_near() -> None:
    assert did_you_mean("DISTSLoss", ["NoiseLoss", "L1Loss"]) == "; known: L1Loss, NoiseLoss"
    assert did_you_mean("L1Los", ["NoiseLoss", "L1Loss"]) == "; did you mean 'L1Loss'?"
    assert did_you_mean("x", []) == ""
    many = did_you_mean("nome_777", [f"name_{number}" for number in range(1000)])
    assert len(many) < 350
    assert many.startswith("; known: name_777, ")
    assert many.endswith(", ... (1000 in all)")

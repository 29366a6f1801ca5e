"""The check of option files whose LQ images are made in the training step."""

from prismsr.utils.options.check import check_options
from prismsr.utils.options.files import load_options, merge
from prismsr.utils.options.problems import errors_among

import pytest

VGG = {"type": "VGGStyleDiscriminator", "input_size": 128, "num_in_ch": 3, "num_feat": 64}


def _errors(opt):
    problems = check_options(opt, "x.yml", missing_paths="note", is_train=True)
    return {problem.key: problem.message for problem in errors_among(problems)}


@pytest.fixture(scope="module")
def experiment(repository):
    return load_options(repository / "options" / "ssl" / "realesrgan_ssl_x4.yml")


@pytest.mark.parametrize("fragment", ["realesrgan", "hggt", "hggt_one_order", "stablesr", "resshift"])
def test_each_published_degradation_passes(repository, experiment, fragment):
    values = load_options(repository / "options" / "_base_" / f"degradation_{fragment}.yml")
    train = {"name": "a", "dataroot_gt": "x", "use_hflip": True, "use_rot": False, "num_worker_per_gpu": 1}
    opt = merge(experiment, {"degradation": {"_replace_": True, **values["degradation"]}})
    opt["datasets"]["train"] = {**train, "batch_size_per_gpu": 4, **values["datasets"]["train"]}
    assert _errors(opt) == {}


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"degradation": {"noise_rang": [1, 2]}}, "degradation.noise_rang", "did you mean 'noise_range'"),
        ({"degradation": {"jpeg_range": [0, 95]}}, "degradation.jpeg_range", "both between 1 and 100; got [0, 95]"),
        ({"degradation": {"noise_range2": None}}, "degradation.noise_range2", "is required with orders: 2"),
        ({"degradation": {"queue_size": 100}}, "degradation.queue_size", "batch_size_per_gpu, 12; got 100"),
        ({"degradation": {"gt_size": 254}}, "degradation.gt_size", "multiple of scale, 4; got 254"),
        (
            {"degradation": {"gt_size": 600}},
            "degradation.gt_size",
            "at most datasets.train.crop_pad_size, 512; got 600",
        ),
        (
            {"datasets": {"train": {"crop_pad_size": 510}}},
            "datasets.train.crop_pad_size",
            "must be a multiple of scale, 4, by which the patch is reduced; got 510",
        ),
        ({"degradation": None}, "degradation", "is required: datasets.train gives GT images and blur kernels"),
        ({"network_d": {"_replace_": True, **VGG}}, "network_d.input_size", "is 128, but degradation.gt_size is 256"),
        ({"train": {"losses": {"l_g_pix": {"gt": "gt_usm"}}}}, "train.losses.l_g_pix.gt", "degradation.gt_usm"),
        ({"train": {"losses": {"l_g_pix": {"gt": "lq"}}}}, "train.losses.l_g_pix.gt", "must be one of gt, gt_usm"),
    ],
)
def test_what_does_not_agree_is_told(experiment, changes, key, message):
    errors = _errors(merge(experiment, changes))
    assert list(errors) == [key]
    assert message in errors[key]


def test_the_second_order_needs_its_kernels(experiment):
    keys = [key for key in experiment["datasets"]["train"] if key.endswith("2") or key == "final_sinc_prob"]
    opt = merge(experiment, {})
    for key in keys:
        del opt["datasets"]["train"][key]
    assert _errors(opt) == {"datasets.train.kernel_list2": "is required with degradation.orders 2"}


def test_a_term_may_compare_with_the_sharpened_gt(experiment):
    changes = {"degradation": {"gt_usm": True}, "train": {"losses": {"l_g_pix": {"gt": "gt_usm"}}}}
    assert _errors(merge(experiment, changes)) == {}


def test_an_enlarged_lq_is_for_models_that_take_one(repository, experiment):
    values = load_options(repository / "options" / "_base_" / "degradation_stablesr_usm.yml")
    latent = load_options(repository / "options" / "lgcaa" / "lgcaa_x4.yml")
    size = {"degradation": {"gt_size": 256, "queue_size": 384}, "datasets": {"train": {"crop": "plain"}}}
    assert _errors(merge(merge(latent, values), size)) == {}
    assert list(_errors(merge(experiment, {"degradation": {"enlarge": True}}))) == ["degradation.enlarge"]


def test_pairs_cannot_be_degraded(experiment):
    train = {"name": "a", "type": "PairedImageMaskDataset", "dataroot_gt": "x", "dataroot_lq": "y", "gt_size": 256}
    loading = {"use_hflip": True, "use_rot": True, "num_worker_per_gpu": 1, "batch_size_per_gpu": 12}
    opt = merge(experiment, {})
    opt["datasets"]["train"] = {**train, **loading}
    assert list(_errors(opt)) == ["datasets.train.type"]

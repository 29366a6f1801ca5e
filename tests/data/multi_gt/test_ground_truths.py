"""Images with several versions through the degradation: what is cut, chosen, pooled and kept."""

import io
import random

from prismsr.data.degradation.kernels import KernelSettings, global_generators_from, random_blur_kernel
from prismsr.data.degradation.options import DegradationOptions
from prismsr.data.degradation.real_esrgan import RealESRGANDegradation, build_degradation
from prismsr.data.multi_gt.ground_truths import GroundTruths
from prismsr.losses.negative_loss import negative_map
from prismsr.utils.errors import UserError

import numpy as np
import pytest
import torch
from basicsr.utils import set_random_seed

SCALE, GT_SIZE, SIDE, BATCH, QUEUE, VERSIONS = 4, 16, 32, 2, 6, 3
ONE_ORDER = {
    "orders": 1,
    "gt_size": GT_SIZE,
    "queue_size": QUEUE,
    "resize_prob": [0.2, 0.7, 0.1],
    "resize_range": [0.8, 1.2],
    "gaussian_noise_prob": 0.5,
    "noise_range": [1, 12],
    "poisson_scale_range": [0.05, 0.8],
    "gray_noise_prob": 0.2,
    "jpeg_range": [75, 95],
}
KERNELS = KernelSettings(9, [3, 9], ["iso"], [1.0], [0.1, 1.0], [0.5, 4], [1, 2], 0.0)


class Choice:
    """Takes the version whose crop is brightest in its corner, and remembers what it was asked."""

    def __init__(self):
        self.calls = []

    def __call__(self, versions, candidates, names):
        self.calls.append((versions.clone(), candidates.clone()))
        return versions[:, :, :, 0, 0].sum(2).masked_fill(~candidates, -1).argmax(1)


@pytest.fixture
def batches(photograph_tensor):
    """Ten batches as MultiGTDataset's where the model chooses, with negatives."""
    result = []
    generator = torch.Generator().manual_seed(4)
    for step in range(10):
        corners = [(20 * step, 10), (10 * step, 300)]
        gt = torch.cat([photograph_tensor[:, :, y : y + SIDE, x : x + SIDE] for y, x in corners]).contiguous()
        noise = torch.rand(BATCH, VERSIONS + 1, 3, SIDE, SIDE, generator=generator) * 40 - 20
        others = ((gt[:, None] * 255 + noise).round().clamp(0, 255)) / 255
        with global_generators_from(np.random.default_rng(step)):
            kernel = torch.stack([random_blur_kernel(KERNELS) for _ in range(BATCH)])
        result.append(
            {
                "gt": gt,
                "kernel1": kernel,
                "gt_versions": torch.cat([gt[:, None], others[:, : VERSIONS - 1]], 1),
                "gt_candidates": torch.tensor([[True, True, True], [False, True, True]]),
                "gt_negative": others[:, -1],
                "gt_positive": others[:, -2],
                "negative_votes": torch.tensor([[2 / 3, 1.0], [0.0, 1 / 3]]),
                "gt_path": [f"{step}a.png", f"{step}b.png"],
            }
        )
    return result


def _degradation(queue_size=QUEUE, choice=None):
    options = DegradationOptions(**{**ONE_ORDER, "queue_size": queue_size})
    return RealESRGANDegradation(options, SCALE, pairing=GroundTruths(choice))


def _plain_degradation(queue_size=QUEUE):
    return RealESRGANDegradation(DegradationOptions(**{**ONE_ORDER, "queue_size": queue_size}), SCALE)


def _plain(batch):
    return {key: batch[key] for key in ("gt", "kernel1", "gt_path")}


def test_one_crop_for_all_and_the_chosen_one_is_gt(batches):
    """Against cutting each image by itself at the place where the original was cut."""
    choice = Choice()
    degradation = _degradation(2 * len(batches), choice)  # nothing is mixed
    reference = _plain_degradation(2 * len(batches))
    for number, batch in enumerate(batches):
        set_random_seed(number)
        plain = reference.batch(_plain(batch))
        set_random_seed(number)
        out = degradation.batch(batch)
        assert torch.equal(out["lq"], plain["lq"])  # of the original, whatever is chosen
        assert out["gt_path"] == plain["gt_path"]
        versions, candidates = choice.calls[-1]
        assert versions.shape == (BATCH, VERSIONS, 3, GT_SIZE, GT_SIZE)
        assert torch.equal(candidates, batch["gt_candidates"])
        for sample in range(BATCH):
            original = batch["gt"][sample]
            places = [(y, x) for y in range(0, SIDE - GT_SIZE + 1, 4) for x in range(0, SIDE - GT_SIZE + 1, 4)]
            y, x = next(
                (y, x) for y, x in places
                if torch.equal(original[:, y : y + GT_SIZE, x : x + GT_SIZE], plain["gt"][sample])
            )  # fmt: skip
            cut = {
                name: batch[name][sample][..., y : y + GT_SIZE, x : x + GT_SIZE]
                for name in ("gt", "gt_versions", "gt_negative", "gt_positive")
            }
            assert torch.equal(versions[sample], cut["gt_versions"])
            allowed = [v for v in range(VERSIONS) if batch["gt_candidates"][sample][v]]
            best = max(allowed, key=lambda v: float(cut["gt_versions"][v][:, 0, 0].sum()))
            assert torch.equal(out["gt"][sample], cut["gt_versions"][best])
            assert torch.equal(out["gt_negative"][sample], cut["gt_negative"])
            weights = negative_map(
                *(cut[name][None] for name in ("gt", "gt_positive", "gt_negative")),
                batch["negative_votes"][sample][None],
            )
            assert torch.equal(out["negative_map"][sample], weights[0])
            assert bool(weights.any()) == (sample == 0)
    assert len(choice.calls) == len(batches)


def test_one_version_needs_no_choice(batches):
    degradation = _degradation()
    for number, batch in enumerate(batches):
        out = degradation.batch({**_plain(batch), "gt_versions": batch["gt_versions"][:, 1:2]})
        assert set(out) == {"lq", "gt", "gt_path"}
        whole = torch.cat([entry["gt_versions"][:, 1] for entry in batches[: number + 1]])
        windows = whole.unfold(2, GT_SIZE, 4).unfold(3, GT_SIZE, 4)
        for image in out["gt"]:
            assert (windows == image[None, :, None, None]).all(dim=(1, 4, 5)).any()


def test_without_anything_to_choose_by(batches):
    degradation = _degradation()
    with pytest.raises(UserError, match=r"scoring.*datasets\.train\.scores"):
        degradation.batch(batches[0])


def test_the_original_alone_gives_what_plain_images_give(batches):
    """Bit for bit through the pool, so that origins_only is plain training."""
    outputs = []
    alone = [{**_plain(batch), "gt_versions": batch["gt"][:, None]} for batch in batches]
    for degradation, given in ((_plain_degradation(), map(_plain, batches)), (_degradation(), alone)):
        set_random_seed(0)
        outputs.append([degradation.batch(batch) for batch in given])
    for plain, versions in zip(*outputs, strict=True):
        assert plain.keys() == versions.keys()
        for key in plain:
            assert torch.equal(plain[key], versions[key]) if key != "gt_path" else plain[key] == versions[key]


def test_samples_stay_together_in_the_pool(batches):
    """LQ, chosen version, negative and map of one sample come out together, under its name."""
    degradation, alone = _degradation(choice=Choice()), _degradation(20, Choice())
    kept = {}
    for number, batch in enumerate(batches):
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        out = degradation.batch(batch)
        after = random.getstate(), np.random.get_state(), torch.get_rng_state()
        random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])
        single = alone.batch(batch)
        random.setstate(after[0]), np.random.set_state(after[1]), torch.set_rng_state(after[2])
        names = ("lq", "gt", "gt_negative", "negative_map")
        for sample, name in enumerate(single["gt_path"]):
            kept[name] = {key: single[key][sample] for key in names}
        for sample, name in enumerate(out["gt_path"]):
            assert all(torch.equal(out[key][sample], kept[name][key]) for key in names), number


@pytest.mark.parametrize("steps", [2, 5])
def test_resumes_exactly(batches, steps):
    """The pool holds the chosen versions; a choice that draws goes on from torch's generator."""

    def choice(versions, candidates, names):
        return (torch.rand(len(versions)) * VERSIONS).long()

    degradation = _degradation(choice=choice)
    set_random_seed(5)
    for batch in batches[:steps]:
        degradation.batch(batch)
    file = io.BytesIO()
    torch.save(degradation.training_state(), file)
    generators = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = [degradation.batch(batch) for batch in batches[steps:]]

    resumed = _degradation(choice=choice)
    file.seek(0)
    resumed.load_training_state(torch.load(file, weights_only=True))
    random.setstate(generators[0])
    np.random.set_state(generators[1])
    torch.set_rng_state(generators[2])
    for batch, theirs in zip(batches[steps:], expected, strict=True):
        out = resumed.batch(batch)
        assert out.pop("gt_path") == theirs.pop("gt_path")
        assert out.keys() == theirs.keys() and all(torch.equal(out[key], theirs[key]) for key in out)


def test_the_option_file_says_who_chooses():
    opt = {"scale": SCALE, "degradation": ONE_ORDER, "scoring": {"metric": "natural_scene"}}
    train = {"type": "MultiGTDataset", "sampling": "amo", "tau": 10.0}
    choice = build_degradation({**opt, "datasets": {"train": train}}).pairing.choice
    assert (choice.rule, choice.metric.name) == ("amo", "natural_scene")
    for changes in ({"sampling": "upos"}, {"scores": "x.csv"}):
        assert build_degradation({**opt, "datasets": {"train": {**train, **changes}}}).pairing.choice is None
    assert build_degradation({**opt, "datasets": {"train": {"type": "RealESRGANMaskDataset"}}}).pairing is None

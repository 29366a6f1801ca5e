"""SFD-IQA: its equations, its checkpoints, its place among BasicSR's metrics, and that it learns to see blur."""

import math
from copy import deepcopy
from pathlib import Path

from prismsr.archs.clip.clip_arch import Clip
from prismsr.archs.clip.features import ClipFeatures
from prismsr.archs.feat_d_arch import FeatD
from prismsr.archs.prompt_discriminator_arch import PromptDiscriminator
from prismsr.losses.adversarial_loss import AdversarialLoss
from prismsr.metrics.nr_iqa_metric import calculate_nr_iqa
from prismsr.metrics.sfd_iqa import SFDIQA, compute_sfd_iqa, limit_side, load_sfd_iqa
from prismsr.metrics.sfd_iqa_metric import calculate_sfd_iqa
from prismsr.utils.errors import OptionError
from prismsr.utils.options.entries import check_metric
from prismsr.utils.weights.files import WeightsError

import cv2
import numpy as np
import pytest
import skimage
import torch
from basicsr.metrics import calculate_metric
from PIL import Image
from scipy.stats import spearmanr

CLIP = {
    "pretrained": None,
    "config": {
        "embed_dim": 64,
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8},
        "text_cfg": {"width": 32, "heads": 2, "layers": 2},
    },
}
FEAT_D = {"num_feat": 16}
PROMPTS = {"context_length": 4}


def _parts(seed=0):
    clip = Clip(**CLIP, seed=seed)
    torch.manual_seed(seed)
    prompts = PromptDiscriminator(**PROMPTS, width=32).attach(clip.text)
    feat_d = FeatD(clip.image.channels, **FEAT_D)
    with torch.no_grad():
        for _ in range(20):  # spectral norm finds its vectors in training mode alone; without them logits are 1e6
            feat_d(clip.image(torch.rand(1, 3, 32, 32), final=False))
    return clip, feat_d, prompts


@pytest.fixture(scope="module")
def scorer():
    """Random networks; noise on the prompts, which would else differ in their class words alone."""
    clip, feat_d, prompts = _parts()
    with torch.no_grad():
        prompts.context += torch.randn_like(prompts.context)
    return SFDIQA(clip, feat_d, prompts)


@pytest.fixture(scope="module")
def checkpoints(scorer, tmp_path_factory):
    """The two files of a training, as BasicSR writes them."""
    folder = tmp_path_factory.mktemp("models")
    paths = {"feat_d": folder / "net_d_feat_10.pth", "prompts": folder / "net_d_tg_10.pth"}
    torch.save({"params": scorer.feat_d.state_dict()}, paths["feat_d"])
    torch.save({"params": scorer.prompts.state_dict()}, paths["prompts"])
    return {name: str(path) for name, path in paths.items()}


@pytest.fixture
def options(checkpoints):
    """Arguments of load_sfd_iqa and calculate_sfd_iqa."""
    return {**checkpoints, "clip": CLIP, "feat_d_options": FEAT_D, "prompt_options": PROMPTS}


@pytest.fixture(scope="module")
def images(photograph_tensor):
    return torch.cat([photograph_tensor[:, :, top : top + 64, 100:196] for top in (40, 100, 160)])


# -------------------------------------------------------------------------------------------------- the equations


def _cosine(a, b):
    return sum(map(math.prod, zip(a, b, strict=True))) / math.hypot(*a) / math.hypot(*b)


def _naive_similarity(image, positive, negative, scale):
    """Eq. 3 and 4 with the temperature of CLIP."""
    best, worst = (math.exp(scale * _cosine(image, text)) for text in (positive, negative))
    return best / (best + worst)


def _naive_score(logits, s_lp, s_o, alpha_1, alpha_2):
    """Eq. 8 to 10, place by place."""
    total = 0.0
    for row in logits:
        for logit in row:
            total += 1 / (1 + math.exp(-logit))
    return (alpha_1 * s_o + alpha_2 * s_lp) * total / (len(logits) * len(logits[0]))


def test_score_is_the_equation_place_by_place():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(4, 1, 5, 7, generator=generator, dtype=torch.float64)
    s_lp, s_o = torch.rand(2, 4, generator=generator, dtype=torch.float64)
    got = compute_sfd_iqa(logits, s_lp, s_o, 0.3, 0.9)
    assert got.shape == (4,)
    for index in range(4):
        scores = s_lp[index].item(), s_o[index].item()
        assert got[index].item() == pytest.approx(_naive_score(logits[index, 0].tolist(), *scores, 0.3, 0.9), rel=1e-10)
    equal = compute_sfd_iqa(logits, s_lp, s_o)
    torch.testing.assert_close(equal, compute_sfd_iqa(logits, s_o, s_lp))  # halves by default
    with pytest.raises(ValueError, match=r"\(4, 1, 5, 7\), \(4, 1\), \(4,\)"):
        compute_sfd_iqa(logits, s_lp[:, None], s_o)


@pytest.mark.parametrize(("scale", "prompt_scale"), [(1.0, 100.0), (None, 20.0)])
def test_module_is_the_equations_on_its_parts(images, scale, prompt_scale):
    clip, feat_d, prompts = (part.double() for part in _parts())
    images = images.double()
    prompts.logit_scale = prompt_scale
    scorer = SFDIQA(clip, feat_d, prompts, ("Sharp photo.", "Blurry photo."), 0.2, 0.7, scale)
    got = scorer(images)
    assert not got.requires_grad
    with torch.no_grad():
        features = clip.image(images)
        logits = feat_d(features)
        learned = clip.text(prompts.ids, prompts.context).tolist()
        fixed = clip.text(clip.text.tokenize(["Sharp photo.", "Blurry photo."])).tolist()
    for index, final in enumerate(features.final.tolist()):
        s_lp, s_o = (_naive_similarity(final, *texts, scale or prompt_scale) for texts in (learned, fixed))
        expected = _naive_score(logits[index, 0].tolist(), s_lp, s_o, 0.2, 0.7)
        assert got[index].item() == pytest.approx(expected, rel=1e-10)


def test_a_batch_is_its_images_and_scoring_changes_no_network(scorer, images):
    scorer, images = deepcopy(scorer).double(), images.double()
    before = {name: value.clone() for name, value in scorer.state_dict().items()}
    scorer.train()
    together = scorer(images)
    assert together.shape == (3,) and len(set(together.tolist())) == 3
    torch.testing.assert_close(together, torch.cat([scorer(image[None]) for image in images]))
    torch.testing.assert_close(scorer(images), together, rtol=0, atol=0)
    assert all(torch.equal(value, before[name]) for name, value in scorer.state_dict().items())


@pytest.mark.parametrize("size", [(32, 32), (33, 97), (131, 64), (125, 125), (300, 451)])
def test_any_size(scorer, photograph_tensor, size):
    score = scorer(photograph_tensor[:, :, : size[0], : size[1]])
    assert score.shape == (1,) and 0 < score.item() < 1


def test_too_small_images_and_a_clip_without_texts_are_refused(scorer):
    with pytest.raises(ValueError, match=r"\(31, 40\) are too small"):
        scorer(torch.rand(1, 3, 31, 40))
    with pytest.raises(ValueError, match="text=True"):
        SFDIQA(Clip(**CLIP, text=False), *_parts()[1:])


def test_max_side_reduces_larger_images_only(photograph_tensor):
    reduced = limit_side(photograph_tensor, 150)
    assert reduced.shape == (1, 3, 100, 150) and reduced.min() >= 0 and reduced.max() <= 1
    assert limit_side(photograph_tensor, 451) is photograph_tensor
    assert limit_side(photograph_tensor, 400).shape == (1, 3, 266, 400)  # the longer side counts, not the shorter
    parts = _parts()
    plain, limited = SFDIQA(*parts)(reduced), SFDIQA(*parts, max_side=150)(photograph_tensor)
    torch.testing.assert_close(limited, plain)


# ------------------------------------------------------------------------------------- checkpoints and the metric


def test_checkpoints_give_the_same_scores_and_are_read_once(scorer, options, images):
    loaded = load_sfd_iqa(**options)
    torch.testing.assert_close(loaded(images), scorer(images), rtol=1e-5, atol=1e-7)
    assert load_sfd_iqa(**options) is loaded
    assert load_sfd_iqa(**options, alpha_1=1.0) is not loaded


@pytest.mark.parametrize(("alpha_1", "alpha_2"), [(1.0, 0.0), (0.5, 0.5)])  # table 4: Baseline, w/ TG-D
def test_without_feat_d_the_score_is_equation_9(scorer, options, photograph, alpha_1, alpha_2):
    rgb = photograph[60:160, 80:211].copy()
    with torch.no_grad():
        final = scorer.clip.image(_tensor(rgb)).final[0].tolist()
        learned = scorer.prompts.text_features().tolist()
        fixed = scorer.clip.text(scorer.clip.text.tokenize(["Good photo.", "Bad photo."])).tolist()
    s_lp, s_o = (_naive_similarity(final, *texts, 100.0) for texts in (learned, fixed))
    expected = alpha_1 * s_o + alpha_2 * s_lp
    switched = {**options, "feat_d": None, "alpha_1": alpha_1, "alpha_2": alpha_2}
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    assert calculate_sfd_iqa(bgr, **switched, device="cpu") == pytest.approx(expected, rel=1e-4)
    through_catalogue = {"metric": "sfd_iqa", "metric_options": switched, "device": "cpu"}
    assert calculate_nr_iqa(bgr, **through_catalogue) == pytest.approx(expected, rel=1e-4)
    assert calculate_sfd_iqa(bgr, **{**switched, "feat_d": options["feat_d"]}, device="cpu") < 0.99 * expected
    assert list(check_metric({"type": "calculate_sfd_iqa", **switched}, "val.metrics.sfd_iqa")) == []


def test_a_newer_checkpoint_of_the_same_name_is_read(scorer, options, images, tmp_path):
    options["prompts"] = str(tmp_path / "net_d_tg_latest.pth")
    torch.save({"params": scorer.prompts.state_dict()}, options["prompts"])
    first = load_sfd_iqa(**options)(images)
    torch.save({"params": {"context": -scorer.prompts.context.detach()}}, options["prompts"])
    assert not torch.allclose(load_sfd_iqa(**options)(images), first)


def test_checkpoints_that_are_missing_or_do_not_fit_are_named(options, checkpoints):
    def refused(message, **changes):
        with pytest.raises((WeightsError, OptionError), match=message) as caught:
            load_sfd_iqa(**{**options, **changes})
        return caught.type

    assert refused(r"No file at .*nothing\.pth", prompts="nothing.pth") is WeightsError
    expected = r"net_d_feat_10\.pth does not fit FeatD: .*up3\.weight_orig \(16, 32, 3, 3\) instead of \(8, 32, 3, 3\)"
    assert refused(expected, feat_d_options={"num_feat": 8}) is WeightsError
    expected = r"net_d_tg_10\.pth does not fit PromptDiscriminator: .*context \(2, 4, 32\) instead of \(2, 5, 32\)"
    assert refused(expected, prompt_options={"context_length": 5}) is WeightsError
    assert refused(r"does not fit PromptDiscriminator", prompts=checkpoints["feat_d"]) is WeightsError


def test_wrong_options_are_told_by_their_key(options):
    def refused(message, **changes):
        with pytest.raises(OptionError, match=message):
            load_sfd_iqa(**{**options, **changes})

    refused(r"clip\.pretraned: unknown argument of Clip.*'?pretrained", clip={**CLIP, "pretraned": None})
    refused(r"clip: layers is \[3, 2, 1\]", clip={**CLIP, "layers": [3, 2, 1]})
    refused(r"clip\.text: must be true", clip={**CLIP, "text": False})
    refused(r"feat_d_options\.fusion: must be one of 'add', 'concat'", feat_d_options={"fusion": "mul"})
    refused(r"alpha_1: must be a number", alpha_1="half")


def test_metric_takes_bgr_uint8_as_validation_hands_it_over(scorer, options, photograph):
    rgb = photograph[60:160, 80:211]
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    inner = torch.from_numpy(rgb[4:-4, 4:-4].copy()).permute(2, 0, 1)[None].float() / 255
    expected = scorer(inner).item()
    entry = {"type": "calculate_sfd_iqa", "crop_border": 4, **options, "device": "cpu"}
    got = calculate_metric({"img": bgr, "img2": bgr}, {**entry, "better": "higher"})
    assert isinstance(got, float) and got == pytest.approx(expected, rel=1e-4)
    chw = calculate_sfd_iqa(bgr.transpose(2, 0, 1), crop_border=4, input_order="CHW", **options, device="cpu")
    assert chw == pytest.approx(expected, rel=1e-4)
    assert got != pytest.approx(calculate_sfd_iqa(bgr[..., ::-1], crop_border=4, **options, device="cpu"), rel=1e-4)
    assert list(check_metric(entry, "val.metrics.sfd_iqa")) == []
    (problem,) = check_metric({**entry, "alpha1": 1.0}, "val.metrics.sfd_iqa")
    assert problem.key == "val.metrics.sfd_iqa.alpha1" and "alpha_1" in problem.message


# ------------------------------------------------------------------------------------------ it learns to see blur

SEEN = ("astronaut.png", "motorcycle_left.png", "ihc.png", "rocket.jpg")
UNSEEN = ("chelsea.png", "coffee.png")
SIGMAS = (0, 0.6, 1, 1.6, 2.5, 4)


def _tensor(image):
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255


def _photograph(name):
    return np.array(Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB"))


def _textured_crop(image, rng, size=64):
    while True:
        top, left = (rng.integers(side - size) for side in image.shape[:2])
        crop = image[top : top + size, left : left + size]
        if abs(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_32F)).mean() > 8:
            return crop


def _degraded(crop, rng):
    if rng.integers(2):
        return cv2.GaussianBlur(crop, (0, 0), rng.uniform(1, 5))
    small = cv2.resize(crop, None, fx=(scale := rng.choice([1 / 3, 1 / 4])), fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, crop.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def _pairs(clip, names, count, rng):
    """Features of sharp crops, and of the same crops blurred or reduced and enlarged."""
    photographs = [_photograph(name) for name in names]
    sharp = [_textured_crop(photographs[index % len(names)], rng) for index in range(count)]
    degraded = [_degraded(crop, rng) for crop in sharp]
    return tuple(clip.image(torch.cat([_tensor(crop) for crop in crops])) for crops in (sharp, degraded))


def _train(net, pairs, lr, steps, batch, rng, decays):
    """The discriminator's side of AdversarialLoss alone, sharp crops as real ones."""
    loss = AdversarialLoss("vanilla", features="clip")
    optimizer = torch.optim.Adam(net.parameters(), lr, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0 if decays else 1, steps)
    count = len(pairs[0].final)
    for _ in range(steps):
        chosen = torch.from_numpy(rng.choice(count, batch, replace=False))
        real, fake = (ClipFeatures(tuple(m[chosen] for m in f.middle), f.final[chosen]) for f in pairs)
        optimizer.zero_grad()
        loss.discriminator_backward(fake, real, net)
        optimizer.step()
        schedule.step()


@pytest.fixture(scope="module")
def trained():
    """CLIP (random, which knows nothing of quality), Feat-D and prompts after 600 steps together, unseen pairs."""
    rng = np.random.default_rng(0)
    config = {**CLIP["config"], "embed_dim": 128, "text_cfg": {"width": 64, "heads": 2, "layers": 2}}
    clip = Clip(None, config=config, seed=0)
    pairs, unseen = _pairs(clip, SEEN, 128, rng), _pairs(clip, UNSEEN, 48, rng)
    torch.manual_seed(0)
    feat_d = FeatD(clip.image.channels, 16, output_stride=4, laterals=False)
    prompts = PromptDiscriminator(width=64).attach(clip.text)
    _train(feat_d, pairs, 1e-2, 300, 8, rng, decays=True)
    _train(prompts, pairs, 2e-2, 300, 128, rng, decays=False)
    return clip, feat_d.eval(), prompts, unseen


def test_both_discriminators_tell_sharp_from_blurred_crops_of_unseen_photographs(trained):
    _, feat_d, prompts, unseen = trained
    for net, least in ((feat_d, 0.9), (prompts, 0.8)):
        with torch.no_grad():
            real, fake = (net(features).reshape(48, -1).mean(1) for features in unseen)
        assert real.mean() > fake.mean() + 0.05, type(net)
        assert (real > fake).float().mean() >= least, type(net)  # each crop against its own degraded copy


def test_score_ranks_blur_levels_of_unseen_photographs(trained):
    """With the trained prompts alone, and with the antonyms, which a random CLIP cannot read, as the other half."""
    clip, feat_d, prompts, _ = trained
    for alphas in ((0.0, 1.0), (0.5, 0.5)):
        scorer = SFDIQA(clip, feat_d, prompts, alpha_1=alphas[0], alpha_2=alphas[1])
        for name in UNSEEN:
            photograph = _photograph(name)
            levels = [cv2.GaussianBlur(photograph, (0, 0), sigma) if sigma else photograph for sigma in SIGMAS]
            scores = [scorer(_tensor(level)).item() for level in levels]
            assert spearmanr(scores, -np.array(SIGMAS))[0] >= 0.9, (name, alphas, scores)

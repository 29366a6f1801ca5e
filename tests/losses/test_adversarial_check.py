"""The check of what a discriminator is shown: CLIP's features, or a view of the images."""

from prismsr.utils.options.check import check_options
from prismsr.utils.options.files import load_options, merge
from prismsr.utils.options.problems import errors_among

import pytest

UNET = {"_replace_": True, "type": "UNetDiscriminatorSN", "num_in_ch": 3}


@pytest.fixture(scope="module")
def experiment(repository):
    return load_options(repository / "options" / "sfd" / "feat_d_only_x4.yml")


def _errors(opt):
    problems = check_options(opt, "x.yml", missing_paths="note", is_train=True)
    return {problem.key: problem.message for problem in errors_among(problems)}


def _changed(experiment, **changes):
    return {"train": {"losses": {_term(experiment): changes}}}


def _term(experiment):
    losses = experiment["train"]["losses"].items()
    return next(name for name, entry in losses if entry and entry["type"] == "AdversarialLoss")


def test_the_file_passes(experiment):
    assert _errors(experiment) == {}


def test_a_discriminator_of_features_gets_them(experiment):
    key = f"train.losses.{_term(experiment)}.features"
    errors = _errors(merge(experiment, _changed(experiment, features=None)))
    assert list(errors) == [key] and "must be clip" in errors[key]


def test_a_discriminator_of_images_does_not(experiment):
    name = _term(experiment)
    network = f"network_{experiment['train']['losses'][name]['discriminator']}"
    errors = _errors(merge(experiment, {network: UNET}))
    assert list(errors) == [f"train.losses.{name}.features"]
    assert _errors(merge(experiment, {network: UNET, **_changed(experiment, features=None)})) == {}


def test_the_section_is_required_and_checked(experiment):
    assert list(_errors(merge(experiment, {"clip": None}))) == ["clip"]
    assert list(_errors(merge(experiment, {"clip": {"modl": "RN50"}}))) == ["clip.modl"]


def test_features_are_of_the_plain_gt(repository):
    experiment = merge(
        load_options(repository / "options" / "sfd" / "rrdb_sfd_real_x4.yml"), {"degradation": {"gt_usm": True}}
    )
    assert _errors(experiment) == {}
    name = _term(experiment)
    assert list(_errors(merge(experiment, _changed(experiment, gt="gt_usm")))) == [f"train.losses.{name}.gt"]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"view": "gradient"}, None),
        ({"view": "textured", "view_options": {"size": 7, "std": 0.1}}, None),
        ({"view": "blurred"}, "view"),
        ({"view": "gradient", "view_options": {"size": 7}}, "view_options.size"),
        ({"view": "textured", "view_options": {"std": "low"}}, "view_options.std"),
        ({"view": "textured", "view_options": {"size": 10}}, "view_options.size"),
        ({"view_options": {"size": 7}}, "view_options"),
    ],
)
def test_views_and_their_options(repository, changes, wrong):
    experiment = load_options(repository / "options" / "ssl" / "esrgan_x4.yml")
    key = f"train.losses.{_term(experiment)}"
    errors = _errors(merge(experiment, _changed(experiment, **changes)))
    assert list(errors) == ([f"{key}.{wrong}"] if wrong else [])


def test_a_view_of_features_there_is_none(experiment):
    errors = _errors(merge(experiment, _changed(experiment, view="gradient")))
    assert list(errors) == [f"train.losses.{_term(experiment)}.view"]

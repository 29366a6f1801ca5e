"""DiffIRModel: figures of the release's step, what each loss reaches, the frozen teacher, resuming and validation."""

import prismsr
from prismsr.archs.diffir.diffir_arch import DiffIRS1, encode_pair
from prismsr.models.diffir_model import check_diffir
from prismsr.models.training.checkpoint_files import OURS
from prismsr.models.training.session import _resume_networks
from prismsr.utils.errors import UserError

import pytest
import torch
from basicsr.models import build_model
from diffir_case import TINY, assert_near, images, make_model, make_options
from published_fill import wave
from torch.nn import functional as F
from trainings import build_resumed, differences

LQ, GT = images()
BATCH = {"lq": LQ, "gt": GT, "gt_path": ["a.png"]}
L1 = {"l_g_pix": {"type": "L1Loss"}}
PRIOR = {"l_prior": {"type": "PriorLoss"}}
SSL = {"l_g_ssl": {"type": "SelfSimilarityLoss", "loss_weight": 1000.0, "mask_stride": 3}}


@pytest.fixture(autouse=True)
def _launched():
    prismsr.patch_basicsr()


def test_the_second_stage_notes_its_schedule(tmp_path):
    model = make_model(tmp_path, PRIOR)
    assert model.checkpoint_notes() == {"diffir": model.net_g.sections}


def _step(model, iteration=1, seed=0):
    torch.manual_seed(seed)
    model.feed_data(BATCH)
    model.optimize_parameters(iteration)
    return model.get_current_log()


def _norms(net):
    """The gradient's norm in each part; None where no tensor has one."""
    found = {}
    for name, part in net.named_children():
        gradients = [parameter.grad for parameter in part.parameters()]
        assert len({gradient is None for gradient in gradients}) == 1  # all or none
        found[name] = None if gradients[0] is None else float(torch.nn.utils.get_total_norm(gradients))
    return found


@pytest.mark.parametrize(
    ("losses", "value", "norms"),
    [
        (L1, 0.413177, {"G": 0.593695, "condition": 3.0e-5, "denoise": 0.017634}),
        (PRIOR, 0.034361, {"G": None, "condition": 0.039523, "denoise": 0.480014}),
        (SSL, 22.234, {"G": 1.070234, "condition": 7e-5, "denoise": 0.040091}),
    ],
)
def test_a_step_has_the_figures_of_the_release(tmp_path, monkeypatch, losses, value, norms):
    model = make_model(tmp_path, losses)
    monkeypatch.setattr(torch, "randn_like", lambda tensor: wave(*tensor.shape, k=0.1))
    log = _step(model)
    assert_near(log[next(iter(losses))], value, 1e-4)
    found = _norms(model.net_g)
    for part, norm in norms.items():
        assert found[part] == (None if norm is None else pytest.approx(norm, rel=0.02 if norm < 1e-4 else 1e-4)), part
    assert next(model.teacher.parameters()).grad is None


def test_divergence_of_the_priors_is_the_releases(tmp_path, monkeypatch):
    model = make_model(tmp_path, L1)
    monkeypatch.setattr(torch, "randn_like", lambda tensor: wave(*tensor.shape, k=0.1))
    model.feed_data(BATCH)
    part = model._batch()
    with torch.no_grad():
        _, prior = model._generate(model.net_g, part)
    taught, learnt = (F.log_softmax(one / 0.15, dim=1) for one in (part["ipr_target"], prior))
    assert_near(float((taught.exp() * (taught - learnt)).sum()), 0.091872)


def test_the_encoder_phase_makes_no_image_and_leaves_the_restorer(tmp_path, monkeypatch):
    model = make_model(tmp_path, PRIOR)
    monkeypatch.setattr(model.net_g.G, "forward", None)
    before = {name: value.clone() for name, value in model.net_g.state_dict().items()}
    average = {name: value.clone() for name, value in model.net_g_ema.state_dict().items()}
    _step(model)
    changed = {name for name, value in model.net_g.state_dict().items() if not torch.equal(before[name], value)}
    assert {name.split(".")[0] for name in changed} == {"condition", "denoise"}
    assert all(torch.equal(average[name], value) for name, value in model.net_g_ema.G.state_dict(prefix="G.").items())
    assert sum(len(group["params"]) for group in model.optimizer_g.param_groups) == len(changed)


def test_the_teacher_stays_as_it_is_and_is_not_saved(tmp_path):
    model = make_model(tmp_path, {**L1, **PRIOR})
    before = {name: value.clone() for name, value in model.teacher.state_dict().items()}
    _step(model)
    assert differences(before, dict(model.teacher.state_dict())) == []
    model.save(0, 1)
    names = torch.load(tmp_path / "net_g_1.pth", weights_only=True)["params"]
    assert {name.split(".")[0] for name in names} == {"G", "condition", "denoise"}


def test_images_that_the_losses_see_are_in_the_range_of_gt(tmp_path):
    model = make_model(tmp_path, {**L1, **SSL})
    seen = []
    model.terms["l_g_ssl"].register_forward_pre_hook(lambda term, inputs: seen.append(inputs[:2]))
    _step(model)
    ((sr, gt),) = seen
    assert torch.equal(gt, GT)
    torch.testing.assert_close(sr.detach(), model.output)


@pytest.mark.parametrize("losses", [PRIOR, {**L1, **PRIOR, **SSL}])
def test_goes_on_from_its_checkpoint_with_equal_bits(tmp_path, snapshot, losses):
    model = make_model(tmp_path, losses)
    _step(model)
    model.save(0, 1)
    resumed = build_resumed(make_options(tmp_path, losses), tmp_path)
    for one in (model, resumed):
        _step(one, 2, seed=5)
    assert differences(snapshot(model), snapshot(resumed)) == []


def test_resuming_keeps_the_file_of_the_teacher(tmp_path):
    path = {
        "models": str(tmp_path),
        "resume_state": "5.state",
        "param_key_s1": "params_ema",
        "param_key_g": "params_ema",
    }
    options = {"network_g": {}, "network_s1": {}, "path": {**path, "pretrain_network_s1": "s1.pth"}}
    _resume_networks(options, {"iter": 5, OURS: {"networks": {"net_g_5.pth": "0"}}})
    assert options["path"] == {
        **path,
        "param_key_g": "params",
        "pretrain_network_g": str(tmp_path / "net_g_5.pth"),
        "pretrain_network_s1": "s1.pth",
    }


def test_accumulated_parts_are_the_batch(tmp_path):
    logs = []
    for parts in (1, 2):
        model = make_model(tmp_path, {**L1, **PRIOR}, train={"accum_iter": parts})
        torch.manual_seed(0)
        model.feed_data({"lq": torch.cat([LQ, LQ.flip(3)]), "gt": torch.cat([GT, GT.flip(3)]), "gt_path": ["a", "b"]})
        model.optimize_parameters(1)
        logs.append(dict(model.get_current_log()))
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)


def test_the_first_stage_learns_and_is_validated_with_gt(tmp_path):
    model = make_model(tmp_path, L1, stage=1)
    assert_near(_step(model)["l_g_pix"], float(F.l1_loss(model.output, GT)))
    assert all(parameter.grad is not None for parameter in model.net_g.parameters())
    model.feed_data(BATCH)
    model.test()
    with torch.no_grad():
        expected = model.net_g_ema.restore(LQ, encode_pair(model.net_g_ema.E, LQ, GT))
    assert torch.equal(model.output, expected)
    del model.gt
    with pytest.raises(UserError, match="GT"):
        model.test()


def test_validation_of_the_second_stage_sees_lq_alone(tmp_path):
    model = make_model(tmp_path, L1)
    model.feed_data({"lq": LQ[..., :13, :9]})
    model.test()
    with torch.no_grad():
        assert torch.equal(model.output, model.net_g_ema(LQ[..., :13, :9]))


def test_weights_of_the_first_stage_start_the_second_and_its_average(tmp_path):
    make_model(tmp_path, L1, stage=2)
    options = make_options(tmp_path, L1)
    options["path"] |= {"pretrain_network_g": options["path"]["pretrain_network_s1"], "strict_load_g": False}
    model = build_model(options)
    first = torch.load(tmp_path / "net_s1_1.pth", weights_only=True)["params"]
    for net in (model.net_g, model.net_g_ema):
        state = net.state_dict()
        assert all(torch.equal(state[key], value) for key, value in first.items() if key.startswith("G."))
    assert differences(dict(model.net_g.state_dict()), dict(model.net_g_ema.state_dict())) == []


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({}, []),
        ({"network_s1": {"type": "DiffIRS1", **TINY, "dim": 16}}, ["network_s1.dim"]),
        ({"network_s1": {"type": "RRDBNet"}}, ["network_s1"]),
        ({"network_s1": None}, ["network_s1"]),
        ({"path": {}}, ["path.pretrain_network_s1"]),
        ({"network_g": {"type": "RRDBNet"}}, ["network_g.type"]),
        ({"network_g": {"type": "DiffIRS1"}}, ["network_s1"]),
        ({"network_s1": {"from": "x.pth"}}, []),
    ],
)
def test_what_has_to_agree_in_an_option_file(tmp_path, change, keys):
    options = {**make_options(tmp_path, L1), "datasets": {"train": {"type": "PairedImageMaskDataset"}}, **change}
    assert [problem.key for problem in check_diffir(options, "", options, True)] == keys


@pytest.mark.parametrize(
    ("dataset", "is_train", "keys"),
    [
        ("SingleImageDataset", False, ["datasets.val.type"]),
        ("SingleImageDataset", True, ["datasets.val.type"]),
        ("PairedImageMaskDataset", False, []),
    ],
)
def test_the_first_stage_is_tested_with_gt(tmp_path, dataset, is_train, keys):
    options = {**make_options(tmp_path, L1, stage=1), "datasets": {"val": {"type": dataset}}}
    assert [one.key for one in DiffIRS1.check_options({}, "network_g", options, is_train)] == keys

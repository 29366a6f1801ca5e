"""Each of spandrel's networks, small: two steps with L1 and SSL, a validation at an odd size, and a resumed run."""

from copy import deepcopy
from typing import Any

from prismsr.utils.options.entries import check_entry, find_registered
from prismsr.utils.options.spandrel_networks import NOT_TRAINED, describe, list_networks
from prismsr.utils.rng import rng_state, set_rng_state

import pytest
import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from spandrel_tiny import TINY
from trainings import build_resumed, differences

HEIGHT, WIDTH = 19, 25
LOSSES = {"l_g_pix": {"type": "L1Loss"}, "l_g_ssl": {"type": "SelfSimilarityLoss", "loss_weight": 10.0}}


def _options(tmp_path, name: str) -> dict[str, Any]:
    return {
        **{"name": "test", "model_type": "PrismSRModel", "num_gpu": 0, "dist": False, "rank": 0, "world_size": 1},
        "is_train": True,
        "network_g": {"type": name, **deepcopy(TINY[name])},
        "path": {"models": str(tmp_path), "training_states": str(tmp_path)},
        "train": {
            "ema_decay": 0.5,
            "losses": deepcopy(LOSSES),
            "optim_g": {"type": "Adam", "lr": 1e-3},
            "scheduler": {"type": "MultiStepLR", "milestones": [1000]},
        },
    }


def _step(model: Any, batches: list[dict[str, Any]], iteration: int) -> None:
    model.feed_data(batches[iteration - 1])
    model.optimize_parameters(iteration)


@pytest.mark.parametrize("name", TINY)
def test_trained_validated_and_resumed(name, tmp_path, photograph_tensor, snapshot) -> None:
    assert not list(check_entry("arch", {"type": name, **TINY[name]}, "network_g"))
    facts = describe(find_registered("arch", name), TINY[name])
    side = -(-max(facts.minimum, 16, 40 // facts.scale) // facts.multiple) * facts.multiple
    gt = photograph_tensor[:, :, 60 : 60 + side * facts.scale, 120 : 120 + side * facts.scale]
    lq = torch.nn.functional.avg_pool2d(gt, facts.scale)
    batches = [{"gt": gt, "lq": lq, "gt_path": ["a.png"]}, {"gt": gt.flip(3), "lq": lq.flip(3), "gt_path": ["a.png"]}]
    batches = [
        {key: torch.cat([value] * 2) if key != "gt_path" else value * 2 for key, value in batch.items()}
        for batch in batches
    ]

    set_random_seed(0)
    model = build_model(_options(tmp_path, name))
    before = {key: value.clone() for key, value in model.net_g.state_dict().items()}
    _step(model, batches, 1)
    model.save(0, 1)
    random = rng_state()
    _step(model, batches, 2)
    assert all(torch.isfinite(torch.as_tensor(value)) for value in model.get_current_log().values())
    assert any(not torch.equal(before[key], value) for key, value in model.net_g.state_dict().items())

    resumed = build_resumed(_options(tmp_path, name), tmp_path)
    set_rng_state(random)
    _step(resumed, batches, 2)
    assert differences(snapshot(model), snapshot(resumed)) == []

    lq = photograph_tensor[:, :, 100 : 100 + HEIGHT, 200 : 200 + WIDTH]
    model.feed_data({"lq": lq.clone()})
    model.test()
    assert model.output.shape == (1, 3, HEIGHT * facts.scale, WIDTH * facts.scale)
    if facts.minimum < 2 * HEIGHT and facts.multiple < 2 * HEIGHT:  # beyond, spandrel repeats the border pixel
        kind, state = type(model.net_g_ema), model.net_g_ema.state_dict()
        descriptor = kind.architecture.load(dict(state))
        descriptor._model = kind.kind(**TINY[name]).eval()  # not all arguments can be read from weights
        descriptor.model.load_state_dict(state)
        # RCAN writes into its input, and the photograph is every test's
        torch.testing.assert_close(model.output.clamp(0, 1), descriptor(lq.clone()), atol=1e-4, rtol=0)


def test_every_network_of_spandrel_is_here_or_said_to_be_for_inference_alone() -> None:
    assert not TINY.keys() & NOT_TRAINED.keys()
    assert {*list_networks()} == {*TINY} | {*NOT_TRAINED}

"""A small DiffIR with weights and images made of sines, for which the release's networks were run."""

from prismsr.archs.diffir.diffir_arch import DiffIRS1

import torch
from basicsr.models import build_model
from published_fill import fill, wave

TINY = {"dim": 8, "num_blocks": [1, 1, 1, 1], "num_refinement_blocks": 1, "n_encoder_res": 1}


def fill_waves(net):
    """The network with the weights of `published_fill.fill`."""
    net.load_state_dict(fill({name: value.shape for name, value in net.named_parameters()}))
    return net


def images():
    """LQ (1, 3, 16, 16) and GT (1, 3, 64, 64)."""
    return 0.5 + 0.5 * wave(1, 3, 16, 16, k=0.3), 0.5 + 0.5 * wave(1, 3, 64, 64, k=0.11)


def assert_near(values, figures, tolerance=1e-4):
    """Compare with figures to a relative tolerance, of which the sixth decimal's rounding is spared."""
    found = torch.as_tensor(values, dtype=torch.float64)
    expected = torch.tensor(figures, dtype=torch.float64)
    assert torch.all((found - expected).abs() <= tolerance * expected.abs() + 6e-7), (found.tolist(), figures)


def make_model(folder, losses, stage=2, **changes):
    """A DiffIRModel whose networks have these weights; the teacher's are in the folder's net_s1_1.pth."""
    torch.save(make_teacher(), folder / "net_s1_1.pth")
    model = build_model(make_options(folder, losses, stage, **changes))
    fill_waves(model.net_g)
    return model


def make_teacher():
    """The first stage's checkpoint."""
    return {"params": fill_waves(DiffIRS1(**TINY)).state_dict()}


def make_options(folder, losses, stage=2, **changes):
    """Options of a training of one stage, in one process on the CPU."""
    teacher = {"network_s1": {"type": "DiffIRS1", **TINY}} if stage == 2 else {}
    paths = {"pretrain_network_s1": str(folder / "net_s1_1.pth")} if stage == 2 else {}
    return {
        "name": "test",
        "model_type": "DiffIRModel",
        "scale": 4,
        **{"num_gpu": 0, "dist": False, "rank": 0, "world_size": 1, "is_train": True},
        "network_g": {"type": f"DiffIRS{stage}", **TINY},
        **teacher,
        "path": {"models": str(folder), "training_states": str(folder), **paths},
        "train": {
            "ema_decay": 0.5,
            "losses": losses,
            "optim_g": {"type": "Adam", "lr": 1e-3},
            "scheduler": {"type": "MultiStepLR", "milestones": [1000]},
            **changes.pop("train", {}),
        },
        **changes,
    }

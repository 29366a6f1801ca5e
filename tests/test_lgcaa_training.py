"""LGCAA in BasicSR's trainer: a run that was cut ends as one that ran through, bit for bit; then it is tested."""

import shutil
from copy import deepcopy

import lgcaa_case as case
import pytest
import yaml
from trainings import TRAIN, Launcher, checkpoint, differences


@pytest.fixture(scope="module")
def server(launch_server, training_workplace):
    return Launcher(launch_server, training_workplace)


def _options(repository):
    base = yaml.safe_load((repository / "options" / "_base_" / "degradation_hggt_one_order.yml").read_text())
    options = deepcopy(TRAIN) | {"name": "lgcaa", "model_type": "LGCAAModel", "network_g": deepcopy(case.NETWORK)}
    options["degradation"] = base["degradation"] | {"gt_size": 32, "queue_size": 4}
    train = options["datasets"]["train"]
    del train["dataroot_lq"], train["gt_size"], options["network_d"]
    train |= base["datasets"]["train"] | {"type": "RealESRGANMaskDataset", "crop_pad_size": 48}
    options["train"] |= {"losses": {**deepcopy(case.LOSSES), **case.SSL}, "decoded": {"samples": 1}, "accum_iter": 2}
    del options["train"]["optim_d"]
    options["datasets"]["val"] |= {"dataroot_gt": "one/HR", "dataroot_lq": "one/LR"}
    options["val"] |= {"sampling": {"steps": 1}, "save_img": False}
    return options


def test_cut_and_resumed_run_is_that_of_one_piece(training_workplace, repository, server):
    file = training_workplace / "lgcaa.yml"
    file.write_text(yaml.safe_dump(_options(repository)))
    name = min(path.name for path in (training_workplace / "HR").glob("*.png"))
    for kind in ("HR", "LR"):
        (training_workplace / "one" / kind).mkdir(parents=True)
        shutil.copy(training_workplace / kind / name, training_workplace / "one" / kind)
    folder = training_workplace / "experiments" / "lgcaa"

    def train(*arguments):
        code = server.train("-opt", str(file), *arguments)
        assert code == 0, server.log.read_text()
        return checkpoint(folder)

    whole = train()
    for path in [*folder.glob("*/4.state"), *folder.glob("models/*_4.pth"), *folder.glob("models/*latest.pth")]:
        path.unlink()
    cut = train("--auto_resume")  # from the checkpoint of iteration 2
    assert {"models/net_g_4.pth", "training_states/4.state", "losses.csv"} <= cut.keys()
    assert differences(whole, cut) == []

import importlib.util
from pathlib import Path

import pytest
import torch
from trainings import TWO

SCRIPT = Path(__file__).with_name("distributed_steps.py")
BATCH = 4
CASES = [(1, 0, "plain"), (2, 3, "plain"), (2, 0, "spsr"), (2, 0, "prior"), (2, 0, "stablesr"), (2, 0, "shift")]
ROUNDING = 1e-10  # of gradients, sums of 1e4 terms that are below 1 together: 1e4 * 2^-53 = 1e-12 in each of 4 steps


def _run_alone(folder, spoilt, method):
    spec = importlib.util.spec_from_file_location("distributed_steps", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(str(folder / "alone"), BATCH, 1, spoilt, method)
    return torch.load(folder / "alone.0", weights_only=True)


def _run_two(server, folder, accum_iter, spoilt, method):
    out = folder / "two"
    words = map(str, (SCRIPT, out, BATCH, accum_iter, spoilt, method))
    code, output = server.start(folder, "torchrun", *TWO, *words).end()
    assert code == 0, output
    return [torch.load(f"{out}.{rank}", weights_only=True) for rank in range(2)]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("accum_iter", "spoilt", "method"), CASES)
def test_two_processes_train_as_one_with_the_whole_batch(launch_server, tmp_path, accum_iter, spoilt, method):
    alone = _run_alone(tmp_path, spoilt, method)
    ranks = _run_two(launch_server, tmp_path, accum_iter, spoilt, method)
    for name, state in alone["states"].items():
        for key, value in state.items():
            assert torch.equal(ranks[0]["states"][name][key], ranks[1]["states"][name][key]), f"{name}.{key}"
            torch.testing.assert_close(ranks[0]["states"][name][key], value, rtol=0, atol=ROUNDING, msg=f"{name}.{key}")
    expected = [int(iteration == spoilt) for iteration in range(1, 5)]
    assert [rank["skipped"] for rank in ranks] == [expected, expected]
    if spoilt:  # both know the term and the sample of the process that had it
        for rank in ranks:
            assert rank["messages"][spoilt - 1] == "Not finite: l_g_pix. Samples: 3.png."
    for iteration, (ours, theirs) in enumerate(zip(ranks[0]["logs"], alone["logs"], strict=True), 1):
        if iteration != spoilt:
            assert ours == pytest.approx(theirs, rel=ROUNDING)

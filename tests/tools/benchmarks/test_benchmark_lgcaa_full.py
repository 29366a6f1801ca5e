"""tools/benchmark.py lgcaa-full on a tiny network: what its clock, its bytes and its tables say."""

import json

import prismsr  # noqa: F401  (before basicsr)
from prismsr.tools import benchmark
from prismsr.tools.benchmarks import clock as benchmark_clock
from prismsr.tools.benchmarks import lgcaa_full as benchmark_lgcaa_full
from prismsr.tools.benchmarks import lgcaa_parts as benchmark_lgcaa_parts

import lgcaa_tiny
import pytest
import torch

SECTIONS = {"base": lgcaa_tiny.BASE, "dino": lgcaa_tiny.DINO}
CPU = torch.device("cpu")
CONDITION = {"DINO", "E", "ControlNet", "UNet"}


@pytest.fixture(scope="module")
def clocks():
    return benchmark_clock


@pytest.fixture(scope="module")
def parts():
    module = benchmark_lgcaa_parts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "give_memory_back", lambda: None)  # it would slow this process's other tests
        yield module


@pytest.fixture(scope="module")
def full():
    return benchmark_lgcaa_full


@pytest.fixture(scope="module")
def steps(parts):
    """The step without and with LGCAA."""
    gt = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return [parts.measure_step(parts.describe_network(SECTIONS, mode), gt, 1, CPU) for mode in parts.MODES]


class Counter:
    def __init__(self):
        self.calls = 0

    def outer(self):
        return self.inner() + self.inner()

    def inner(self):
        self.calls += 1
        return torch.ones(())

    def fails(self):
        raise ValueError("on purpose")


def test_clock_tells_parts_by_where_they_run(clocks):
    clock, counter = clocks.PartClock(CPU), Counter()
    for name in ("outer", "inner", "fails"):
        clock.watch(counter, name, name)
    with pytest.raises(ValueError, match="on purpose"):
        counter.fails()
    result = clock.time_call(lambda: counter.outer() + counter.inner())
    assert counter.calls == 3
    assert {path: calls for path, (_, calls) in result["parts"].items()} == {"outer": 1, "outer/inner": 2, "inner": 1}
    seconds = {path: value for path, (value, _) in result["parts"].items()}
    assert 0 < seconds["outer/inner"] < seconds["outer"] < result["seconds_in_parts"]
    assert seconds["outer"] + seconds["inner"] < result["seconds_in_parts"]


def test_step_in_parts(steps):
    none, with_module = ({path: calls for path, (_, calls) in step["parts"].items()} for step in steps)
    once = {*CONDITION, "VAE encoder", "noise loss", "backward", "Adam", "EMA"}
    assert none == {**dict.fromkeys(once, 1), "DPACM": 3}  # X_RGB's head and two losses
    assert with_module == {**none, "UNet/LGCAA": 7}
    for step in steps:
        outer = sum(seconds for path, (seconds, _) in step["parts"].items() if "/" not in path)
        assert 0 < outer < step["seconds_in_parts"]
        assert step["seconds"] > 0


def test_step_counts_the_bytes_of_what_is_trained(steps):
    for step in steps:
        held, trained = step["tensors"], 4 * step["trained"]
        assert held["gradients"] == held["moving average"] == trained
        assert 0 <= held["Adam's state"] - 2 * trained < 0.01 * trained
        assert held["weights"] > 4 * step["parameters"]  # and AlexNet's
    assert steps[1]["trained"] - steps[0]["trained"] == steps[1]["parameters"] - steps[0]["parameters"] > 0


def test_clock_reads_a_step_with_gradient_checkpointing(parts, clocks):
    torch.manual_seed(0)
    model = parts._build(parts.describe_network(SECTIONS, "full"), CPU)
    model.net_g.enable_gradient_checkpointing()
    model.feed_data({"gt": torch.rand(1, 3, 64, 64), "lq": torch.rand(1, 3, 16, 16)})
    clock = clocks.PartClock(CPU)
    parts.watch_step(clock, model)
    found = clock.time_call(lambda: model.optimize_parameters(1))["parts"]
    assert found["UNet/LGCAA"][1] == found["backward/LGCAA"][1] == 7
    assert found["backward/LGCAA"][0] < found["backward"][0]


def test_step_without_an_update_is_no_measurement(parts):
    gt = torch.full((1, 3, 64, 64), torch.nan)
    with pytest.raises(RuntimeError, match="not finite"):
        parts.measure_step(parts.describe_network(SECTIONS, "none"), gt, 1, CPU)


def test_sampling_in_parts(parts):
    result = parts.measure_sampling(parts.describe_network(SECTIONS, "full"), 64, 3, 1, CPU)
    calls = {path: calls for path, (_, calls) in result["parts"].items()}
    once = dict.fromkeys(("DINO", "E", "VAE encoder", "VAE decoder"), 1)
    assert calls == {**once, "ControlNet": 3, "UNet": 3, "UNet/LGCAA": 21}
    assert result["steps"] == 3 and result["seconds"] > 0 and 0 <= result["value"] <= 1
    alone = parts.measure_sampling(parts.describe_network(SECTIONS, "none"), 64, 1, None, CPU)
    assert alone["seconds"] == 0 and alone["seconds_in_parts"] > 0 and "UNet/LGCAA" not in alone["parts"]


def test_tables(parts, full, monkeypatch, capsys):
    """As the command line, but the measuring processes are function calls, and images are small."""
    monkeypatch.setattr(full, "CROP", 64)
    monkeypatch.setattr(full, "RESULT", 64)
    monkeypatch.setattr(full, "LARGE", (64, 128))

    def measure(workload, repeat, **settings):
        line = ["--workload", workload, "--repeat", str(repeat)]
        for key, value in settings.items():
            line += [f"--{key}", str(value)]
        with capsys.disabled(), monkeypatch.context() as patch:
            printed = []
            patch.setattr("builtins.print", printed.append)
            assert benchmark.main(line) == 0
        return json.loads(printed[-1])

    full.compare_lgcaa(full.make_plan(1, None, None, full.PARTS, "tiny", cuda=False), measure, cuda=False)
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("| ")]
    table = {row[0]: row[1:] for row in rows}
    assert "No CUDA device" in out and "2 steps. The time of the option file's 40 was not measured" in out
    assert table["of it LGCAA"][0] == "-" and table["of it LGCAA"][1].endswith(" s")
    assert len(table["64 x 64"]) == len(table["128 x 128"]) == 4
    shares = [row[2] for row in rows if "%" in row[2] and not row[0].startswith("of it")]
    assert sum(float(cell.split("%")[0]) for cell in shares) == pytest.approx(100, abs=1)
    assert all("nan" not in cell for row in rows for cell in row)


def test_plan_of_a_machine_without_cuda_is_smaller(full):
    assert full.make_plan(5, None, None, None, "full", cuda=True) == full.Plan(5, 16, 40, full.PARTS)
    assert full.make_plan(5, None, None, None, "full", cuda=False) == full.Plan(5, 1, 2, ("step", "sampling"))
    assert full.make_plan(5, 4, 8, ["memory"], "tiny", cuda=False) == full.Plan(5, 4, 8, ["memory"], "tiny")


def test_too_little_memory_is_told_before_anything_is_built(full, monkeypatch):
    monkeypatch.setattr(full, "NEEDED", dict.fromkeys(full.PARTS, 1e15))
    with pytest.raises(SystemExit, match=r"1000000\.00 GB .*--parts"):
        full.compare_lgcaa(full.make_plan(1, None, None, ["step"], "full", cuda=False), None, cuda=False)

"""The demo's trainings: what is done is reused, what was stopped goes on, what has other options begins anew."""

import json
from contextlib import suppress

from prismsr.tools.demonstration import command
from prismsr.tools.reporting.demonstrations import FIRST, METHODS
from prismsr.utils.options.files import load_options

import pytest
import yaml


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """Call a stage with a learning rate; the program that it would run is stopped unless `finish`."""

    def run(rate, finish=True):
        options = {"name": "stage", "path": {}, "train": {"lr": rate}}
        (tmp_path / "stage.yml").write_text(yaml.safe_dump(options))

        def program(script, *arguments, threads):
            folder = tmp_path / "experiments" / "stage"
            ran.append(sorted(path.name for path in folder.glob("models/*")))
            (folder / "models").mkdir(parents=True, exist_ok=True)
            assert arguments[-1] == "--auto_resume"
            if not finish:
                (folder / "models" / f"net_g_{rate}.pth").touch()
                raise KeyboardInterrupt
            (folder / "models" / "net_g_latest.pth").touch()

        monkeypatch.setattr(command, "_run", program)
        ran.clear()
        with suppress(KeyboardInterrupt):
            command._train(tmp_path / "stage.yml")
        return list(ran)

    ran = []
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "TRAIN_SETS", ())
    return run


def test_a_stage_that_was_stopped_goes_on_with_its_own_options_alone(demo, tmp_path):
    assert demo(1, finish=False) == [[]]
    assert demo(1, finish=False) == [["net_g_1.pth"]]
    assert demo(2, finish=False) == [[]]
    assert demo(2) == [["net_g_2.pth"]]
    assert demo(2) == []
    assert json.loads((tmp_path / "experiments" / "stage" / "demo.json").read_text())["seconds"] >= 0
    assert len(list((tmp_path / "experiments").glob("stage_archived_*"))) == 1


def test_what_a_stage_names_below_experiments_decides_as_well(tmp_path, monkeypatch):
    """A start, a folder of an autoencoder: one that is made anew makes the stage anew."""
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "TRAIN_SETS", ())
    start, vae = tmp_path / "experiments/a/net.pth", tmp_path / "experiments/b/vae/config.json"
    options = {"path": {"pretrain_network_s1": "experiments/a/net.pth"}, "network_g": {"vae": ["experiments/b/vae"]}}
    found = set()
    for file, content in ((start, "1"), (vae, "1"), (start, "2"), (vae, "2")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        found.add(command._hash_inputs(options))
    assert len(found) == 4


def test_an_autoencoder_is_exported_once(tmp_path, monkeypatch):
    ran = []

    def export(script, *arguments):
        ran.append(arguments)
        made = arguments[arguments.index("-o") + 1]
        made.mkdir(parents=True, exist_ok=True)
        (made / "diffusion_pytorch_model.safetensors").touch()

    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "_run", export)
    weights = tmp_path / "experiments" / "stage" / "models" / "net_g_latest.pth"
    weights.parent.mkdir(parents=True)
    weights.touch()
    for kind, count in (("SRVGGNetCompact", 0), ("ImageAutoencoder", 1), ("ImageAutoencoder", 1)):
        (tmp_path / "stage.yml").write_text(yaml.safe_dump({"name": "stage", "network_g": {"type": kind}}))
        command._export_autoencoder(tmp_path / "stage.yml")
        assert len(ran) == count
    assert ran[0][ran[0].index("-i") + 1] == weights


def test_twins_are_trained_side_by_side_and_share_the_cores(tmp_path, monkeypatch):
    environments = []
    monkeypatch.setattr(command, "_train", lambda file, threads=None: command._run("x.py", file, threads=threads) or 1)
    monkeypatch.setattr(command.subprocess, "run", lambda *_, env, **__: environments.append(env["OMP_NUM_THREADS"]))
    monkeypatch.setattr(command.os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert command._train_at_once(("a.yml", "b.yml")) == [1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    command._train_at_once(("a.yml", "b.yml"))
    assert environments == ["4", "4", "3", "3"]


@pytest.mark.parametrize("method", [None, *METHODS])
def test_twins_differ_by_the_loss_alone(repository, method):
    """All that a demo trains and shows is there; twins have the same iterations and start."""
    shown = METHODS[method] if method else FIRST
    files = {file: load_options(repository / "options" / "demo" / file) for file in shown.stages}
    assert set(shown.shown.values()) <= set(files) and set(shown.shown) <= set(shown.titles)
    assert len({options["name"] for options in files.values()}) == len(files)
    groups = shown.find_groups()
    assert [file for group in groups for file in group] == list(shown.stages)
    assert not any(
        f"experiments/{files[a]['name']}/" in json.dumps(files[b]) for group in groups for a in group for b in group
    )
    if shown.twins:
        base, ssl = ({**files[shown.shown[twin]]} for twin in shown.twins)
        terms = [options["train"].pop("losses") for options in (base, ssl)]
        losses = [{name: term for name, term in each.items() if term} for each in terms]  # ~ takes a term back
        added = set(losses[1]) - set(losses[0])
        assert "SelfSimilarityLoss" in {losses[1][name]["type"] for name in added}
        assert {name: losses[1][name] for name in losses[0]} == losses[0]
        for options in (base, ssl):
            del options["name"]
            options["train"].pop("decoded", None)
        assert base == ssl

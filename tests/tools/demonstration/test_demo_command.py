"""The demo's trainings: what is done is reused, what was stopped goes on, what has other options begins anew."""

import json
from contextlib import suppress

from prismsr.tools.demonstration import command
from prismsr.tools.reporting.demo import SPECS, find_extra
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
            command._train(tmp_path / "stage.yml", 2)
        return list(ran)

    ran = []
    monkeypatch.setattr(command, "ROOT", tmp_path)
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
    """A start, an autoencoder's folder, data: one made anew makes the stage anew. An LMDB counts by its manifest."""
    monkeypatch.setattr(command, "ROOT", tmp_path)
    start, vae = tmp_path / "experiments/a/net.pth", tmp_path / "experiments/b/vae/config.json"
    image, lmdb = tmp_path / "datasets/gt/version/1.png", tmp_path / "datasets/lq.lmdb/manifest.json"
    options = {"path": {"pretrain_network_s1": "experiments/a/net.pth"}, "network_g": {"vae": ["experiments/b/vae"]}}
    options["datasets"] = {"train": {"dataroot_gt": "datasets/gt", "dataroot_lq": "datasets/lq.lmdb"}}
    found = set()
    files = (start, vae, image, lmdb)
    for file, content in [*((file, "1") for file in files), *((file, "2") for file in files)]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        found.add(command._hash_inputs(options))
    (lmdb.parent / "data.mdb").write_text("3")
    assert command._hash_inputs(options) in found and len(found) == 8


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


def test_threads_are_the_same_on_any_machine(monkeypatch):
    """Two in all, which rivals, trained side by side, share; the user's own number wins."""
    environments = []
    monkeypatch.setattr(command, "_train", lambda file, threads: command._run("x.py", file, threads=threads) or 1)
    monkeypatch.setattr(command.subprocess, "run", lambda *_, env, **__: environments.append(env["OMP_NUM_THREADS"]))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert command._train_at_once(("start.yml",)) == [1]
    assert command._train_at_once(("a.yml", "b.yml")) == [1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    command._train_at_once(("a.yml", "b.yml"))
    assert environments == ["2", "1", "1", "3", "3"]


@pytest.mark.parametrize("method", [None, *METHODS])
def test_what_a_demo_trains_and_shows_is_there(repository, method):
    """Rivals have the same iterations, seed and data, and no stage builds on one of its group."""
    shown = METHODS[method] if method else FIRST
    files = {file: load_options(repository / "options" / "demo" / file) for file in shown.stages}
    assert set(shown.shown.values()) <= set(files) and set(shown.shown) <= set(shown.titles)
    assert set(shown.metrics) <= set(SPECS) and all(map(callable, map(find_extra, shown.extras)))
    assert len({options["name"] for options in files.values()}) == len(files)
    groups = shown.find_groups()
    assert sorted(file for group in groups for file in group) == sorted(shown.stages)
    assert not any(
        f"experiments/{files[a]['name']}/" in json.dumps(files[b]) for group in groups for a in group for b in group
    )
    if shown.rivals:
        one, other = (files[shown.shown[name]] for name in shown.rivals)
        for value in (lambda options: options["train"]["total_iter"], lambda options: options["manual_seed"]):
            assert value(one) == value(other)


@pytest.mark.parametrize("method", [None, "diffir", "resshift", "stablesr"])
def test_rivals_differ_by_the_self_similarity_loss_alone(repository, method):
    shown = METHODS[method] if method else FIRST
    base, ssl = (load_options(repository / "options" / "demo" / shown.shown[name]) for name in shown.rivals)
    terms = [options["train"].pop("losses") for options in (base, ssl)]
    losses = [{name: term for name, term in each.items() if term} for each in terms]  # ~ takes a term back
    added = set(losses[1]) - set(losses[0])
    assert "SelfSimilarityLoss" in {losses[1][name]["type"] for name in added}
    assert {name: losses[1][name] for name in losses[0]} == losses[0]
    for options in (base, ssl):
        del options["name"]
        options["train"].pop("decoded", None)
    assert base == ssl


def test_sfd_and_its_rival_differ_by_the_discriminator_alone(repository):
    """Both are trained with the same optimiser, and count as much."""
    shown, judges = METHODS["sfd"], []
    files = [load_options(repository / "options" / "demo" / shown.shown[name]) for name in shown.rivals]
    for options, network, term in zip(files, ("d", "d_feat"), ("l_g_gan", "l_g_feat"), strict=True):
        train = options["train"]
        judges.append((train.pop(f"optim_{network}"), train["losses"].pop(term)["loss_weight"]))
        assert options.pop(f"network_{network}") and options.pop("name")
        train["losses"] = {name: entry for name, entry in train["losses"].items() if entry}
        options["train"] = {name: entry for name, entry in train.items() if entry is not None}
    assert files[1].pop("clip") and files[1].pop("network_d") is None
    assert judges[0] == judges[1] and files[0] == files[1]


def test_lgcaa_and_its_rival_differ_by_the_attention_alone(repository):
    shown = METHODS["lgcaa"]
    files = [load_options(repository / "options" / "demo" / shown.shown[name]) for name in shown.rivals]
    modes = [options["network_g"].pop("lgcaa")["mode"] for options in files]
    assert modes == ["none", "full"] and len({options.pop("name") for options in files}) == 2
    assert files[0] == files[1]

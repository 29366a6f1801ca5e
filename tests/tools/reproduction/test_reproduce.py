"""tools/reproduce.py: the mapping, a miniature run end to end, what is missing, and results that went stale."""

import csv
import json
import shutil
from copy import deepcopy
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

from prismsr.metrics.catalog import find_metric
from prismsr.tools import paper_tables
from prismsr.tools.evaluation.protocols import find_protocol
from prismsr.tools.evaluation.summary import average_best
from prismsr.tools.inference.generator import load_generator
from prismsr.tools.reproduction import cells as table_cells
from prismsr.tools.reproduction import command as reproduce
from prismsr.tools.reproduction import kept_results, needs, plots, running, tables
from prismsr.utils.command_line import command
from prismsr.utils.errors import OptionError
from prismsr.utils.folder_lock import folder_lock
from prismsr.utils.options.entries import check_metric

import cv2
import lgcaa_tiny
import numpy as np
import pytest
import torch
import yaml
from basicsr.archs import build_network
from basicsr.archs.srvgg_arch import SRVGGNetCompact
from pydantic import ValidationError
from scipy import stats

OPTIONS = """
name: {name}
network_g: {{type: SRVGGNetCompact, num_feat: 4, num_conv: 1, upscale: 4}}
train: {{total_iter: 1}}
"""
NAMES = ("baby", "bird", "butterfly", "head", "woman")


@pytest.fixture(scope="module")
def tools():
    return {
        "tables": tables,
        "results": kept_results,
        "running": running,
        "report": table_cells,
        "plots": plots,
        "needs": needs,
    }


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with two option files, no checkpoint and the whole of a small Set5."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("esrgan_x4", "esrgan_ssl_x4"):
        file = tmp_path / "options" / "ssl" / f"{name}.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(OPTIONS.format(name=name))
    rng = np.random.default_rng(0)
    for folder, side in (("GT", 64), ("LRbicx4", 16)):
        place = tmp_path / "datasets" / "testsets" / "Set5" / folder
        place.mkdir(parents=True)
        for name in NAMES:
            image = cv2.GaussianBlur(rng.integers(0, 256, (side, side + 8 * side // 16, 3), dtype=np.uint8), (0, 0), 2)
            assert cv2.imwrite(str(place / f"{name}.png"), image)
    return tmp_path


def train(root, name="esrgan_x4", seed=0):
    torch.manual_seed(seed)
    net = SRVGGNetCompact(num_feat=4, num_conv=1, upscale=4)
    file = root / "experiments" / name / "models" / "net_g_latest.pth"
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"params": net.state_dict()}, file)
    return net.eval()


def expected_psnr(root, net):
    """By the paper's words: Y of 8-bit images, 4 pixels cut off, mean over the images."""

    def luma(bgr):
        blue, green, red = np.moveaxis(bgr.astype(np.float64) / 255, 2, 0)
        return 16 + 65.481 * red + 128.553 * green + 24.966 * blue

    found = []
    for name in NAMES:
        gt, lr = (
            cv2.imread(str(root / "datasets/testsets/Set5" / folder / f"{name}.png")) for folder in ("GT", "LRbicx4")
        )
        with torch.no_grad():
            sr = net(torch.from_numpy(lr[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255)[0]
        bgr = (sr.clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()[..., ::-1]
        error = (luma(bgr) - luma(gt))[4:-4, 4:-4]
        found.append(10 * np.log10(255**2 / np.mean(error**2)))
    return float(np.mean(found))


def run(tools, root, *arguments):
    line = [*map(str, arguments), "--device", "cpu", "--workers", "1"]
    return command("reproduce.py", "", reproduce.add_arguments, partial(reproduce.run, root=root), line)


def cells(root, table="ssl-1", results="results/reproduce"):
    with (root / results / f"{table}.csv").open(newline="") as file:
        return {(row["dataset"], row["method"], row["metric"]): row for row in csv.DictReader(file)}


# ----------------------------------------------------------------------------------------------------------- mapping


def test_every_row_has_an_option_file_or_a_reason(tools, repository):
    tables = tools["tables"].read_tables()
    numbers = {"ssl": 2, "sfd": 5, "lgcaa": 3}
    expected = [f"{paper}-{number + 1}" for paper, count in numbers.items() for number in range(count)]
    assert sorted(tables) == sorted([*expected, "ssl-real-esrgan", "ssl-bsrgan", "amo-6", "amo-7", "amo-8"])
    assert len(tables["ssl-1"].rows) == 14 and not tables["ssl-1"].others and not tables["ssl-1"].not_made
    for name, table in tables.items():
        jobs = tools["tables"].list_jobs(name, table)
        made = {(job.method, job.dataset) for job in jobs}
        assert {(value.method, value.dataset) for value in table.read_figures() if value.method in table.rows} <= made
        for job in jobs:
            files = {job.row.find_options(job.dataset), job.row.checkpoint_of} - {None}
            assert files or job.row.made_without_options
            assert [file for file in files if not (repository / file).is_file()] == []
            if table.kind == "sr":
                assert {spec.column for spec in find_protocol(job.use.protocol).metrics} >= set(job.columns)


def test_the_mapping_is_checked(tools):
    table = tools["tables"].read_tables()["sfd-5"].model_dump()
    schema = tools["tables"].Table
    assert schema.model_validate(table)
    for change in ({"rows": {}}, {"others": ["NAFNet"]}, {"sets": {}}, {"raws": {}}, {"csv": None}):
        with pytest.raises(ValidationError):
            schema.model_validate({**table, **change})


def test_every_printed_metric_has_a_tolerance(tools):
    printed = {value.metric for table in tools["tables"].read_tables().values() for value in table.read_figures()}
    assert printed == set(tools["report"].TOLERANCES)


def test_rows_of_quality_metrics_are_what_the_papers_ran(tools):
    """AMO's are all pyiqa's; SFD's NIQE is BasicSR's here. A row is found again by its metric."""
    found = tools["tables"].read_tables()
    amo = {name: find_metric(row.metric, "none") for name, row in found["amo-6"].rows.items()}
    assert {metric.source for metric in amo.values()} == {"pyiqa"}
    sfd = {name: find_metric(row.metric, "none") for name, row in found["sfd-3"].rows.items()}
    assert {name: metric.source for name, metric in sfd.items()} == {
        "NIQE": "basicsr", "IL-NIQE": "pyiqa", "CLIP-IQA": "pyiqa", "SFD-IQA": "prismsr",
    }  # fmt: skip
    for table, rows in (("amo_table6", amo), ("sfd_table3", sfd)):
        methods = {value.method for value in paper_tables.read_table(table)}
        assert {name: methods.intersection(metric.printed) for name, metric in rows.items()} == {n: {n} for n in rows}


# ------------------------------------------------------------------------------------------------- end to end, small


def test_nothing_is_filled_that_was_not_run(tools, root, capsys):
    assert run(tools, root, "ssl-1", "--run") == 0
    printed = capsys.readouterr().out
    found = cells(root)
    assert len(found) == 392
    assert all(not row["ours"] and not row["difference"] and not row["verdict"] for row in found.values())
    assert {row["state"] for row in found.values()} == {"missing"}
    here = found["Set5", "ESRGAN", "PSNR"]["todo"]
    assert "experiments/esrgan_x4/models/net_g_latest.pth" in here
    assert here.endswith("python basicsr/train.py -opt options/ssl/esrgan_x4.yml")
    todo = found["Set14", "ESRGAN", "LPIPS"]["todo"]
    assert all(part in todo for part in ("net_g_latest.pth", "prepare.py testset Set14", "--metrics lpips"))
    assert "figures of rows that can be made were made here.\n" in printed
    assert "/ **" not in printed.replace("paper / **ours**", "")
    assert not list((root / "results" / "reproduce").glob("*/"))


def test_from_a_checkpoint_to_the_table(tools, root, capsys):
    net = train(root)
    assert run(tools, root, "ssl-1", "--sets", "Set5", "--rows", "ESRGAN", "ESRGAN-SSL") == 0
    assert cells(root)["Set5", "ESRGAN", "PSNR"]["state"] == "ready"
    assert not cells(root)["Set5", "ESRGAN", "PSNR"]["ours"]
    assert run(tools, root, "ssl-1", "--sets", "Set5", "--rows", "ESRGAN", "ESRGAN-SSL", "--run") == 0
    found = cells(root)
    assert len(found) == 8
    row, truth = found["Set5", "ESRGAN", "PSNR"], expected_psnr(root, net)
    assert float(row["ours"]) == pytest.approx(truth, abs=2e-3)  # 8-bit ties
    assert float(row["paper"]) == 30.4378
    assert float(row["difference"]) == pytest.approx(float(row["ours"]) - 30.4378)
    assert row["verdict"] == "worse"
    assert found["Set5", "ESRGAN", "SSIM"]["state"] == "done"
    assert found["Set5", "ESRGAN", "LPIPS"]["state"] == "missing"
    assert not found["Set5", "ESRGAN", "LPIPS"]["ours"]
    assert found["Set5", "ESRGAN-SSL", "PSNR"]["state"] == "missing"
    assert f"| ESRGAN | 30.4378 / **{float(row['ours']):.4f}** (-" in " ".join(capsys.readouterr().out.split())
    report = json.loads((root / "results/reproduce/ssl-1.json").read_text())
    assert report["results"][0]["columns"]["PSNR"]["count"] == 5
    assert len(report["results"][0]["made_from"]["checkpoint"]) == 64


def test_a_table_without_printed_figures_on_degraded_images(tools, root):
    """Each of 30 LR images of an image counts alike, and nothing is compared."""
    (root / "options/ssl/realesrgan_x4.yml").write_text(OPTIONS.format(name="realesrgan_x4"))
    train(root, "realesrgan_x4")
    line = ("ssl-real-esrgan", "--sets", "Set5", "--rows", "RealESRGAN")
    key = ("Set5", "RealESRGAN", "PSNR")
    assert run(tools, root, *line, "--run") == 0
    cell = cells(root, "ssl-real-esrgan")[key]
    assert cell["state"] == "missing" and "prepare.py testset Set5 --degraded 30" in cell["todo"]
    plain = root / "datasets/testsets/Set5/LRbicx4"
    (place := plain.with_name("LRx4_ssl_30")).mkdir()
    for name in NAMES:
        for number in range(30):
            shutil.copy(plain / f"{name}.png", place / f"{name}+{number:02}.png")
    net = train(root, "realesrgan_x4")
    assert run(tools, root, *line, "--run") == 0
    cell = cells(root, "ssl-real-esrgan")[key]
    assert float(cell["ours"]) == pytest.approx(expected_psnr(root, net), abs=2e-3)
    assert (cell["paper"], cell["difference"], cell["verdict"], cell["state"]) == ("", "", "", "done")
    assert "| RealESRGAN | - / **" in (root / "results/reproduce/ssl-real-esrgan.md").read_text()


def test_what_is_done_is_kept_and_what_changed_is_made_anew(tools, root, monkeypatch):
    train(root)
    line = ("ssl-1", "--sets", "Set5", "--rows", "ESRGAN")
    key = ("Set5", "ESRGAN", "PSNR")
    assert run(tools, root, *line, "--run") == 0
    first = float(cells(root)[key]["ours"])
    checkpoint = root / "experiments/esrgan_x4/models/net_g_latest.pth"
    shutil.copy2(checkpoint, root / "first.pth")
    with monkeypatch.context() as patch:
        patch.setattr(tools["running"], "load_generator", lambda *_, **__: pytest.fail("made again"))
        assert run(tools, root, *line, "--run") == 0

    net = train(root, seed=1)
    assert run(tools, root, *line) == 0
    assert (cells(root)[key]["state"], cells(root)[key]["ours"]) == ("stale", "")
    assert run(tools, root, *line, "--run") == 0
    second = float(cells(root)[key]["ours"])
    assert second == pytest.approx(expected_psnr(root, net), abs=2e-3)
    assert abs(second - first) > 0.01
    assert run(tools, root, *line, "--checkpoint", f"ESRGAN={root / 'first.pth'}") == 0
    assert float(cells(root)[key]["ours"]) == first

    gt = root / "datasets/testsets/Set5/GT/baby.png"  # the images stay, the figures do not
    cv2.imwrite(str(gt), cv2.imread(str(gt))[::-1])
    assert run(tools, root, *line) == 0
    assert cells(root)[key]["state"] == "stale"
    with monkeypatch.context() as patch:
        patch.setattr(tools["running"], "load_generator", lambda *_, **__: pytest.fail("images made again"))
        assert run(tools, root, *line, "--run") == 0
    assert float(cells(root)[key]["ours"]) == pytest.approx(expected_psnr(root, net), abs=2e-3)


def test_a_checkpoint_of_another_training_is_not_taken_for_the_rows_own(tools, root):
    train(root)
    line = ["ssl-1", "--rows", "ESRGAN", "--sets", "Set5"]
    copy = root / "experiments" / "esrgan_x4" / "esrgan_x4.yml"
    copy.write_text(OPTIONS.format(name="esrgan_x4"))
    assert run(tools, root, *line) == 0
    assert cells(root)["Set5", "ESRGAN", "PSNR"]["state"] == "ready"
    copy.write_text(OPTIONS.format(name="esrgan_x4").replace("total_iter: 1", "total_iter: 7"))
    assert run(tools, root, *line, "--run") == 0
    cell = cells(root)["Set5", "ESRGAN", "PSNR"]
    assert (cell["state"], cell["ours"]) == ("missing", "")
    assert "train.total_iter was 7, and esrgan_x4.yml says 1" in cell["todo"]
    own = copy.parent / "models" / "net_g_latest.pth"
    taken = shutil.copy(own, root / "total_iter=7.pth")
    assert run(tools, root, *line, "--checkpoint", f"ESRGAN={taken}") == 0
    assert cells(root)["Set5", "ESRGAN", "PSNR"]["state"] == "ready"


def test_a_set_that_was_forced_is_not_the_papers(tools, root):
    train(root)
    record = root / "datasets" / "testsets" / "Set5" / ".prepare.json"
    for problems, state in (([], "ready"), (["GT/baby.png is 64x96"], "missing")):
        record.write_text(json.dumps({"set": "Set5", "problems": problems}))
        assert run(tools, root, "ssl-1", "--rows", "ESRGAN", "--sets", "Set5") == 0
        cell = cells(root)["Set5", "ESRGAN", "PSNR"]
        assert cell["state"] == state
    assert "Set5: " in cell["todo"] and "GT/baby.png is 64x96" in cell["todo"]
    record.write_text("{")
    assert run(tools, root, "ssl-1", "--rows", "ESRGAN", "--sets", "Set5") == 0
    assert ".prepare.json" in cells(root)["Set5", "ESRGAN", "PSNR"]["todo"]


def test_an_interrupted_run_goes_on(tools, root, monkeypatch, capsys):
    net = train(root)
    line = ("ssl-1", "--sets", "Set5", "--rows", "ESRGAN", "--run")

    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tools["running"], "evaluate_folder", stopped)
        assert run(tools, root, *line) == 130
    assert "stopped" in capsys.readouterr().err
    made = sorted((root / "results/reproduce").rglob("*.png"))
    times = [path.stat().st_mtime_ns for path in made]
    assert len(made) == 5
    made[0].unlink()
    assert run(tools, root, *line) == 0
    assert [path.stat().st_mtime_ns for path in made[1:]] == times[1:]
    assert float(cells(root)["Set5", "ESRGAN", "PSNR"]["ours"]) == pytest.approx(expected_psnr(root, net), abs=2e-3)


def test_a_folder_in_use_is_refused_and_its_row_not_filled(tools, root, monkeypatch, capsys):
    """A forked process holds it: locks are a process's own, and this one may ask again for what it has."""
    train(root)
    context = get_context("fork")
    ours, its = context.Pipe()
    made, holders = [], []

    def note(folder):
        made.append(folder)
        holders.append(context.Process(target=_hold, args=(folder, its), daemon=True))
        holders[0].start()
        assert ours.recv() == "held"
        return folder_lock(folder)

    monkeypatch.setattr(running, "folder_lock", note)
    line = ("ssl-1", "--rows", "ESRGAN", "--sets", "Set5", "--run")
    try:
        assert run(tools, root, *line) == 1
    finally:
        ours.send("end")
        holders[0].join(60)
    assert f"{made[0]} is in use by process" in capsys.readouterr().err
    assert not list(made[0].rglob("*"))
    assert cells(root)["Set5", "ESRGAN", "PSNR"]["ours"] == ""


def _hold(folder, pipe):
    with folder_lock(folder):
        pipe.send("held")
        pipe.recv()


def test_a_failed_row_is_named_and_not_filled(tools, root, capsys):
    train(root)
    train(root, "esrgan_ssl_x4")
    (root / "options/ssl/esrgan_ssl_x4.yml").write_text(
        OPTIONS.format(name="esrgan_ssl_x4").replace("feat: 4", "feat: 8")
    )
    line = ("ssl-1", "--sets", "Set5", "--rows", "ESRGAN", "ESRGAN-SSL", "--run")
    assert run(tools, root, *line) == 1
    assert "SRVGGNetCompact" in capsys.readouterr().err
    found = cells(root)
    assert found["Set5", "ESRGAN", "PSNR"]["state"] == "done"
    assert (found["Set5", "ESRGAN-SSL", "PSNR"]["state"], found["Set5", "ESRGAN-SSL", "PSNR"]["ours"]) == ("failed", "")

    (root / "datasets/testsets/Set5/LRbicx4/baby.png").write_bytes(b"no image")
    assert run(tools, root, *line) == 1
    assert "baby.png: " in capsys.readouterr().err
    assert cells(root)["Set5", "ESRGAN", "PSNR"]["ours"] == ""


def test_images_without_a_value_leave_the_cell_empty(tools, root):
    train(root)
    (root / "datasets/testsets/Set5/GT/baby.png").write_bytes(b"no image")
    assert run(tools, root, "ssl-1", "--sets", "Set5", "--rows", "ESRGAN", "--run") == 1
    row = cells(root)["Set5", "ESRGAN", "PSNR"]
    assert (row["state"], row["ours"]) == ("failed", "")
    assert "4 of 5 images" in row["todo"]


def test_what_a_network_loads_besides_its_checkpoint_is_told(tools, root, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(root / "hub"))
    (root / "options/ssl/esrgan_x4.yml").write_text("name: x\nnetwork_g: {type: LGCAANet, dino: {pretrained: false}}\n")
    assert run(tools, root, "ssl-1", "--sets", "Set5", "--rows", "ESRGAN") == 0
    todo = cells(root)["Set5", "ESRGAN", "PSNR"]["todo"]
    assert "unet/config.json, unet/diffusion_pytorch_model.safetensors, vae/" in todo
    assert "tools/weights.py fetch --options options/ssl/esrgan_x4.yml" in todo and "dino" not in todo


def test_diffusion_is_sampled_and_repeats(tools, root, monkeypatch):
    options = {"name": "tiny_lgcaa", "scale": 4, "network_g": lgcaa_tiny.NETWORK, "val": {"sampling": {"steps": 2}}}
    file = root / "options/ssl/esrgan_x4.yml"
    file.write_text(yaml.safe_dump(options))
    net = build_network(deepcopy(lgcaa_tiny.NETWORK))
    models = root / "experiments/tiny_lgcaa/models"
    models.mkdir(parents=True)
    torch.save({"params": net.state_dict()}, models / "net_g_latest.pth")
    line = ("ssl-1", "--sets", "Set5", "--rows", "ESRGAN", "--run")
    assert run(tools, root, *line) == 0
    psnr = cells(root)["Set5", "ESRGAN", "PSNR"]["ours"]
    assert float(psnr) > 10
    generator = load_generator(file, models / "net_g_latest.pth", device="cpu")
    for name in ("woman", "bird"):  # in another order, alone
        lr = cv2.imread(str(root / f"datasets/testsets/Set5/LRbicx4/{name}.png"))[..., ::-1].copy()
        image = generator(torch.from_numpy(lr).permute(2, 0, 1)[None].float() / 255)[0].permute(1, 2, 0).numpy()
        (written,) = (root / "results/reproduce").rglob(f"{name}.png")
        assert np.abs(cv2.imread(str(written))[..., ::-1] - (image * 255).round()).max() <= 1
    options["val"]["sampling"]["steps"] = 3
    file.write_text(yaml.safe_dump(options))
    assert run(tools, root, *line[:-1]) == 0
    assert cells(root)["Set5", "ESRGAN", "PSNR"]["state"] == "stale"


# --------------------------------------------------------------------------------------------------- quality metrics


def test_correlations_with_opinion(tools, root, photograph):
    from basicsr.metrics.niqe import calculate_niqe

    place = root / "datasets" / "koniq10k"
    (place / "1024x768").mkdir(parents=True)
    scores, opinions = [], [4.5, 3.0, 3.5, 2.0, 1.0]
    for index in range(len(opinions)):
        image = cv2.GaussianBlur(photograph[:192, :192, ::-1].copy(), (0, 0), 0.3 + 0.6 * index)
        assert cv2.imwrite(str(place / "1024x768" / f"{index}.png"), image)
        scores.append(float(calculate_niqe(image, crop_border=0)))
    lines = ["image_name,MOS", *(f"{index}.png,{mos}" for index, mos in enumerate(opinions))]
    (place / "koniq10k_scores_and_distributions.csv").write_text("\n".join(lines))
    assert run(tools, root, "sfd-3", "--rows", "NIQE", "SFD-IQA", "--sets", "KonIQ-10k", "--run") == 0
    found = cells(root, "sfd-3")
    row = found["KonIQ-10k", "NIQE", "SRCC"]
    assert float(row["ours"]) == pytest.approx(abs(stats.spearmanr(scores, opinions).statistic))
    assert float(found["KonIQ-10k", "NIQE", "KRCC"]["ours"]) == pytest.approx(
        abs(stats.kendalltau(scores, opinions).statistic)
    )
    cubic = np.polyval(np.polyfit(scores, opinions, 3), scores)
    assert float(found["KonIQ-10k", "NIQE", "PLCC"]["ours"]) == pytest.approx(np.corrcoef(cubic, opinions)[0, 1])
    assert "net_d_feat_latest.pth" in found["KonIQ-10k", "SFD-IQA", "SRCC"]["todo"]


def test_agreement_with_choices(tools, root, photograph):
    place = root / "datasets" / "SBS180K"
    place.mkdir(parents=True)
    for index in range(3):
        image = cv2.GaussianBlur(photograph[:192, :192, ::-1].copy(), (0, 0), 0.3 + 2 * index)
        assert cv2.imwrite(str(place / f"{index}.png"), image)
    (place / "pairs.csv").write_text("left,right,choice\n0.png,1.png,left\n1.png,2.png,left\n2.png,0.png,left\n")
    table = tools["tables"].read_tables()["amo-6"]
    job = tools["tables"].list_jobs("amo-6", table, ["nique"])[0]
    job = replace(job, row=tools["tables"].Row(metric="natural_scene"))
    setup = tools["running"].Setup(root, root / "out", "cpu")
    found = tools["running"].examine(job, setup)
    assert found.todo == ["Accuracy"]
    tools["running"].run_all([found], setup)
    assert not found.errors
    value = found.kept["Accuracy"]
    assert value.value == pytest.approx(200 / 3)  # a sharper image is better, so the third choice is wrong
    assert value.count == 3
    assert tools["running"].examine(job, setup).todo == []


def test_gold_standard_is_the_best_of_each_group(tools, root, photograph):
    """The mean over the groups of the best version's score, here NIQE, of which the lowest is best."""
    from basicsr.metrics.niqe import calculate_niqe

    place, best = root / "datasets" / "hggt", []
    for name, left in (("a", 0), ("b", 200)):
        scores = []
        for version, sigma in (("original", 1.5), ("01", 0.3), ("02", 0.8)):
            image = cv2.GaussianBlur(photograph[:192, left : left + 208, ::-1].copy(), (0, 0), sigma)
            scores.append(float(calculate_niqe(image, crop_border=4)))
            (place / version).mkdir(parents=True, exist_ok=True)
            suffix = "" if version == "original" else f"_{version}"
            assert cv2.imwrite(str(place / version / f"{name}{suffix}.png"), image)
        best.append(min(scores))
    (job,) = tools["tables"].list_jobs("amo-7", tools["tables"].read_tables()["amo-7"], ["Gold Standard"])
    assert set(job.columns) == {"MUSIQ", "NIMA", "Q-Align", "TOPIQ"}
    folder = "datasets/hggt"
    use = tools["tables"].SetUse(lq=folder, gt=folder, count=6, protocol="ssl-diffusion")
    job, setup = replace(job, use=use, columns={"NIQE": "lower"}), tools["running"].Setup(root, root / "out", "cpu")
    found = tools["running"].examine(job, setup)
    assert found.todo == ["NIQE"]
    tools["running"].run_all([found], setup)
    assert not found.errors
    assert found.kept["NIQE"].value == pytest.approx(sum(best) / 2, abs=1e-4)
    assert found.kept["NIQE"].count == 2
    assert tools["running"].examine(job, setup).todo == []
    (place / "01" / "a_01.png").write_bytes(b"no image")
    tools["results"].hash_folder.cache_clear()  # as a new run does
    broken = tools["running"].examine(job, setup)
    assert broken.todo == ["NIQE"]
    tools["running"].run_all([broken], setup)
    assert "5 of 6 images have a value" in broken.errors["NIQE"] and not broken.kept


def test_best_of_groups_by_a_loop():
    rng = np.random.default_rng(0)
    groups = [[f"{version}/{name}" for version in range(5)] for name in range(7)]
    values = {key: float(rng.normal()) for group in groups for key in group}
    total = {"higher": 0.0, "lower": 0.0}
    for group in groups:
        ordered = sorted(values[key] for key in group)
        total["higher"] += ordered[-1] / 7
        total["lower"] += ordered[0] / 7
    for better, expected in total.items():
        assert average_best(values, groups, better) == pytest.approx(expected)


def test_rows_of_sfd_iqa_s_parts_and_the_printed_module(tools, repository):
    """SFD's table 4 in terms of equation 9 and 10, and LGCAA's module as printed beside ours."""
    tables = tools["tables"].read_tables()
    parts = {
        name: (row.metric_options["feat_d"] is not None, row.metric_options.get("alpha_1", 0.5))
        for name, row in tables["sfd-4"].rows.items()
    }
    expected = {"Baseline": (False, 1), "w/ Feat-D": (True, 1), "w/ TG-D": (False, 0.5), "SFD-IQA": (True, 0.5)}
    assert parts == expected
    for row in tables["sfd-4"].rows.values():
        options = row.metric_options
        assert options.get("alpha_1", 0.5) + options.get("alpha_2", 0.5) == 1
        assert list(check_metric({"type": "calculate_sfd_iqa", **options}, "")) == []
    literal = repository / tables["lgcaa-2"].extra["LGCAA: LGCAA, paper_literal"].options
    assert yaml.safe_load(literal.read_text())["network_g"]["lgcaa"] == {"preset": "paper_literal"}
    job = tools["tables"].list_jobs("lgcaa-2", tables["lgcaa-2"], ["LGCAA: LGCAA, paper_literal"])[0]
    assert set(job.columns) == {value.metric for value in tables["lgcaa-2"].read_figures()}
    assert tables["sfd-1"].rows["SwinIR+L_GAN"].options == "options/ssl/swinirgan_x4.yml"


# ------------------------------------------------------------------------------------------------------- small parts


def test_verdicts_and_units(tools):
    cell = tools["report"].Cell("t", "d", "m", "LPIPS", "lower", 0.30, 0.31, 0.01, "done")
    assert cell.verdict == "within"
    assert replace(cell, ours=0.3101).verdict == "worse"
    assert replace(cell, ours=0.2).verdict == "better"
    assert replace(cell, ours=0.2, better="higher").verdict == "worse"
    assert replace(cell, ours=None).verdict == ""
    assert replace(cell, paper=None).verdict == ""

    tables, running = tools["tables"], tools["running"]
    table = tables.read_tables()["lgcaa-3"]
    job = tables.list_jobs("lgcaa-3", table, ["lambda_l=2.0 lambda_w=0.1"])[0]
    kept = {"CLIPIQA": tools["results"].Result("", 0.66, 100), "PSNR": tools["results"].Result("", 26.0, 100)}
    found = running.Found(job, tools["needs"].Needs(), kept=kept)
    made = {cell.metric: cell for cell in tools["report"].list_cells("lgcaa-3", table, [found], [job.method], [])}
    assert made["CLIPIQA"].ours == pytest.approx(66)
    assert made["CLIPIQA"].paper == 65.26
    assert made["CLIPIQA"].verdict == "within"  # 0.74 of 1.0
    assert made["PSNR"].ours == 26.0
    assert made["SSIM"].ours is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sfd-9"], "'sfd-9'"),
        (["ssl-1", "--rows", "ESRGAN-SLL"], "'ESRGAN-SLL'; did you mean 'ESRGAN-SSL'"),
        (["ssl-1", "--sets", "Set6"], "'Set6'"),
        (["ssl-1", "--checkpoint", "ESRGAN"], "--checkpoint ESRGAN"),
        (["ssl-1", "--checkpoint", "ESRGAN=nowhere.pth"], "--checkpoint ESRGAN=nowhere.pth"),
    ],
)
def test_wrong_usage(tools, root, capsys, arguments, message):
    assert run(tools, root, *arguments) == 2
    assert message in capsys.readouterr().err


def test_several_tables(tools, root, capsys):
    assert run(tools, root, "list") == 0
    assert "sfd-5    SFD, table 5" in capsys.readouterr().out
    assert run(tools, root, "all", "--rows", "LDL", "--results", root / "out") == 0
    printed = capsys.readouterr().out
    assert "| sfd-1 | 16 | 0 | 0 | 0 | 0 | 16 |" in " ".join(printed.split())
    assert "amo-7" not in printed
    assert sorted(path.stem for path in (root / "out").glob("*.md")) == ["lgcaa-1", "sfd-1", "sfd-2", "ssl-1"]


def test_a_wrong_option_file_is_told(tools, root):
    (root / "options/ssl/esrgan_x4.yml").write_text("name: [")
    assert run(tools, root, "ssl-1", "--rows", "ESRGAN", "--sets", "Set5") == 0
    assert "esrgan_x4.yml" in cells(root)["Set5", "ESRGAN", "PSNR"]["todo"]
    with pytest.raises(OptionError):
        tools["tables"].find_tables(["nothing"])


# ------------------------------------------------------------------------------------------------------------- plots


def test_plots(tools, tmp_path):
    tables, report = tools["tables"], tools["report"]
    made = {
        name: report.list_cells(name, table, [], [], [])
        for name, table in tables.read_tables().items()
        if name in ("sfd-1", "amo-6", "lgcaa-1")
    }
    made["sfd-1"] = [
        replace(cell, ours=cell.paper * 1.01, state="done") if "SFD" in cell.method else cell for cell in made["sfd-1"]
    ]
    files = tools["plots"].draw_plots(made, tmp_path)
    assert sorted(path.name for path in files) == [
        "amo-6_bars.png",
        "lgcaa-1_plane.png",
        "lgcaa-1_radar.png",
        "sfd-1_plane.png",
    ]
    assert all(cv2.imread(str(path)).std() > 5 for path in files)


def test_names_in_a_plane_do_not_cover_each_other(tools):
    plots = tools["plots"]
    plane = plots.PLANES[0]
    table = tools["tables"].read_tables()[plane.table]
    own = [cell for cell in tools["report"].list_cells(plane.table, table, [], [], []) if cell.dataset == plane.dataset]
    figure = plots._draw_plane(plane, own)
    canvas = plots.FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        labels = [text for text in axes.texts if text.get_text()]
        assert sorted(text.get_text() for text in labels) == sorted({cell.method for cell in own})
        boxes = [plots.Text.get_window_extent(text, canvas.get_renderer()) for text in labels]
        pairs = [(a, b) for index, a in enumerate(boxes) for b in boxes[:index]]
        assert not any(a.overlaps(b) for a, b in pairs)

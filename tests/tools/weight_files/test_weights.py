"""tools/weights.py: what each option file needs, whether it is there and whole, and fetching it."""

import hashlib
from functools import partial
from pathlib import Path

from prismsr.archs.latent.options import SD2_BASE
from prismsr.archs.latent.stable_diffusion import build_unet, build_vae
from prismsr.archs.lgcaa.options import BaseOptions
from prismsr.metrics.catalog import find_metric
from prismsr.tools.weights import add_arguments, run
from prismsr.utils.command_line import command
from prismsr.utils.options.files import load_options
from prismsr.utils.weights.needs import needs_of
from prismsr.utils.weights.published import READABLE, Weights, examine, maker_of, place, read_list

import pytest
import torch
from lgcaa_tiny import BASE
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def options(repository):
    files = [path for path in sorted((repository / "options").rglob("*.yml")) if path.parent.name != "_base_"]
    return {str(path.relative_to(repository)): load_options(path) for path in files}


def test_all_that_the_option_files_need_is_known(options):
    """By the list, or since another option file makes it; a new file or term has to bring its entry."""
    for file, content in options.items():
        needs = [need for need in needs_of(content) if not any(entry.serves(need.what) for entry in read_list())]
        assert [need for need in needs if maker_of(need.what, options) is None] == [], file


def test_examples_of_needs(options):
    def needs(file):
        return [need.what for need in needs_of(options[f"options/{file}"])]

    start = "file:experiments/pretrained_models/ESRGAN/ESRGAN_PSNR_SRx4_DF2K_official-150ff491.pth"
    assert needs("ssl/esrgan_x4.yml") == [start, "vgg19"]
    assert needs("sfd/rrdb_sfd_x4.yml") == [start, "clip:RN50-quickgelu:openai", "vgg19"]
    tuned = needs("amo/swinir_upos_ft_paq2piq_x4.yml")
    assert tuned[0] == "file:experiments/amo_swinir_upos_x4/models/net_g_latest.pth"
    assert maker_of(tuned[0], options) == "options/amo/swinir_upos_x4.yml"
    assert {"vgg19", "metric:paq2piq", "metric:musiq"} <= set(tuned)
    assert needs("demo/gan_ssl_x4.yml") == ["file:experiments/demo_l1/models/net_g_latest.pth"]
    assert needs("demo/sfd_tiny.yml") == needs("demo/lgcaa_start_tiny.yml") == []
    networks = [f"diffusers:{SD2_BASE}:unet", f"diffusers:{SD2_BASE}:vae", "timm:vit_base_patch16_224.dino"]
    assert needs("lgcaa/lgcaa_x4.yml") == [*networks, "alexnet", "lpips-linear"]
    assert needs("lgcaa/test_realsr.yml") == ["file:experiments/lgcaa_x4/models/net_g_latest.pth", *networks]
    assert all(set(networks) <= set(needs(file[8:])) for file in options if file.startswith("options/lgcaa/"))


def test_entries(repository):
    """A line each, with a licence; hashes agree with the file names that carry them."""
    lines = (repository / "utils/weights/pretrained.yml").read_text().splitlines()
    entries = read_list()
    assert len([line for line in lines if line and line[0] != "#"]) == len(entries) == len({e.path for e in entries})
    ours = [entry.name for entry in entries if entry.path.startswith("experiments/")]
    assert len(ours) == len(set(ours))
    for entry in entries:
        assert entry.licence and (entry.url is None or entry.url.startswith("https://")), entry.path
        tail = Path(entry.path).stem.rpartition("-")[2]
        if len(tail) == 8 and entry.sha256:
            assert entry.sha256.startswith(tail), entry.path
    with pytest.raises(ValueError, match=r"x.pth"):
        Weights(path="x.pth", licence="MIT")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with two option files, whose second starts from the first, and an empty torch.hub cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "options").mkdir()
    (tmp_path / "options/one.yml").write_text("name: one\npath: {pretrain_network_g: start.pth}\n")
    (tmp_path / "options/two.yml").write_text(
        "name: two\npath: {pretrain_network_g: experiments/one/models/net_g_latest.pth}\n"
        "train: {losses: {l: {type: FeatureLoss, layer_weights: {conv1_2: 1}}}}\n"
    )
    return tmp_path


@pytest.fixture
def published(tmp_path):
    """A file to be fetched, and the entries of start.pth and VGG19 that tell of it."""
    source = tmp_path / "source.pth"
    torch.save({"params": {"w": torch.zeros(3)}}, source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    start = Weights(path="start.pth", licence="MIT", url=source.as_uri(), sha256=digest, size=source.stat().st_size)
    vgg = {
        "path": "torch_hub:checkpoints/vgg19-x.pth",
        "licence": "BSD",
        "page": "https://pytorch.org",
        "for": ["vgg19"],
    }
    return start, Weights.model_validate(vgg)


def run_tool(line, root, entries=None):
    return command("weights.py", "", add_arguments, partial(run, root=root, entries=entries), line)


def test_list(root, published, capsys):
    assert run_tool(["list"], root, published) == 0
    told = capsys.readouterr().out
    assert "start.pth: not there\n  to    start.pth\n  from  file://" in told and "  terms MIT\n" in told
    assert f"to    {root}/torch/hub/checkpoints/vgg19-x.pth" in told
    assert "experiments/one/models/net_g_latest.pth: not there\n  made by " in told
    assert run_tool(["list", "--options", str(root / "options/one.yml")], root, published) == 0
    assert "vgg19" not in capsys.readouterr().out


def test_check_and_fetch(root, published, capsys):
    one = ["--options", str(root / "options/one.yml")]
    assert run_tool(["check", *one], root, published) == 1
    assert "missing start.pth: not there; to be put at start.pth, from file://" in capsys.readouterr().out
    assert run_tool(["fetch", *one], root, published) == 0
    assert "start.pth: fetched to start.pth" in capsys.readouterr().out
    assert run_tool(["check", *one], root, published) == 0
    assert f"SHA-256 {published[0].sha256} (as published)" in capsys.readouterr().out
    time = (root / "start.pth").stat().st_mtime_ns
    assert run_tool(["fetch", *one], root, published) == 0 and (root / "start.pth").stat().st_mtime_ns == time
    (root / "start.pth").write_bytes(b"something else")
    assert run_tool(["fetch", *one], root, published) == 1
    assert "has 14 bytes instead of" in (told := capsys.readouterr().out) and "--overwrite" in told
    assert run_tool(["fetch", "--overwrite", *one], root, published) == 0
    assert run_tool(["check", *one], root, published) == 0


def test_two_stages_and_what_has_no_address(root, published, capsys):
    two = ["--options", str(root / "options/two.yml")]
    assert run_tool(["fetch", *two], root, published) == 1
    told = capsys.readouterr()
    assert "experiments/one/models/net_g_latest.pth: not published; train it with " in told.out
    assert "there is no direct address; get it from https://pytorch.org and put it at " in told.err
    for path in (root / "experiments/one/models/net_g_latest.pth", place(published[1], root)):
        path.parent.mkdir(parents=True)
        torch.save({"w": torch.ones(2)}, path)
    assert run_tool(["check", *two], root, published) == 0
    assert "(none is published)" in capsys.readouterr().out
    assert run_tool(["check", *two], root, published[:1]) == 1
    assert "vgg19: nothing is known of it; for " in capsys.readouterr().out


def test_files_that_would_run_code_or_are_cut(root, published):
    entry = Weights(path="x.pth", licence="MIT", page="here")
    torch.save({"model": torch.nn.Linear(2, 2)}, root / "x.pth")
    assert "making those can run any code" in examine(entry, root).text
    (root / "x.pth").write_bytes((root / "source.pth").read_bytes()[:-50])
    assert examine(entry, root).state == "damaged"
    (root / "x.pth").write_bytes((root / "source.pth").read_bytes())
    assert examine(entry, root).state == "there"
    wrong = entry.model_copy(update={"sha256": "00000000"})
    assert "published is 00000000" in examine(wrong, root).text
    assert ".mat" not in READABLE


def test_metrics(root, capsys):
    assert run_tool(["list", "--metrics", "pyiqa:paq2piq", "topiq", "psnr", "niqe"], root) == 0
    told = capsys.readouterr().out
    assert (
        "P2P_RoIPoolModel" in told
        and "resnet18" in told
        and "cfanet_nr_koniq" in told
        and "musiq" not in told
        and "niqe_" not in told
    )
    assert run_tool(["list", "--metrics", "musik"], root) == 2
    assert "did you mean 'musiq'" in capsys.readouterr().err


def test_metrics_of_the_list_are_those_of_pyiqa(repository):
    """Names and file names agree with the installed pyiqa."""
    pyiqa = pytest.importorskip("pyiqa")
    folder = Path(pyiqa.__file__).parent
    sources = "".join(path.read_text() for path in folder.glob("archs/*.py"))
    for entry in read_list():
        for what in entry.needed_by:
            if what.startswith("metric:"):
                assert find_metric(what.removeprefix("metric:")).needs == (what,)
        if entry.path.startswith("torch_hub:pyiqa/"):
            assert Path(entry.path).name in sources, entry.path


def test_offline_hub(root, monkeypatch, capsys):
    """The hub's client is not asked for long: offline it says at once what to do."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(root / "hf"))
    entry = Weights.model_validate({"path": "hf:timm/x/model.safetensors", "licence": "MIT", "for": ["vgg19"]})
    assert run_tool(["fetch", "--options", str(root / "options/two.yml")], root, [entry]) == 1
    assert "hf download timm/x model.safetensors" in capsys.readouterr().err


@pytest.fixture
def cached(root, monkeypatch):
    """A hub cache with small networks in place of SD-2's and DINO's; its snapshots by repository."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(root / "hf"))
    snapshots = {}
    for repository in (SD2_BASE, "timm/vit_base_patch16_224.dino"):
        folder = root / "hf" / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("0" * 40)
        snapshots[repository] = folder / "snapshots" / ("0" * 40)
        snapshots[repository].mkdir(parents=True)
    small = BaseOptions.model_validate(BASE)
    build_unet(small).save_pretrained(snapshots[SD2_BASE] / "unet")
    build_vae(small).save_pretrained(snapshots[SD2_BASE] / "vae")
    save_file({"w": torch.zeros(3)}, snapshots["timm/vit_base_patch16_224.dino"] / "model.safetensors")
    return snapshots


def test_networks_of_lgcaa_in_the_hub_s_cache(root, cached, capsys):
    """What check finds is what the loaders take; fetch leaves it alone."""
    (root / "lgcaa.yml").write_text("name: lgcaa\nnetwork_g: {type: LGCAANet}\n")
    arguments = ["--options", str(root / "lgcaa.yml")]
    assert run_tool(["check", *arguments], root) == 0
    told = capsys.readouterr().out
    assert f" bytes of {SD2_BASE}/unet, SHA-256 " in told and "5 files, 0 missing or damaged, 0 unknown" in told
    assert build_unet(BaseOptions()).config.cross_attention_dim == 48
    assert build_vae(BaseOptions()).config.norm_num_groups == 4
    assert run_tool(["fetch", *arguments], root) == 0
    (cached[SD2_BASE] / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"cut")
    (cached[SD2_BASE] / "unet" / "config.json").unlink()
    assert run_tool(["check", *arguments], root) == 1
    told = capsys.readouterr().out
    assert (
        f"missing unet/config.json: not there; to be put at the Hugging Face cache (HF_HOME), {SD2_BASE}/unet/" in told
    )
    assert "vae/diffusion_pytorch_model.safetensors is truncated" in told and "5 files, 2 missing" in told
    assert run_tool(["list", *arguments], root) == 0
    told = capsys.readouterr().out
    assert told.count("terms CreativeML Open RAIL++-M") == 4 and told.count("config.json: not there") == 1

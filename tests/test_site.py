"""The site: every page has its place, links hold in both worlds, the reference is what the code says."""

import importlib
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import prismsr

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def load(monkeypatch):
    pytest.importorskip("mkdocs")
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    yield importlib.import_module
    for name in ("hooks", "option_pages", "api_pages", "memory_table", "pictures"):
        sys.modules.pop(name, None)


def test_every_page_has_one_place_in_the_navigation():
    listed = re.findall(r"[\w/]+\.md$", (ROOT / "mkdocs.yml").read_text(encoding="utf8"), re.MULTILINE)
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= set(listed)
    assert len(listed) == len(set(listed))


def test_links_hold_on_the_forge_and_in_the_site(load):
    hooks = load("hooks")
    text = "[a](../../options/ssl/README.md#b), [c](../guide/data.md), [d](https://e), `[f](g.md)` [h](../../losses)"
    made = hooks.rewrite_links("docs/papers/ssl.md", text)
    assert made == "[a](../options/ssl/README.md#b), [c](../guide/data.md), [d](https://e), `[f](g.md)` h"
    assert hooks.rewrite_links("README.md", "[a](docs/README.md) [b](docs/guide/data.md)") == (
        "[a](README.md) [b](guide/data.md)"
    )
    assert hooks.find_home("project.md") == "README.md"
    for path in ("docs/README.md", "docs/papers/ssl.md", "options/ssl/README.md"):
        assert hooks.find_home(hooks.find_place(path)) == path


@pytest.mark.parametrize("tag", ['<script src="https://x/y.js">', '<link rel="stylesheet" href=//x/y.css>'])
def test_a_page_that_loads_from_elsewhere_is_refused(load, tag):
    hooks = load("hooks")
    page = SimpleNamespace(file=SimpleNamespace(src_uri="x.md"))
    assert hooks.on_post_page('<a href="https://x">', page=page) == '<a href="https://x">'
    with pytest.raises(hooks.PluginError, match=r"x\.md"):
        hooks.on_post_page(tag, page=page)


def test_paths_in_tables_break_behind_their_separators(load):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="x.md"))
    long, short = "<code>tests/losses/test_a.py::b 0.1</code>", "<code>loss_weight</code>"
    made = load("hooks").on_post_page(f"{long}<table><td>{long}{short}</td></table>", page=page)
    broken = "<code>tests/<wbr>losses/<wbr>test_<wbr>a.py::<wbr>b 0.1</code>"
    assert made == f"{long}<table><td>{broken}{short}</td></table>"
    page.file.src_uri = "reference/options/x.md"  # has a form of its own on narrow screens
    assert load("hooks").on_post_page(f"<table>{long}</table>", page=page) == f"<table data-keys>{broken}</table>"


def test_every_picture_has_a_command_and_a_page(load):
    files = [
        path for path in (ROOT / "docs").rglob("*") if path.suffix.lower() in (".png", ".jpg", ".webp", ".gif", ".svg")
    ]
    assert sorted(f"{name}.png" for name in load("pictures").MAKERS) == sorted(path.name for path in files)
    pages = "".join(path.read_text(encoding="utf8") for path in (ROOT / "docs").rglob("*.md"))
    shown = re.findall(r"!\[[^\]]+\]\(([^)]*)\)", pages)
    assert {Path(place).name for place in shown} == {path.name for path in files}
    assert all(path.parent.name == "pictures" and path.stat().st_size < 300_000 for path in files)


def test_the_reference_of_options_has_every_entry_and_key(load):
    schema = json.loads((ROOT / "options" / "schema.json").read_text(encoding="utf8"))
    pages = load("option_pages").write_option_pages(schema)
    for kind in ("arch", "dataset", "loss", "metric", "optimizer", "scheduler"):
        names = schema["$defs"][kind]["properties"]["type"]["enum"]
        assert set(names) <= set(re.findall("^## (.*)$", pages[f"{kind}.md"], re.MULTILINE))
    feature = pages["loss.md"].split("## FeatureLoss\n")[1].split("\n## ")[0]
    assert re.search(r"^\| `layer_weights` \| mapping \| required \| \S", feature, re.MULTILINE)
    assert "| `amp` | `bf16`, `fp16` or null | `null` |" in pages["model.md"]
    assert "| `only.until` | whole number | required |" in pages["model.md"]


def test_the_reference_of_names_has_signature_arguments_and_example(load):
    page = load("api_pages").write_module(prismsr.functional)
    names = [name for name in prismsr.functional.__all__ if callable(getattr(prismsr.functional, name))]
    assert sorted(re.findall("^## (.*)$", page, re.MULTILINE)) == sorted(names)
    part = page.split("## self_similarity_loss\n")[1].split("\n## ")[0]
    assert re.search(r"```python\nself_similarity_loss\(\n    sr: Tensor,", part)
    assert "- `mask_stride`: " in part
    example = "Return x.\n\nArgs:\n    a: the\n        a_b.\n\nExample:\n    >>> 1\n    1"
    made = load("api_pages").write_docstring(example)
    assert "\n".join(made) == "Return x.\n\n**Args**\n\n- `a`: the a\\_b.\n\n**Example**\n\n```pycon\n>>> 1\n1\n```"


def test_text_stays_text(load):
    assert load("option_pages").escape("a_b <c> | `d_|`") == r"a\_b &lt;c> \| `d_|`"


def test_what_a_network_keeps(load):
    memory = load("memory_table")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 5, 1)).to("meta")
    kept = 3 * 16**2 + 8 * 14**2  # the input, and what the ReLU gives, which the second convolution shares
    assert memory.count_bytes(network, torch.zeros(1, 3, 16, 16, device="meta")) == 4 * kept
    *_, (title, file) = memory.NETWORKS.items()
    page = (ROOT / "docs" / "advice" / "memory.md").read_text(encoding="utf8")
    assert memory.make_row(title, file) in page

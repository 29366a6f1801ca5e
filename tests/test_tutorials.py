"""docs/tutorials, done as they say: files written, commands and code run in order, output compared but for numbers.

Before a block stands what makes it quick here: `<!-- test adds: train:total_iter=2 -->` names option values;
`<!-- test checks -->` has the option files of its commands checked instead of run; `<!-- test stands_in: NAME -->` puts
a small stand-in in the place of what is not here, and uses what the block defines. A fenced block of `text` is what the
block before it prints; any number stands for any. Tools run in one process each, and the demo's photographs are cut
small once they are made.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from prismsr.functional import self_similarity_loss
from prismsr.tools import check_options

import cv2
import pytest
import torch
from basicsr.utils.registry import Registry
from trainings import Launcher

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(
    r"(?:<!-- test (?P<mark>\w+)(?:: (?P<more>[^>]*))? -->\n)?"
    r"^```(?P<kind>\w+)(?: title=\"(?P<file>[\w./]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
ONE_PROCESS = ("prepare", "infer", "evaluate")
SIDE = 192
NUMBER = r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?"


class Block(NamedTuple):
    """A fenced block: its title, the file that it is, what the test makes of it, its language and its text."""

    file: str | None
    mark: str | None
    more: str | None
    kind: str
    text: str


def find_blocks(page: str) -> list[Block]:
    return [Block(*found.group("file", "mark", "more", "kind", "text")) for found in BLOCK.finditer(page)]


def split_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command; a line that ends in a backslash goes on."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def check_files(text: str) -> None:
    """Check the option files that commands name."""
    files = re.findall(r"(?<= -opt )[\w/.]+\.yml", text)
    assert files and check_options.main(files) == 0


def is_printed(line: str, output: str) -> bool:
    """Whether the output has this line's words, with any numbers in the place of its own."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in re.split(NUMBER, line.strip())]
    return re.search(rf"\s*{NUMBER}\s*".join(parts), output) is not None


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A repository of its own: our option files, tools and launchers."""
    root = tmp_path_factory.mktemp("tutorials")
    (root / "options").mkdir()
    for path in (ROOT / "options").iterdir():
        (root / "options" / path.name).symlink_to(path)
    for name in ("basicsr", "tools"):
        (root / name).symlink_to(ROOT / name)
    return root


@pytest.fixture(scope="module")
def server(launch_server, workplace):
    return Launcher(launch_server, workplace)


def write_published(path: Path) -> None:
    """Write random weights under the keys of Real-ESRGAN's realesr-general-x4v3, with fewer channels and layers."""
    from basicsr.archs.srvgg_arch import SRVGGNetCompact

    torch.manual_seed(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"params": SRVGGNetCompact(num_feat=16, num_conv=2, upscale=4).state_dict()}, path)


def stand_in(name: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict], None]:
    """Put modules in the place of a package; return what uses the names that a block then defines."""
    sr, gt = torch.rand(1, 3, 20, 20, requires_grad=True), torch.rand(1, 3, 20, 20)
    if name == "lightning":
        logged: dict = {}
        log = {"log_dict": lambda self, losses, prog_bar: logged.update(losses)}
        module = type("LightningModule", (torch.nn.Module,), log)
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(LightningModule=module))

        def use(names: dict) -> None:
            module = names["SuperResolution"](torch.nn.Identity())
            module.network.weight = torch.nn.Parameter(torch.zeros(1))
            module.training_step((sr, gt), 0).backward()
            assert logged["l_ssl"] > 0 and module.configure_optimizers().param_groups

        return use
    registry = Registry(name)
    for part, content in {name: {}, f"{name}.utils": {}, f"{name}.utils.registry": {"LOSS_REGISTRY": registry}}.items():
        monkeypatch.setitem(sys.modules, part, SimpleNamespace(**content))

    def use_registry(names: dict) -> None:
        loss = registry.get("SelfSimilarityLoss")(loss_weight=1000.0)
        assert loss.loss_weight == 1000 and torch.equal(loss(sr, gt), self_similarity_loss(sr, gt, mask_stride=3))

    return use_registry


def run_command(words: list[str], more: list[str], server: Launcher) -> str:
    """Run a command of a page; return what it printed."""
    assert words[0] == "python", words
    name = Path(words[1]).stem
    command = "train" if words[1] == "basicsr/train.py" else name
    added = ["--workers", "1"] if command in ONE_PROCESS else ["--force_yml", *more] if more else []
    code = server.train(*words[2:], *added, command=command)
    output = server.log.read_text()
    assert code == 0, f"{shlex.join(words)}: {output[-3000:]}"
    if words[2] == "photos":
        for path in (server.root / words[-1]).rglob("*.png"):
            cv2.imwrite(str(path), cv2.imread(str(path))[:SIDE, :SIDE])
    return output


def run_shell(block: Block, server: Launcher) -> str:
    """Run a block's commands, or what its mark says instead; return what they printed."""
    commands = list(split_commands(block.text))
    if block.mark == "checks":
        check_files(block.text)
        return ""
    if block.mark == "stands_in":
        write_published(server.root / commands[0][commands[0].index("-o") + 1])
        return ""
    return "".join(run_command(words, (block.more or "").split(), server) for words in commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_says(page, workplace, server, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    names: dict = {"__name__": "__main__"}
    output = ""
    for block in find_blocks(page.read_text(encoding="utf8")):
        if block.file and block.kind != "text":
            (workplace / block.file).parent.mkdir(parents=True, exist_ok=True)
            (workplace / block.file).write_text(block.text)
            if block.kind == "bash":
                subprocess.run(["bash", "-n", block.file], check=True)
                check_files(block.text)
        elif block.kind == "shell":
            output = run_shell(block, server)
        elif block.kind == "python":
            use = stand_in(block.more, monkeypatch) if block.mark == "stands_in" else None
            capsys.readouterr()
            exec(compile(block.text, page.name, "exec"), names)
            output = capsys.readouterr().out
            if use:
                use(names)
        elif block.kind == "text":
            missing = [line for line in block.text.splitlines() if not is_printed(line, output)]
            assert missing == [], output[-3000:]


def test_what_a_page_says_is_compared():
    assert is_printed("psnr: 27.5  Best: 3e-4 @ 2 iter", "x psnr: 1.25\tBest: 0.5 @ 12 iter y")
    assert not is_printed("psnr: 27.5", "ssim: 27.5") and not is_printed("psnr: 27.5", "psnr: nan")
    page = (
        '```yaml title="a.yml"\nx: 1\n```\n\n<!-- test adds: b=2 c=3 -->\n```shell\npython t.py \\\n  d.yml # e\n```\n'
    )
    first, second = find_blocks(page)
    assert first == ("a.yml", None, None, "yaml", "x: 1\n")
    assert (second.mark, second.more) == ("adds", "b=2 c=3")
    assert list(split_commands(second.text)) == [["python", "t.py", "d.yml"]]

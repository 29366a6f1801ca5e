"""Print what a network keeps for its backward pass, for each crop of a batch: `python docs/site/memory_table.py`.

Counted without computing, on torch's meta device: the bytes of all tensors that autograd saves, each storage once,
parameters left out; half of what two crops keep, since batch norm wants two.
"""

from pathlib import Path

from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.files import load_options

import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[2]

NETWORKS = {
    "RRDBNet (ESRGAN, Real-ESRGAN)": "options/ssl/esrgan_x4.yml",
    "SwinIR-M": "options/amo/swinir_psnr_x4.yml",
    "HAT": "options/ssl/hat_ssl_x4.yml",
    "DAT": "options/ssl/dat_ssl_x4.yml",
    "SPAN": "options/ssl/span_ssl_x4.yml",
    "the demo's MSRResNet": "options/demo/l1_x4.yml",
}


def count_bytes(network: nn.Module, image: torch.Tensor) -> int:
    """Return the bytes that the backward pass of `network(image)` needs, without the parameters."""
    own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(image)
    return sum(storage.nbytes() for storage in kept.values())


def make_row(title: str, file: str) -> str:
    """Return the row of an option file's network, for crops of GT of 128, 192 and 256 pixels."""
    options = load_options(ROOT / file)["network_g"]
    network = find_registered("arch", options.pop("type"))(**options).to("meta")
    sizes = [count_bytes(network, torch.zeros(2, 3, side // 4, side // 4, device="meta")) for side in (128, 192, 256)]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return f"| {title} | {parameters / 1e6:.2f} | " + " | ".join(f"{size / 2e6:.0f} MB" for size in sizes) + " |"


def main() -> None:
    """Print the table."""
    print("| network | million parameters | 128 | 192 | 256 |\n|---|---|---|---|---|")
    for title, file in NETWORKS.items():
        print(make_row(title, file))


if __name__ == "__main__":
    main()

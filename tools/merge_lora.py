"""Merge a LoRA adapter into the network that it was trained on, in that network's own key layout.

    python tools/merge_lora.py --base BASE.pth --lora net_g_lora_20000.pth -o merged.pth

Each adapted weight W becomes W + alpha / rank * B A; everything else is copied. A .pth file gets params and, where the
adapter has one, params_ema, as a training writes them; a .safetensors file holds one of them.
"""

from functools import partial

from prismsr.tools.weight_files.merge_command import add_arguments, run
from prismsr.utils.command_line import command, run_main

main = partial(command, "merge_lora.py", __doc__, add_arguments, run, stopped="stopped; nothing was written")

if __name__ == "__main__":
    run_main(main)

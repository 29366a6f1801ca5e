"""Weights that option files and metrics need: show them (list), see whether they are whole (check), get them (fetch).
A published checkpoint of another code is made one of ours by convert.

    python tools/weights.py list --options options/ssl
    python tools/weights.py check --options options/amo/swinir_upos_x4.yml --metrics lpips dists
    python tools/weights.py fetch --metrics musiq
    python tools/weights.py convert resshift_realsrx4_s15_v1.pth -o OUT.pth --network options/diffusion/resshift_x4.yml

Without --options and --metrics everything that is known is meant. Exit code: 0 all there, 1 something is missing or
damaged (check) or could not be fetched (fetch), 2 wrong arguments, 130 stopped by Ctrl-C.
"""

from functools import partial

from prismsr.tools.weight_files.command import add_arguments, run
from prismsr.utils.command_line import command, run_main

main = partial(command, "weights.py", __doc__, add_arguments, run)

if __name__ == "__main__":
    run_main(main)

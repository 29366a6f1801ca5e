"""Inference in several processes, one for each device: the list of images is dealt out like cards."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prismsr.tools.inference.files import Outcome, infer_files
from prismsr.tools.inference.generator import load_generator
from prismsr.tools.inference.plan import Job
from prismsr.tools.inference.upscaler import InferenceError, Upscaler
from prismsr.utils.processes import iterate_in_processes


def infer_in_processes(upscaler: Upscaler, jobs: Sequence[Job], devices: Sequence[str]) -> Iterator[Outcome]:
    """Infer as `infer_files` does, in one process for each device; outcomes come as they are ready, in no order.

    Args:
        upscaler: its generator is one of `load_generator`, and is loaded again in each process.
        jobs: the images.
        devices: torch devices; one may stand here more than once.

    Raises:
        InferenceError: the generator cannot be loaded again.
        JobError: a process died, or an output cannot be written; the others end after the image they are at.
    """
    source = upscaler.generator.source
    if not source:
        raise InferenceError(f"{upscaler.generator.name} was not made by load_generator: it works in one process only")
    dealt = [jobs[index :: len(devices)] for index in range(len(devices))]
    shares = [
        ({**source, "device": device}, upscaler.arguments, share)
        for device, share in zip(devices, dealt, strict=True)
        if share
    ]
    return iterate_in_processes(_infer_share, shares, "use a smaller --tile or fewer --workers")


def _infer_share(source: Mapping[str, Any], arguments: Mapping[str, Any], jobs: Sequence[Job]) -> Iterator[Outcome]:
    return infer_files(Upscaler(load_generator(**source), **arguments), jobs)

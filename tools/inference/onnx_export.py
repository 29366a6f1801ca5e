"""Export a generator to ONNX, and compare the file's output with the generator's."""

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

from prismsr.tools.inference.generator import Generator
from prismsr.utils.errors import UserError, shorten_error

import numpy as np
import torch
from torch import Tensor, nn

PACKAGES = ("onnx", "onnxscript")
TOLERANCE = 1e-3
"""Largest difference allowed between torch's output and the file's, for images in [0, 1]: a quarter of a grey level."""
INPUT, OUTPUT = "image", "output"


class ExportError(UserError, RuntimeError):
    """A generator cannot be exported, or the file does not compute what it does; the message says why."""


def export_onnx(generator: Generator, path: Path, *, dynamic: bool = False, size: int = 64) -> str:
    """Write a generator as one ONNX file, check it, and return in words what was written and how it was checked.

    The graph maps `image` (1, C, H, W), RGB in [0, 1], to `output` (1, C, scale * H, scale * W), float32. The mirroring
    to a multiple of the generator's window is not part of it: H and W have to be such multiples.

    Args:
        generator: of load_generator, in fp32.
        path: the .onnx file; it appears whole or, also where the check fails, not at all.
        dynamic: H and W are free; otherwise both are `size`.
        size: side of the image that is traced, rounded up to a multiple of the window.

    Raises:
        ExportError: onnx or onnxscript is missing, torch cannot export this network, or the outputs differ by more than
            TOLERANCE.
    """
    _require_packages()
    window = generator.window_size
    size = -(-size // window) * window
    net = _find_module(generator)
    if not isinstance(net, nn.Module) or generator.precision != "fp32":
        raise ExportError(
            f"{generator.name} cannot be exported: that takes a torch module in fp32 that runs once for an image; this "
            f"is {type(net).__name__} in {generator.precision}"
        )
    temporary = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _export(net, torch.rand(1, generator.channels, size, size), temporary, dynamic, window)
        sizes = ((size, size), (size + window, size + 3 * window)) if dynamic else ((size, size),)
        report = _check(generator, temporary, path, sizes)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return report


def _find_module(generator: Generator) -> Any:
    net: Any = generator.net
    return net if isinstance(net, nn.Module) else getattr(net, "model", net)  # spandrel's descriptor holds the module


def _require_packages() -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"Export needs {' and '.join(missing)}, not installed here: pip install {' '.join(PACKAGES)} (and "
            "onnxruntime, which runs the check faster)"
        )


def _export(net: nn.Module, image: Tensor, path: Path, dynamic: bool, window: int) -> None:
    modules: list[Any] = [*net.modules()]
    for module in modules:
        if hasattr(module, "update_params"):  # SPAN folds its convolutions at each call, which torch's exporter dies of
            module.eval().update_params()
            module.__dict__["update_params"] = lambda: None
    shapes = None
    if dynamic:
        height, width = torch.export.Dim("h", min=2), torch.export.Dim("w", min=2)
        shapes = ({2: window * height, 3: window * width} if window > 1 else {2: height, 3: width},)
    try:
        torch.onnx.export(
            net.cpu().eval(),
            (image,),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    except Exception as error:  # torch's exporter fails in as many ways as there are operations
        if isinstance(error.__cause__, UserError):  # the network's own words
            raise ExportError(f"{type(net).__name__}: {error.__cause__}") from error
        hint = "; try it without --dynamic" if dynamic else ""
        raise ExportError(f"torch cannot export {type(net).__name__} ({shorten_error(error)}){hint}") from error


def _check(generator: Generator, file: Path, path: Path, sizes: tuple[tuple[int, int], ...]) -> str:
    """Compare on noise, which shows every frequency."""
    noise = torch.Generator().manual_seed(0)
    run, name = _find_runner(file)
    differences = []
    for height, width in sizes:
        image = torch.rand(1, generator.channels, height, width, generator=noise)
        with torch.inference_mode():
            expected = _find_module(generator)(image)
        differences.append(float(np.abs(run(image.numpy()) - expected.numpy()).max()))
    worst = max(differences)
    if not worst <= TOLERANCE:
        raise ExportError(f"{path} was not written: {name} differs from torch by {worst:.1e}, allowed are {TOLERANCE}")
    written = f"{path}: {file.stat().st_size / 2**20:.1f} MiB; differs from torch by at most {worst:.1e} on noise of "
    return written + f"{', '.join(f'{height}x{width}' for height, width in sizes)} ({name})"


def _find_runner(file: Path) -> tuple[Any, str]:
    """Return a function from input to output array that runs the file, and what runs it."""
    if importlib.util.find_spec("onnxruntime") is not None:
        runtime = importlib.import_module("onnxruntime")
        session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        return lambda image: session.run([OUTPUT], {INPUT: image})[0], f"onnxruntime {runtime.__version__}"
    onnx = importlib.import_module("onnx")
    evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator(str(file))
    return lambda image: evaluator.run([OUTPUT], {INPUT: image})[0], f"onnx {onnx.__version__}, reference evaluator"

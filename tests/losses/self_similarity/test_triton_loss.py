"""The Triton kernels: by the interpreter everywhere that Triton is, and on a GPU beside torch's operations."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from prismsr.losses.self_similarity import triton_loss
from prismsr.losses.self_similarity.self_similarity_loss import self_similarity_loss

import pytest
import torch

CASES = Path(__file__).with_name("triton_cases.py")
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed here")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here")


@needs_triton
def test_cases_in_the_interpreter():
    """In a process of their own: Triton decides when it is imported whether it interprets."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", triton_loss.VARIABLE: "triton"}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_triton
@pytest.mark.parametrize("low", [0, -1], ids=["zero", "image"])
def test_kernels_compile_for_a_gpu(monkeypatch, tmp_path, low):
    """Triton's compiler refuses more than its interpreter does; it runs without a GPU."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from prismsr.losses.self_similarity.triton_kernel import compare_graphs, gather_patches

    import triton
    from triton.backends.compiler import GPUTarget

    sizes = {"width": 40, "channels": 3, "search": 5, "window": 3, "stride": 1, "low": low}
    columns = {"step_columns": 8, "search_columns": 8, "side_columns": 8}
    weights = {"alpha": 1.0, "kl_weight": 1.0, "eps": 1e-10, "least": -23.0, "want_grad": True}
    gathering = {"width": 40, "channels": 3, "side": 5 - 2 * low, "columns": 128}
    for kernel, values in ((compare_graphs, {**sizes, **columns, **weights}), (gather_patches, gathering)):
        kinds = {"places": "*i32", "before": "*i32", **dict.fromkeys(("start", "most", "pixels", "height"), "i32")}
        names = kernel.arg_names
        signature = {name: "constexpr" if name in values else kinds.get(name, "*fp32") for name in names}
        constants = {(names.index(name),): value for name, value in values.items()}
        source = triton.compiler.ASTSource(kernel, signature, constants)
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 1})
        assert compiled.asm["cubin"]


def test_cpu_takes_the_sweep_and_a_wrong_wish_is_named(monkeypatch):
    image, mask = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8, dtype=torch.bool)
    value = self_similarity_loss(image, image * 0.9, mask, search=5, window=3)
    monkeypatch.setenv(triton_loss.VARIABLE, "sweep")
    assert self_similarity_loss(image, image * 0.9, mask, search=5, window=3) == value
    monkeypatch.setenv(triton_loss.VARIABLE, "cuda")
    with pytest.raises(ValueError, match=f"{triton_loss.VARIABLE}: got 'cuda'"):
        self_similarity_loss(image, image, mask, search=5, window=3)


def test_without_triton_it_is_swept_and_told_once(monkeypatch, recwarn):
    image, mask = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8, dtype=torch.bool)
    monkeypatch.setenv(triton_loss.VARIABLE, "triton")
    monkeypatch.setattr(triton_loss, "triton_version", lambda: (0,))
    triton_loss._tell.cache_clear()
    for _ in range(2):
        assert self_similarity_loss(image, image, mask, search=5, window=3) == 0
    assert sum("wants Triton 3.3 or newer" in str(warning.message) for warning in recwarn) == 1


@needs_triton
def test_where_kernels_do_not_compile_it_is_swept_and_told_once(monkeypatch, recwarn):
    def fail(*_):
        raise subprocess.CalledProcessError(1, "gcc")

    image, mask = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8, dtype=torch.bool)
    wanted = self_similarity_loss(image, image * 0.9, mask, search=5, window=3)
    monkeypatch.setenv(triton_loss.VARIABLE, "triton")
    monkeypatch.setattr(triton_loss, "compare_by_kernels", fail)
    monkeypatch.setattr(triton_loss, "_uncompiled", [])
    triton_loss._tell.cache_clear()
    for _ in range(2):
        assert self_similarity_loss(image, image * 0.9, mask, search=5, window=3) == wanted
    assert sum("cannot compile its kernels here" in str(warning.message) for warning in recwarn) == 1


@needs_cuda
@needs_triton
@pytest.mark.parametrize(
    "options", [{}, {"mask_stride": 3}, {"border": "image", "stride": 3}, {"search": 13, "window": 5, "alpha": 0.3}]
)
def test_cuda_equals_the_sweep_and_itself(monkeypatch, photograph_tensor, options):
    gt = photograph_tensor[:, :, 100:164, 100:180].double()
    sr = torch.nn.functional.avg_pool2d(gt, 3, 1, 1)
    monkeypatch.setenv(triton_loss.VARIABLE, "sweep")
    expected, expected_grad = _value_and_gradient(sr, gt, options)
    monkeypatch.setenv(triton_loss.VARIABLE, "triton")
    results = [_value_and_gradient(sr.float().cuda(), gt.float().cuda(), options) for _ in range(2)]
    for value, grad in results:
        torch.testing.assert_close(value.cpu().double(), expected, rtol=1e-5, atol=0)
        assert (grad.cpu() - expected_grad).abs().max() < 1e-5 * expected_grad.abs().max()
        assert torch.equal(grad, results[0][1])


def _value_and_gradient(sr, gt, options):
    sr = sr.clone().requires_grad_()
    value = self_similarity_loss(sr, gt, **options)
    value.backward()
    return value.detach(), sr.grad

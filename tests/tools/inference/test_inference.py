"""Inference over files and folders: pixels, what is kept, what is skipped, what fails."""

import json
import os
from pathlib import Path

from prismsr.tools.inference.folder import InferenceError, Upscaler, infer_folder
from prismsr.tools.inference.generator import Generator
from prismsr.tools.inference.pictures import Picture, read_picture
from prismsr.tools.inference.plan import find_leftovers
from prismsr.tools.inference.upscaler import fill_transparent
from prismsr.utils.errors import DataError, JobError

import cv2
import numpy as np
import pytest
import torch
from basicsr.utils import tensor2img
from generator_cases import tiny_generator, write_images
from torch import Tensor


@pytest.fixture
def generator(tmp_path: Path) -> Generator:
    return tiny_generator(tmp_path)


def doubled(image: Tensor) -> Tensor:
    return image.repeat_interleave(2, -1).repeat_interleave(2, -2)


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


# ------------------------------------------------------------------------------------------------- one picture


def test_as_validation_computes_it(generator: Generator, photograph: np.ndarray) -> None:
    image = photograph[100:140, 200:250]
    lq = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    expected = tensor2img(generator(lq), rgb2bgr=False)
    for tile, overlap in ((0, 0), (16, 8)):
        result = Upscaler(generator, tile, overlap)(Picture(image)).colour
        assert np.abs(result.astype(int) - expected).max() <= (1 if tile else 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_depth_grey_and_alpha_are_kept(dtype: type) -> None:
    upscaler = Upscaler(Generator(doubled, "doubled", 2), tile=8, overlap=4)
    values = noise(13, 21, 4, dtype=dtype).clip(1)  # colours under an alpha of 0 are filled
    result = upscaler(Picture(values[..., :3], values[..., 3]))
    assert result.colour.dtype == dtype
    assert np.array_equal(result.colour, values[..., :3].repeat(2, 0).repeat(2, 1))  # all 65536 levels
    assert result.alpha is not None
    assert (result.alpha.shape, result.alpha.dtype) == ((26, 42), dtype)
    grey = upscaler(Picture(values[..., :1]))
    assert np.array_equal(grey.colour, values[..., :1].repeat(2, 0).repeat(2, 1))
    assert grey.alpha is None


def test_grey_is_the_mean_of_what_three_equal_channels_give() -> None:
    weights = torch.tensor([0.1, 0.5, 0.9])[:, None, None]
    values = noise(5, 6, 1)
    result = Upscaler(Generator(lambda image: image * weights, "weighted", 1))(Picture(values)).colour
    assert np.abs(result - values * 0.5).max() <= 0.5


def test_alpha_by_bicubic_and_by_the_network() -> None:
    generator = Generator(doubled, "doubled", 2)
    alpha = np.tile(np.arange(40, 220, 10, dtype=np.uint8), (9, 1))
    picture = Picture(np.zeros((9, 18, 3), np.uint8), alpha)
    smooth = Upscaler(generator)(picture).alpha
    assert smooth is not None
    ramp = 40 + 10 * ((np.arange(36) + 0.5) / 2 - 0.5)  # a cubic kernel keeps a ramp
    assert np.abs(smooth[:, 4:-4] - ramp[4:-4]).max() <= 0.5
    blocks = Upscaler(generator, alpha="net")(picture).alpha
    assert np.array_equal(blocks, alpha.repeat(2, 0).repeat(2, 1))


def test_smaller_scale_reduces_the_output() -> None:
    values = np.full((6, 7, 3), 77, np.uint8)
    assert np.array_equal(Upscaler(Generator(doubled, "doubled", 2), scale=1)(Picture(values)).colour, values)
    with pytest.raises(InferenceError, match=r"scale 3: doubled .*x2"):
        Upscaler(Generator(doubled, "doubled", 2), scale=3)


def test_less_memory_with_smaller_tiles(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    def scarce(image: Tensor) -> Tensor:
        seen.append(image.shape[-1])
        if image.shape[-1] > 40:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")
        return doubled(image)

    values = noise(90, 130, 3)
    upscaler = Upscaler(Generator(scarce, "scarce", 2), tile=0)
    assert np.array_equal(upscaler(Picture(values)).colour, values.repeat(2, 0).repeat(2, 1))
    assert seen[:3] == [130, 65, 31]  # eight tiles of (130 + 7 * 16) / 8
    assert "--tile 32 --overlap 16" in capsys.readouterr().err
    assert upscaler.tile == 32  # for the next picture, too
    with pytest.raises(DataError, match=r"CUDA out of memory. Tried"):
        Upscaler(Generator(lambda image: scarce(image.new_zeros(1, 3, 50, 50)), "full", 2))(Picture(values))


def test_infinite_output_and_failing_networks_are_told() -> None:
    with pytest.raises(DataError, match=r"fp16; .*--precision"):
        Upscaler(Generator(lambda image: image / 0, "x", 1, precision="fp16"))(Picture(noise(4, 4, 3)))
    with pytest.raises(DataError, match=r"5x4 .*size"):
        Upscaler(Generator(lambda image: image @ image, "x", 1))(Picture(noise(4, 5, 3)))


@pytest.mark.parametrize(
    ("tile", "window", "overlap"), [(384, 1, 32), (64, 1, 32), (16, 1, 8), (60, 8, 28), (8, 8, 0), (1, 1, 0), (0, 8, 0)]
)
def test_a_tile_alone_gets_an_overlap_that_fits(tile: int, window: int, overlap: int) -> None:
    values = noise(24, 24, 3)
    upscaler = Upscaler(Generator(doubled, "x", 2, window_size=window), tile)
    assert (upscaler.tile, upscaler.overlap) == (tile, overlap)
    assert np.array_equal(upscaler(Picture(values)).colour, values.repeat(2, 0).repeat(2, 1))


def test_tiles_that_cannot_be() -> None:
    with pytest.raises(InferenceError, match="tile 60 and overlap 32"):
        Upscaler(Generator(doubled, "x", 2), 60, 32)
    with pytest.raises(InferenceError, match=r"tile 7 .* 8 pixels"):
        Upscaler(Generator(doubled, "x", 2, window_size=8), 7, 0)
    with pytest.raises(InferenceError, match="tile 8 and overlap 4"):  # on the grid of windows neighbours share none
        Upscaler(Generator(doubled, "x", 2, window_size=8), 8, 4)


# ---------------------------------------------------------------------------------------------------- folders


def test_folder_keeps_names_and_skips_what_is_done(generator: Generator, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    write_images(source, "a.png", "sub/b.jpg", "sub/deep/c.x.bmp", ".hidden/d.png", "sub/.e.png")
    (source / "notes.txt").write_text("no image")
    report = infer_folder(generator, [source], output, suffix="_x4", progress=False)
    names = {"a_x4.png", "sub/b_x4.png", "sub/deep/c.x_x4.bmp"}
    assert {path.relative_to(output).as_posix() for path in report.done} == names
    assert {path.relative_to(output).as_posix() for path in output.rglob("*.*") if path.is_file()} == {
        *names,
        ".infer.json",
    }
    expected = Upscaler(generator)(read_picture(source / "a.png")).colour
    assert np.array_equal(read_picture(output / "a_x4.png").colour, expected)
    again = infer_folder(generator, [source], output, suffix="_x4", progress=False)
    assert (len(again.done), len(again.skipped)) == (0, 3)
    write_images(source, "a.png", "new.png", side=24)
    later = (output / "a_x4.png").stat().st_mtime_ns + 10**9
    os.utime(source / "a.png", ns=(later, later))  # newer than its output
    third = infer_folder(generator, [source], output, suffix="_x4", progress=False)
    assert [path.name for path in third.done] == ["a_x4.png", "new_x4.png"]
    assert cv2.imread(str(output / "a_x4.png")).shape[:2] == (96, 112)


def test_other_settings_are_not_mixed_in(generator: Generator, tmp_path: Path) -> None:
    source, other, output = tmp_path / "in", tmp_path / "other", tmp_path / "out"
    write_images(source, "a.png")
    write_images(other, "b.png")
    infer_folder(generator, [source], output, progress=False)
    with pytest.raises(InferenceError, match=r"a\.png .*scale: 4 then, 2 now"):
        infer_folder(generator, [source], output, scale=2, progress=False)
    assert infer_folder(generator, [other], output, scale=2, progress=False).done  # beside them is allowed
    with pytest.raises(
        InferenceError, match=r"older than .*\.infer\.json"
    ):  # and does not make the first one of these settings
        infer_folder(generator, [source], output, scale=2, progress=False)
    report = infer_folder(generator, [source], output, scale=2, overwrite=True, progress=False)
    assert cv2.imread(str(report.done[0])).shape[:2] == (40, 48)
    (output / ".infer.json").unlink()
    with pytest.raises(InferenceError, match=r"\.infer\.json"):
        infer_folder(generator, [source], output, scale=2, progress=False)


def test_images_of_other_tiles_are_not_mixed_in(generator: Generator, tmp_path: Path, monkeypatch) -> None:
    write_images(tmp_path / "in", "a.png")
    infer_folder(generator, [tmp_path / "in"], tmp_path / "out", tile=16, progress=False)
    monkeypatch.setattr("prismsr.tools.inference.upscaler.VERSION", -1)
    with pytest.raises(InferenceError, match="tiling"):
        infer_folder(generator, [tmp_path / "in"], tmp_path / "out", tile=16, progress=False)


def test_clock_that_goes_back_neither_mixes_settings_nor_stops_a_run(generator: Generator, tmp_path: Path) -> None:
    """What was made while the clock was an hour ahead: inputs, an output, and the record of its settings."""
    source, other, output = tmp_path / "in", tmp_path / "other", tmp_path / "out"
    write_images(source, "a.png", "b.png")
    write_images(other, "c.png")
    infer_folder(generator, [source / "a.png"], output, progress=False)
    record = output / ".infer.json"
    content = json.loads(record.read_text())
    content["since"] += 3600 * 10**9
    record.write_text(json.dumps(content))
    ahead = content["since"] + 10**9
    for path in (source / "a.png", source / "b.png", output / "a.png"):
        os.utime(path, ns=(ahead, ahead))
    first = infer_folder(generator, [source], output, progress=False)
    assert ([path.name for path in first.done], [path.name for path in first.skipped]) == (["b.png"], ["a.png"])
    assert not infer_folder(generator, [source], output, progress=False).done
    assert find_leftovers(output, [output / "a.png", output / "b.png"]) == []
    infer_folder(generator, [other], output, scale=2, progress=False)
    assert find_leftovers(output, sorted(output.glob("*.png"))) == [output / "a.png", output / "b.png"]


def test_broken_images_are_named_and_the_rest_goes_on(generator: Generator, tmp_path: Path) -> None:
    write_images(tmp_path / "in", "a.png", "c.png", "d.png")
    (tmp_path / "in" / "b.png").write_bytes((tmp_path / "in" / "a.png").read_bytes()[:60])
    (tmp_path / "in" / "d.png").write_bytes(b"")
    report = infer_folder(generator, [tmp_path / "in"], tmp_path / "out", progress=False)
    assert [path.name for path in report.done] == ["a.png", "c.png"]
    assert [message.split(": ")[0] for message in report.failed] == [str(tmp_path / "in" / f"{n}.png") for n in "bd"]
    assert str(report).endswith("images/s), 2 failed")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".infer.json", "a.png", "c.png"]


def test_one_file_to_one_file(generator: Generator, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), noise(9, 8, 4, dtype=np.uint16))
    report = infer_folder(generator, [tmp_path / "a.png"], tmp_path / "new" / "b.jpg", progress=False)
    assert report.done == [tmp_path / "new" / "b.jpg"]
    for note, lost in zip(report.notes, ("alpha", "16 bits"), strict=True):
        assert note.startswith(f"{report.done[0]}: ") and lost in note
    assert cv2.imread(str(report.done[0]), cv2.IMREAD_UNCHANGED).shape == (36, 32, 3)


def test_wrong_inputs_and_outputs(generator: Generator, tmp_path: Path) -> None:
    write_images(tmp_path / "in", "a.png", "a.jpg")
    (tmp_path / "empty").mkdir()

    def refused(text: str, *inputs: str, output: str = "out", **options: str) -> None:
        with pytest.raises(InferenceError, match=text):
            infer_folder(generator, [tmp_path / name for name in inputs], tmp_path / output, **options)

    refused("a.jpg and .*a.png .*--ext same", "in")
    refused("-o .*in/out", "in", output="in/out")
    refused("in/a.png .*--suffix", "in/a.png", output="in")
    refused("in/a.png .*--suffix", "in/a.png", output="in/a.png")
    refused("gone", "gone")
    refused("empty", "empty")
    refused("'gif'.*: auto, same, png", "in", ext="gif")
    assert not (tmp_path / "out").exists()
    report = infer_folder(generator, [tmp_path / "in"], tmp_path / "out", ext="same", progress=False)
    assert [path.name for path in report.done] == ["a.jpg", "a.png"]


def test_output_that_cannot_be_written_ends_the_run(generator: Generator, tmp_path: Path) -> None:
    write_images(tmp_path / "in", "a.png", "b.png", "c.png")
    (tmp_path / "out" / "b.png").mkdir(parents=True)
    with pytest.raises(JobError, match=r"b\.png"):
        infer_folder(generator, [tmp_path / "in"], tmp_path / "out", overwrite=True, progress=False)
    assert (tmp_path / "out" / "a.png").is_file()


def test_interruption_keeps_what_is_done(tmp_path: Path) -> None:
    calls = []

    def interrupted(image: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return doubled(image)

    write_images(tmp_path / "in", *(f"{letter}.png" for letter in "abcd"))
    generator = Generator(interrupted, "x", 2)
    with pytest.raises(KeyboardInterrupt):
        infer_folder(generator, [tmp_path / "in"], tmp_path / "out", progress=False)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["a.png", "b.png"]
    report = infer_folder(generator, [tmp_path / "in"], tmp_path / "out", progress=False)
    assert ([path.name for path in report.done], len(report.skipped)) == (["c.png", "d.png"], 2)


def test_processes_need_a_generator_from_files(tmp_path: Path) -> None:
    write_images(tmp_path / "in", "a.png")
    with pytest.raises(InferenceError, match=r"x .*load_generator"):
        infer_folder(Generator(doubled, "x", 2), [tmp_path / "in"], tmp_path / "out", devices=["cpu", "cpu"])


def bicubic(image: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(image, scale_factor=2, mode="bicubic")


def test_no_dark_fringe_around_what_is_seen() -> None:
    """A white square on transparent black, enlarged and laid on white, is white everywhere."""
    alpha = np.zeros((16, 20), np.uint8)
    alpha[4:12, 5:15] = 255
    picture = Picture(np.repeat(alpha[..., None], 3, axis=2), alpha)
    result = Upscaler(Generator(bicubic, "bicubic", 2))(picture)
    assert result.alpha is not None
    opacity = result.alpha[..., None] / 255
    assert ((opacity > 0) & (opacity < 1)).sum() > 0
    assert (result.colour[result.alpha > 0] == 255).all()
    assert np.allclose(opacity * result.colour + (1 - opacity) * 255, 255)


def test_transparent_colours_are_those_of_the_nearest_visible_pixel() -> None:
    rng = np.random.default_rng(0)
    colour, alpha = noise(9, 11, 3), rng.choice([0, 0, 0, 7, 255], (9, 11)).astype(np.uint8)
    filled = fill_transparent(colour, alpha)
    seen = np.argwhere(alpha > 0)
    for place in np.ndindex(9, 11):
        distances = ((seen - place) ** 2).sum(1)
        nearest = {tuple(colour[tuple(other)]) for other in seen[distances == distances.min()]}
        assert tuple(filled[place]) in nearest
    assert np.array_equal(fill_transparent(colour, np.zeros((9, 11))), colour)


def test_a_name_that_becomes_too_long_fails_alone(generator: Generator, tmp_path: Path) -> None:
    write_images(tmp_path / "in", "a" * 249 + ".png", "b.png")
    report = infer_folder(generator, [tmp_path / "in"], tmp_path / "out", suffix="_longer")
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["b_longer.png"]
    assert len(report.failed) == 1 and "too long" in report.failed[0]

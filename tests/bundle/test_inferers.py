"""Tiles: one pass's map in bounded memory, on every grid; what happens when memory runs out."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from scripts.errors import BadInput, bad_input_behind
from scripts.inferers import TiledInferer, free_gb
from scripts.networks import DoseGenerator
from torch import Tensor, nn

Run = Callable[..., ConfigWorkflow]


def generator(channels: list[int], num_res_units: int) -> DoseGenerator:
    """A generator whose head is not zero."""
    torch.manual_seed(0)
    network = DoseGenerator(
        channels=channels,
        num_res_units=num_res_units,
        voxel_mm=[4.8, 4.8, 4.8],
        prior_fwhm_mm=4.8,
        dose_per_suv=0.02,
        suv_scale=1.0,
    )
    nn.init.normal_(network.head.weight)
    return network


@pytest.mark.parametrize(
    ("channels", "num_res_units"),
    [([8, 16, 32], 2), ([8, 16], 1), ([8, 16, 32], 0), ([8, 16, 32], 3), ([4, 8, 8, 8], 2)],
)
def test_halo_is_half_the_receptive_field(channels: list[int], num_res_units: int) -> None:
    """Measured by the gradient of one voxel's dose, at each place of the strides."""
    network = generator(channels, num_res_units).double()
    reach = 0
    for at in range(80, 80 + network.divisor):
        suv = torch.rand(1, 1, 8, 8, 160, dtype=torch.float64, requires_grad=True)
        network(suv)[0, 0, 4, 4, at].backward()
        assert suv.grad is not None
        seen = suv.grad.abs().sum(dim=(0, 1, 2, 3)).nonzero().flatten()
        reach = max(reach, int(at - seen.min()), int(seen.max() - at))
    assert network.halo - network.divisor < reach <= network.halo


def agree(network: DoseGenerator, shape: Sequence[int], part: float) -> None:
    """Hold tiles, in so large a part of the memory of one pass, against that pass."""
    torch.manual_seed(3)
    suv = torch.rand(1, 1, *shape) * 10
    memory_gb = part * suv.numel() * network.bytes_per_voxel / 1e9
    inferer = TiledInferer(network.halo, network.divisor, network.bytes_per_voxel, memory_gb)
    sizes: list[int] = []
    hook = network.register_forward_pre_hook(lambda _, given: sizes.append(given[0].numel()))
    with torch.no_grad():
        dose, whole = inferer(suv, network), network(suv)
    hook.remove()
    *windows, _ = sizes  # the last is the whole volume
    assert len(windows) > 1
    assert max(windows) * network.bytes_per_voxel / 1e9 <= memory_gb
    assert (dose - whole).abs().max() < 1e-5 * whole.max()  # 1e-4 is asked


@pytest.mark.parametrize("shape", [(24, 28, 200), (21, 150, 18)])
def test_tiles_give_the_whole_volume_s_dose(shipped: DoseGenerator, shape: list[int]) -> None:
    agree(shipped, shape, part=0.8)


def test_tiles_along_all_axes_give_the_whole_volume_s_dose() -> None:
    network = generator([8, 16], 1).eval()
    assert network.halo == 6
    agree(network, (41, 36, 44), part=0.3)


def test_a_volume_that_fits_is_one_window() -> None:
    inferer = TiledInferer(halo=24, divisor=4, bytes_per_voxel=320)
    assert inferer.tile_for([128, 128, 96], memory_gb=1.0) == [128, 128, 96]
    tile = inferer.tile_for([168, 168, 544], memory_gb=1.0)
    assert all(size % 4 == 0 for size in tile)


class Fickle(nn.Module):
    """Doubles its input, and fails above so many voxels as a device without memory does."""

    def __init__(self, voxels: int, error: Exception) -> None:
        super().__init__()
        self.voxels, self.error = voxels, error

    def forward(self, suv: Tensor) -> Tensor:
        if suv.numel() > self.voxels:
            raise self.error
        return 2 * suv


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
        MemoryError("out of memory"),
    ],
)
def test_out_of_memory_falls_back_to_smaller_windows(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    suv = torch.rand(1, 1, 64, 64, 64)
    inferer = TiledInferer(halo=4, divisor=4, bytes_per_voxel=100, memory_gb=1.0)
    assert torch.equal(inferer(suv, Fickle(30_000, error)), 2 * suv)
    assert "Out of memory; going on in windows" in caplog.text
    with pytest.raises(BadInput, match="Memory must hold one window"):
        inferer(suv, Fickle(100, error))


def test_another_error_is_not_taken_for_a_lack_of_memory() -> None:
    inferer = TiledInferer(halo=4, divisor=4, bytes_per_voxel=100, memory_gb=1.0)
    with pytest.raises(RuntimeError, match="something else"):
        inferer(torch.rand(1, 1, 8, 8, 8), Fickle(1, RuntimeError("something else")))


def test_free_memory_of_this_machine_is_told() -> None:
    assert 0.01 < free_gb(torch.device("cpu")) < 1e5


def write_pet(path: Path, spacing_mm: tuple[float, ...], angle_deg: float) -> Path:
    """A warm ball in a cool block, on a turned grid."""
    shape = [int(length / mm) for length, mm in zip((250, 250, 1000), spacing_mm, strict=True)]
    axes = [(np.arange(n) - n / 2) * mm for n, mm in zip(shape, spacing_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    suv = 1.0 + 9.0 * (x**2 + y**2 + z**2 < 40**2)
    suv[np.maximum(abs(x), abs(y)) > 100] = 0.0
    turn, angle = np.eye(4), np.deg2rad(angle_deg)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    nib.save(nib.Nifti1Image(suv.astype("f4"), turn @ np.diag([*spacing_mm, 1.0])), path)
    return path


def dose_of(run: Run, name: str, pet: Path, out: Path, **options: Any) -> np.ndarray:
    run(name, image=pet, output_dir=out, allow_other_tracer=True, **options)
    dose = nib.Nifti1Image.from_filename(out / "dose.nii.gz")
    np.testing.assert_allclose(dose.affine, nib.load(pet).affine, atol=1e-4)
    return np.asanyarray(dose.dataobj)


@pytest.mark.parametrize(
    ("spacing_mm", "angle_deg"), [((4.8, 4.8, 4.8), 0), ((5.47, 5.47, 3.27), 0), ((4, 3, 5), 17)]
)
def test_tiled_workflow_writes_the_default_s_map(
    run: Run, tmp_path: Path, spacing_mm: tuple[float, ...], angle_deg: float
) -> None:
    pet = write_pet(tmp_path / "suv.nii.gz", spacing_mm, angle_deg)
    tiles = {"memory_gb": 0.13}  # of 0.16 GB for the whole body
    dose = dose_of(run, "inference+inference_tiled", pet, tmp_path / "tiled", **tiles)
    whole = dose_of(run, "inference", pet, tmp_path / "whole")
    assert abs(dose - whole).max() < 1e-5 * whole.max()


def test_memory_too_small_for_one_window_is_refused_and_nothing_is_written(
    run: Run, tmp_path: Path
) -> None:
    pet = write_pet(tmp_path / "suv.nii.gz", (4.8, 4.8, 4.8), 0)
    with pytest.raises(RuntimeError) as caught:
        dose_of(run, "inference+inference_tiled", pet, tmp_path / "out", memory_gb=0.001)
    assert str(bad_input_behind(caught.value)).startswith("Memory must hold one window, 0.0")
    assert [path.name for path in tmp_path.iterdir()] == ["suv.nii.gz"]


def test_a_body_that_does_not_fit_at_once_is_told_of_the_tiles(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pet = write_pet(tmp_path / "suv.nii.gz", (4.8, 4.8, 4.8), 0)

    def forward(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(DoseGenerator, "forward", forward)
    with pytest.raises(RuntimeError) as caught:
        dose_of(run, "inference", pet, tmp_path / "out")
    assert "Add inference_tiled.yaml to --config_file" in str(bad_input_behind(caught.value))
    assert [path.name for path in tmp_path.iterdir()] == ["suv.nii.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("tiling", [True, False])
def test_whole_body_pet_takes_less_than_3_gb(bundle: Path, tmp_path: Path, tiling: bool) -> None:
    """168 × 168 × 544 voxels, all of them body, on the network's own grid."""
    suv = np.random.default_rng(0).random((168, 168, 544), dtype=np.float32)
    nib.save(nib.Nifti1Image(suv, np.diag([4.8, 4.8, 4.8, 1.0])), tmp_path / "suv.nii.gz")
    files = [str(bundle / "configs" / "inference.yaml")]
    files += [str(bundle / "configs" / "inference_tiled.yaml")] if tiling else []
    words = ["-m", "monai.bundle", "run", "--config_file", str(files), "--bundle_root"]
    words += [str(bundle), "--image", str(tmp_path / "suv.nii.gz"), "--output_dir"]
    words += [str(tmp_path / "out"), "--allow_other_tracer", "True"]
    words += ["--memory_gb", "1.0"] if tiling else []
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [sys.executable, "-c", code, sys.executable, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak_gb = int(done.stdout.split()[-1]) * 1024 / 1e9  # kB, on Linux
    assert peak_gb < (3.0 if tiling else 6.0)

"""Rigid transforms and grids, between NIfTI's RAS world and SimpleITK's, which is LPS."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.nifti import voxel_ml

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Its own inverse: x and y change sign."""
SKEW = 1e-3
"""Largest cosine between two axes; beyond, voxels are no boxes."""


def simpleitk() -> Any:
    """Return SimpleITK, loaded only where it is used.

    Raises:
        BadInput: It is not installed.
    """
    try:
        import SimpleITK
    except ImportError as error:
        raise BadInput(
            "Registration needs SimpleITK, and it is not installed. Run: pip install SimpleITK."
        ) from error
    return SimpleITK


@contextmanager
def one_thread() -> Iterator[None]:
    """Let SimpleITK work on one core, and put back what was set.

    Sums over threads differ in their last digits from run to run, and an optimiser makes
    more of it; on one core the same images give the same transform, bit for bit.
    """
    process = simpleitk().ProcessObject
    before = process.GetGlobalDefaultNumberOfThreads()
    process.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        process.SetGlobalDefaultNumberOfThreads(before)


def check_axes(volume: Volume, *, name: str) -> None:
    """Refuse a volume whose voxels are no boxes, or whose axes stand in another order.

    Raises:
        BadInput: Its axes are not at right angles, or do not run across, front to back and
            along the patient, in this order.
    """
    order = [name for code in volume.axis_codes for name in ("RL", "AP", "SI") if code in name]
    if order != ["RL", "AP", "SI"]:
        raise BadInput(
            f"{name} must have its axes in the order right, front, head (RAS), got "
            f"{volume.axis_codes}. Turn it to RAS."
        )
    axes = volume.affine[:3, :3] / np.array(volume.spacing_mm)
    if np.abs(axes.T @ axes - np.eye(3)).max() > SKEW:
        raise BadInput(
            f"{name} must have axes at right angles, and it does not. Resample it to a grid of "
            "boxes."
        )


def to_itk(data: Shaped[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]) -> Any:
    """Return values on a grid (mm, RAS+) as a SimpleITK image of float32."""
    image = simpleitk().GetImageFromArray(np.ascontiguousarray(data.T.astype(np.float32)))
    in_lps = LPS @ affine
    spacing_mm = np.linalg.norm(in_lps[:3, :3], axis=0)
    image.SetSpacing(spacing_mm.tolist())
    image.SetOrigin(in_lps[:3, 3].tolist())
    image.SetDirection((in_lps[:3, :3] / spacing_mm).ravel().tolist())
    return image


def itk_values(image: Any) -> Shaped[np.ndarray, "x y z"]:
    """Return an image's values, shape (x, y, z)."""
    # A copy in any case: a view's memory goes with the image.
    return np.array(simpleitk().GetArrayViewFromImage(image).T, order="C", copy=True)


def itk_affine(image: Any) -> Float[np.ndarray, "4 4"]:
    """Return voxel index → position, mm, RAS+, of an image."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return LPS @ affine


@dataclass(frozen=True)
class Rigid:
    """Where a point of the fixed scan lies in the moving one.

    Attributes:
        fixed_to_moving: Position in the fixed world → position in the moving world, mm, RAS+.
            The moving image is carried to the fixed grid by looking its values up there.
    """

    fixed_to_moving: Float[np.ndarray, "4 4"]

    @property
    def rotation_deg(self) -> float:
        """Angle of the rotation about its own axis, degrees."""
        # By sine and cosine: the arc cosine alone is coarse near 0.
        turn = self.fixed_to_moving[:3, :3]
        skew = turn - turn.T
        sine = np.linalg.norm([skew[2, 1], skew[0, 2], skew[1, 0]]) / 2.0
        return float(np.degrees(np.arctan2(sine, (np.trace(turn) - 1.0) / 2.0)))

    def moved_mm(self, points_mm: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        """Return where points of the fixed world lie in the moving one, mm, RAS+."""
        moved: Float[np.ndarray, "points 3"] = (
            points_mm @ self.fixed_to_moving[:3, :3].T + self.fixed_to_moving[:3, 3]
        )
        return moved

    def tfm(self) -> bytes:
        """Return the transform as ITK's text file, LPS mm, which 3D Slicer and ITK-SNAP read."""
        in_lps = LPS @ self.fixed_to_moving @ LPS
        numbers = [*in_lps[:3, :3].ravel(), *in_lps[:3, 3]]
        lines = (
            "#Insight Transform File V1.0",
            "#Transform 0",
            "Transform: AffineTransform_double_3_3",
            "Parameters: " + " ".join(repr(float(number)) for number in numbers),
            "FixedParameters: 0 0 0",
        )
        return ("\n".join(lines) + "\n").encode()

    def to_itk(self) -> Any:
        """Return the transform for SimpleITK, LPS mm."""
        in_lps = LPS @ self.fixed_to_moving @ LPS
        return simpleitk().AffineTransform(in_lps[:3, :3].ravel().tolist(), in_lps[:3, 3].tolist())


def shifted(offset_mm: Float[np.ndarray, "3"]) -> Rigid:
    """Return the transform that only shifts, mm, RAS+."""
    matrix = np.eye(4)
    matrix[:3, 3] = offset_mm
    return Rigid(matrix)


def from_euler(euler: Any) -> Rigid:
    """Return SimpleITK's Euler3DTransform as a transform of RAS positions."""
    turn = np.reshape(euler.GetMatrix(), (3, 3))
    centre = np.array(euler.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = np.array(euler.GetTranslation()) + centre - turn @ centre
    return Rigid(LPS @ matrix @ LPS)


SLICE_VOXELS = 128
"""Along and across a slice, as the contract has it."""


@dataclass(frozen=True)
class GridMm:
    """A grid without values; ``affine``: voxel index → position, mm, RAS+."""

    shape: tuple[int, int, int]
    affine: Float[np.ndarray, "4 4"]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along each axis, mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, mL."""
        return voxel_ml(self.affine)


def grid_of(volume: Volume) -> GridMm:
    """Return the grid of a volume."""
    x, y, z = volume.data.shape
    return GridMm((x, y, z), volume.affine)


def one_grid(volume: Volume, *, slice_voxels: int = SLICE_VOXELS) -> GridMm:
    """Return the grid of a case: that of its first SPECT/CT, with slices of 128 × 128 voxels.

    The field of view stays where it is; a field that is not square is widened about its
    middle. Slices, across the third axis, thinner than the new voxels are made as thick as these,
    which may let the last one reach beyond the field; thicker slices are kept. These choices are
    ours. A volume that has as many voxels already keeps its own grid.
    """
    own = grid_of(volume)
    if own.shape[:2] == (slice_voxels, slice_voxels):
        return own
    spacing_mm = np.array(volume.spacing_mm)
    field_mm = spacing_mm * own.shape
    side_mm = float(field_mm[:2].max()) / slice_voxels
    slice_mm = max(float(spacing_mm[2]), side_mm)
    slices = int(np.ceil(field_mm[2] / slice_mm - 1e-6))
    shape = (slice_voxels, slice_voxels, slices)
    new_mm = np.array([side_mm, side_mm, slice_mm])
    axes = own.affine[:3, :3] / spacing_mm
    # In-plane about the middle, along the slices from the first face.
    middle = (np.array(own.shape) - 1) / 2.0
    middle_mm = own.affine[:3, :3] @ middle + own.affine[:3, 3]
    from_middle_mm = -(np.array(shape) - 1) / 2.0 * new_mm
    from_middle_mm[2] = (slice_mm - field_mm[2]) / 2.0
    affine = np.eye(4)
    affine[:3, :3] = axes * new_mm
    affine[:3, 3] = middle_mm + axes @ from_middle_mm
    return GridMm(shape, affine)


def widened(grid: GridMm, points_mm: Float[np.ndarray, "points 3"]) -> tuple[GridMm, list[int]]:
    """Return a grid with whole voxels added until it holds points, and how many came first."""
    to_voxels = np.linalg.inv(grid.affine)
    at = points_mm @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    first = np.minimum(np.floor(at.min(axis=0)).astype(int), 0)
    last = np.maximum(np.ceil(at.max(axis=0)).astype(int), np.array(grid.shape) - 1)
    affine = grid.affine.copy()
    affine[:3, 3] = grid.affine[:3, :3] @ first + grid.affine[:3, 3]
    x, y, z = (int(count) for count in last - first + 1)
    return GridMm((x, y, z), affine), [int(-count) for count in first]

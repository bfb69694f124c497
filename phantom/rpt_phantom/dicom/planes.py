"""A volume as DICOM's slices: where each stands, and its values as 16-bit integers."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int16, Shaped, UInt16
from pydicom.dataset import Dataset
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.rtdose.reading import FrameGrid, to_frames

from rpt_phantom.dicom.header import decimal

LARGEST_SIGNED = 2**15 - 1
LARGEST_UNSIGNED = 2**16 - 1


@dataclass(frozen=True)
class Slices:
    """The slices of a volume, along the normal of their planes.

    Attributes:
        values: Shape (slice, row, column).
        grid: Where they stand, in the decimals that are written.
    """

    values: Shaped[np.ndarray, "slice row column"]
    grid: FrameGrid

    def position_mm(self, number: int) -> list[str]:
        """Return the centre of the first voxel of a slice, LPS, as it is written.

        Args:
            number: Of the slice, from 0.
        """
        affine = self.grid.affine
        return [decimal(round(value, 10)) for value in affine[:3, 3] + number * affine[:3, 2]]


def slices_of(volume: Volume, *, name: str) -> Slices:
    """Turn a volume into slices, transverse as nearly as its axes are.

    Args:
        volume: Values and affine, any axes at right angles.
        name: What an error calls it.

    Returns:
        The slices, every centre within 1e-3 mm of its own.

    Raises:
        BadInput: Fewer than two slices, values that are not finite, or a grid that DICOM cannot
            tell.
    """
    if min(volume.data.shape) < 2:
        raise BadInput(
            f"{name} must have 2 voxels or more along each axis, got shape {volume.data.shape}."
        )
    if not np.isfinite(volume.data).all():
        bad = int((~np.isfinite(volume.data)).sum())
        raise BadInput(
            f"{name} must be finite in every voxel, and in {bad} of {volume.data.size} it is not."
        )
    try:
        values, grid = to_frames(volume)
    except BadInput as error:  # its own message speaks of a dose
        raise BadInput(
            f"{name} must stand on a grid with axes at right angles and voxels of 0.1 to 50 mm, "
            "and it does not. Correct its affine."
        ) from error
    return Slices(values, grid)


def put_place(dataset: Dataset, slices: Slices, number: int) -> None:
    """Add the Image Plane module of one slice.

    Args:
        dataset: Single-frame image.
        slices: Of the volume.
        number: Of the slice, from 0.
    """
    dataset.ImagePositionPatient = slices.position_mm(number)
    dataset.ImageOrientationPatient = list(slices.grid.orientation)
    dataset.PixelSpacing = list(slices.grid.spacing_mm)
    dataset.SliceThickness = slices.grid.offsets_mm[1]


def put_pixels(
    dataset: Dataset,
    stored: Int16[np.ndarray, "row column"] | UInt16[np.ndarray, "... row column"],
) -> None:
    """Add 16-bit pixels, of one frame or of several."""
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = (
        np.ascontiguousarray(stored).astype(stored.dtype.newbyteorder("<")).tobytes()
    )
    dataset["PixelData"].VR = "OW"


def quantise_signed(
    values: Float[np.ndarray, "row column"],
) -> tuple[Int16[np.ndarray, "row column"], str]:
    """Store a slice as signed integers with a slope of its own.

    The slope is rounded to what a decimal string holds first; a value comes back within half of
    it.

    Args:
        values: Finite.

    Returns:
        The stored values, and the slope as it is to be written; 1 for a slice of zeros.
    """
    largest = float(np.abs(values).max())
    slope = f"{largest / LARGEST_SIGNED:.10e}" if largest > 0 else "1"
    stored = np.clip(np.rint(values / float(slope)), -LARGEST_SIGNED, LARGEST_SIGNED)
    return stored.astype(np.int16), slope


def quantise_counts(
    counts: Shaped[np.ndarray, "*shape"], *, name: str
) -> tuple[UInt16[np.ndarray, "*shape"], float]:
    """Store counts as unsigned integers: as they are where they fit, else with one slope.

    Args:
        counts: Counts, 0 or above.
        name: What an error calls them.

    Returns:
        The stored values, and the counts that one of them stands for.

    Raises:
        BadInput: Counts are negative or not finite, or there are none.
    """
    exact = np.asarray(counts, dtype=np.float64)
    if not (np.isfinite(exact).all() and exact.min() >= 0 and exact.max() > 0):
        raise BadInput(
            f"{name} must be finite, 0 or above and somewhere above 0, got {exact.min():g} to "
            f"{exact.max():g} counts."
        )
    stored = np.rint(exact)
    if exact.max() <= LARGEST_UNSIGNED and np.array_equal(stored, exact):
        return stored.astype(np.uint16), 1.0
    slope = float(exact.max()) / LARGEST_UNSIGNED
    return np.minimum(np.rint(exact / slope), LARGEST_UNSIGNED).astype(np.uint16), slope

"""The files of one cycle, read and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped
from rpt_cohort import BadInput, Volume, file_sha256, grid_fault, read_volume
from rpt_cohort.command import naming
from rpt_cohort.labels import LARGEST

from rpt_dosimetry.dose.activity_series import ActivitySeries, read_activities
from rpt_dosimetry.dose.density import check_hu, mass_density_g_per_ml
from rpt_dosimetry.dose.regions import LARGEST_LESION, Region, check_labels, find_regions
from rpt_dosimetry.nifti import HU, LESION_NUMBERS, ORGAN_NUMBERS, beside_of, check_beside


@dataclass(frozen=True)
class Files:
    """Where a cycle's images are.

    Attributes:
        activities: One a time point, in the order of the times.
        ct: CT in HU on the grid of the activities.
        organs: Organ numbers on that grid.
        lesions: Lesion numbers on that grid.
    """

    activities: Sequence[Path]
    ct: Path | None = None
    organs: Path | None = None
    lesions: Path | None = None

    def named(self) -> dict[str, Path]:
        """Return role → path, the JSONs beside the activities included.

        A file's own name may hold a patient's, and is not told.
        """
        paths = {f"activity_{i}": path for i, path in enumerate(self.activities, start=1)}
        beside = {f"json_{i}": beside_of(path) for i, path in enumerate(self.activities, start=1)}
        paths |= {role: path for role, path in beside.items() if path.is_file()}
        others = {"ct": self.ct, "organs": self.organs, "lesions": self.lesions}
        return paths | {role: path for role, path in others.items() if path is not None}

    def sha256(self) -> dict[str, str]:
        """Return role → SHA-256 of the file."""
        return {role: file_sha256(path) for role, path in self.named().items()}

    def check_there(self) -> None:
        """Refuse what is not there, before the long work of reading what is.

        Raises:
            BadInput: A path is no file.
        """
        for role, path in self.named().items():
            if not path.is_file():
                raise BadInput(
                    f"The file of {role} must be a NIfTI file, and there is none at '{path}'. "
                    "Check the path."
                )


@dataclass(frozen=True)
class CycleImages:
    """The images of one cycle on one grid.

    Attributes:
        series: The activities.
        density_g_per_ml: Of the CT, g/mL, shape (x, y, z); ``None`` without one.
        regions: The rows of the table.
    """

    series: ActivitySeries
    density_g_per_ml: Float64[np.ndarray, "x y z"] | None
    regions: list[Region]


def read_images(files: Files) -> CycleImages:
    """Read a cycle's images.

    Raises:
        BadInput: A file is broken, on another grid, or cannot be what it is given as.
    """
    series = read_activities(files.activities)
    organs = _labels(
        files.organs,
        series.grid,
        name="Organs (--organs)",
        largest=LARGEST,
        quantity=ORGAN_NUMBERS,
    )
    lesions = _labels(
        files.lesions,
        series.grid,
        name="Lesions (--lesions)",
        largest=LARGEST_LESION,
        quantity=LESION_NUMBERS,
    )
    density = None
    if files.ct is not None:
        ct = _on_grid(files.ct, series.grid, name="CT (--ct)")
        check_beside(files.ct, ct, name="CT (--ct)", quantity=HU)
        check_hu(ct, name="CT (--ct)")
        density = mass_density_g_per_ml(ct.data)
    regions = find_regions(shape=series.shape, organs=organs, lesions=lesions)
    return CycleImages(series, density, regions)


def _labels(
    path: Path | None, grid: Volume, *, name: str, largest: int, quantity: str
) -> Shaped[np.ndarray, "x y z"] | None:
    if path is None:
        return None
    mask = _on_grid(path, grid, name=name)
    check_beside(path, mask, name=name, quantity=quantity)
    check_labels(mask, name=name, largest=largest)
    return mask.data


def _on_grid(path: Path, grid: Volume, *, name: str) -> Volume:
    with naming(path):
        volume = read_volume(path, name=name)
        fault = grid_fault(volume, grid, name=name, like_name="the activity")
        if fault is not None:
            raise BadInput(fault)
    return volume

"""The work of the ``dose`` command: from files to a folder, whole or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped
from rpt_cohort import (
    BadInput,
    Volume,
    file_sha256,
    grid_fault,
    json_bytes,
    new_folder,
    nifti_bytes,
    provenance,
    read_volume,
)
from rpt_cohort.command import naming
from rpt_cohort.labels import LARGEST

from rpt_dosimetry.dose.activity_series import (
    ActivitySeries,
    Therapy,
    check_totals,
    read_activities,
)
from rpt_dosimetry.dose.calculation import Choices, CycleDose, calculate, refuse_rising_image
from rpt_dosimetry.dose.cumulative import SUMMARY, TABLE
from rpt_dosimetry.dose.density import check_hu, mass_density_g_per_ml
from rpt_dosimetry.dose.regions import LARGEST_LESION, Region, check_labels, find_regions
from rpt_dosimetry.dose.rows import table_csv
from rpt_dosimetry.dose.summary import doubts, summarise
from rpt_dosimetry.nifti import HU, LESION_NUMBERS, ORGAN_NUMBERS, beside_of, check_beside


@dataclass(frozen=True)
class Files:
    """Where a cycle's images are.

    Attributes:
        activities: One a time point, in the order of the times.
        ct: CT in HU on the grid of the activities.
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
        density_g_per_ml: Of the CT, g/mL, shape (x, y, z); ``None`` without one.
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


DOSE, DOSE_GY, TIA = "dose.nii.gz", "dose_gy.nii.gz", "tia.nii.gz"


def write_dose(
    files: Files,
    therapy: Therapy,
    choices: Choices,
    *,
    parameters: Mapping[str, Any],
    warnings: Sequence[str],
    out: Path,
) -> tuple[CycleDose, list[str]]:
    """Compute the dose of one cycle and write its folder.

    Args:
        parameters: What the provenance is to tell of them.
        warnings: What is to be told first.
        out: Folder to write; must be new or empty.

    Returns:
        The dose, and warnings, each a sentence.

    Raises:
        BadInput: Something given cannot be used; nothing is left behind.
    """
    with new_folder(out) as folder:
        images = read_images(files)
        _check_names(choices, images.regions)
        total = images.series.total_mbq()
        said = [*warnings, *check_totals(total, therapy, paths=files.activities)]
        refuse_rising_image(total)
        result = calculate(
            images.series,
            images.regions,
            therapy,
            choices,
            density_g_per_ml=images.density_g_per_ml,
        )
        said += doubts(therapy, choices, result)
        told = summarise(images.series, therapy, choices, result)
        told["warnings"] = said
        told["provenance"] = provenance(
            package="rpt-dosimetry",
            command="dose",
            parameters=parameters,
            inputs=files.sha256(),
            libraries=("icrp107-database", "nibabel", "numpy", "scipy", "xraydb"),
        )
        _write_maps(folder, images, result, therapy)
        (folder / TABLE).write_bytes(table_csv(result.rows))
        (folder / SUMMARY).write_bytes(json_bytes(told))
    return result, said


def _write_maps(folder: Path, images: CycleImages, result: CycleDose, therapy: Therapy) -> None:
    maps = {
        DOSE: result.dose_gy / therapy.net_gbq,
        DOSE_GY: result.dose_gy,
        TIA: result.tia.mbq_h_per_ml,
    }
    for name, values in maps.items():
        content = nifti_bytes(values, images.series.grid.affine, dtype=np.float32)
        (folder / name).write_bytes(content)


def _check_names(choices: Choices, regions: list[Region]) -> None:
    tissues = choices.told.tissues
    known = [region.name for region in regions]
    known += ["lesion"] if any(region.kind == "lesion" for region in regions) else []
    for name in [*tissues.alpha_beta_gy, *tissues.repair_half_time_h]:
        if name not in known:
            raise BadInput(
                f"--alpha-beta and --repair-half-time-h must name a region of the masks, one of "
                f"{', '.join(known)}, got '{name}'."
            )

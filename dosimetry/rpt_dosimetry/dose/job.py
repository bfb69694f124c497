"""The work of the ``dose`` command: from files to a folder, whole or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
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

from rpt_dosimetry.dose.activity_series import CycleImages, Therapy, read_activities
from rpt_dosimetry.dose.anatomy import check_hu
from rpt_dosimetry.dose.calculation import (
    ONE_SCAN,
    ORGAN,
    OWN,
    Choices,
    CycleDose,
    check_one_scan,
    cycle_dose,
)
from rpt_dosimetry.dose.cumulative import SUMMARY, TABLE
from rpt_dosimetry.dose.engines import find_engine
from rpt_dosimetry.dose.rows import Tissues, Told, table_csv
from rpt_dosimetry.dose.summary import summarise
from rpt_dosimetry.nifti import (
    HU,
    LARGEST_LESION,
    LESION_NUMBERS,
    ORGAN_NUMBERS,
    beside_of,
    check_beside,
    check_labels,
)
from rpt_dosimetry.options import DoseOptions
from rpt_dosimetry.tia.region_fit import (
    LONGEST_UPTAKE,
    POPULATION_UPTAKE_HALF_LIFE_H,
    check_model,
    check_uptake,
)


def resolve(options: DoseOptions, therapy: Therapy, *, masks: bool) -> DoseOptions:
    """Fill in what was left to the nuclide and the masks.

    Args:
        masks: Whether there are organs or lesions.

    Raises:
        BadInput: The options do not fit the scans or the nuclide.
    """
    half_life_h = therapy.nuclide.half_life_h
    if options.model not in ONE_SCAN:
        check_model(options.model, points=len(therapy.time_h), name="the regions")
    uptake_h = options.uptake_half_life_h
    if uptake_h is None:
        uptake_h = min(POPULATION_UPTAKE_HALF_LIFE_H, LONGEST_UPTAKE * half_life_h)
    check_uptake(uptake_h, half_life_h=half_life_h, name="the regions")
    check_one_scan(options.model, therapy, population_half_life_h=options.population_half_life_h)
    curve = options.voxel_curve or (ORGAN if masks else OWN)
    return options.model_copy(update={"voxel_curve": curve, "uptake_half_life_h": uptake_h})


def choices_of(
    options: DoseOptions,
    therapy: Therapy,
    *,
    masks: bool,
    calibration_relative_sd: float | None,
) -> Choices:
    """Return what ``cycle_dose`` takes of options; see ``resolve``."""
    options = resolve(options, therapy, masks=masks)
    recovery_pct = options.recovery_sd_pct
    return Choices(
        engine=find_engine(options.engine, therapy.nuclide),
        model=options.model,
        population_half_life_h=options.population_half_life_h,
        voxel_curve=options.voxel_curve or OWN,
        told=Told(
            Tissues(options.alpha_beta_gy, options.repair_half_time_h),
            calibration_relative_sd=calibration_relative_sd,
            fwhm_mm=options.fwhm_mm,
            recovery_relative_sd=None if recovery_pct is None else recovery_pct / 100.0,
        ),
        uptake_half_life_h=options.uptake_half_life_h or POPULATION_UPTAKE_HALF_LIFE_H,
        noise_floor_bq_per_ml=options.noise_floor_bq_per_ml,
    )


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
        """Refuse what is not there, before the long work of reading what is."""
        for role, path in self.named().items():
            if not path.is_file():
                raise BadInput(
                    f"The file of {role} must be a NIfTI file, and there is none at '{path}'. "
                    "Check the path."
                )


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


def write_dose(
    files: Files,
    therapy: Therapy,
    options: DoseOptions,
    *,
    warnings: Sequence[str],
    out: Path,
) -> tuple[CycleDose, list[str]]:
    """Compute the dose of one cycle and write its folder.

    Args:
        options: With the calibration's standard uncertainty, ``None`` where it is not known.
        warnings: What is to be told first.
        out: Folder to write; must be new or empty.

    Returns:
        The dose, and warnings, each a sentence.

    Raises:
        BadInput: Something given cannot be used; nothing is left behind.
    """
    masks = bool(files.organs or files.lesions)
    sd_pct = options.calibration_sd_pct
    choices = choices_of(
        options,
        therapy,
        masks=masks,
        calibration_relative_sd=None if sd_pct is None else sd_pct / 100.0,
    )
    parameters = {
        "time_h": list(therapy.time_h),
        "administered_mbq": therapy.administered_mbq,
        "residual_mbq": therapy.residual_mbq,
        "infusion_h": therapy.infusion_h,
        "nuclide": therapy.nuclide.name,
        **resolve(options, therapy, masks=masks).model_dump(mode="json"),
    }
    with new_folder(out) as folder:
        bq_per_ml, grid = read_activities(files.activities)
        organs = _labels(
            files.organs, grid, name="Organs (--organs)", largest=LARGEST, quantity=ORGAN_NUMBERS
        )
        lesions = _labels(
            files.lesions,
            grid,
            name="Lesions (--lesions)",
            largest=LARGEST_LESION,
            quantity=LESION_NUMBERS,
        )
        ct_hu = None
        if files.ct is not None:
            ct = _on_grid(files.ct, grid, name="CT (--ct)")
            check_beside(files.ct, ct, name="CT (--ct)", quantity=HU)
            check_hu(ct, name="CT (--ct)")
            ct_hu = ct.data
        images = CycleImages(
            bq_per_ml,
            grid.affine,
            organs=np.zeros(grid.data.shape, np.uint8) if organs is None else organs,
            lesions=lesions,
            known=np.ones(grid.data.shape, np.bool_),
            ct_hu=ct_hu,
            paths=files.activities,
        )
        result = cycle_dose(images, therapy, choices)
        told = summarise(images, therapy, choices, result)
        told["warnings"] = [*warnings, *told["warnings"]]
        told["provenance"] = provenance(
            package="rpt-dosimetry",
            command="dose",
            parameters=parameters,
            inputs=files.sha256(),
            libraries=("icrp107-database", "nibabel", "numpy", "scipy", "xraydb"),
        )
        for name, values in result.maps(therapy).items():
            (folder / name).write_bytes(nifti_bytes(values, grid.affine, dtype=np.float32))
        (folder / TABLE).write_bytes(table_csv(result.rows))
        (folder / SUMMARY).write_bytes(json_bytes(told))
    return result, list(told["warnings"])

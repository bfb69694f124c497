"""Read one therapy cycle's maps: PET, reference dose, organs, and where the dose is known."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Integer
from rpt_cohort import BadInput, Case, Cohort, Volume, grid_fault, read_volume
from rpt_cohort.checking import LARGEST

Against = Literal["measured", "truth"]
LARGEST_DOSE_GY_PER_GBQ = LARGEST["dose.nii.gz"][0]
REFERENCE_FILE: dict[Against, str] = {"measured": "dose.nii.gz", "truth": "truth/dose.nii.gz"}


@dataclass(frozen=True)
class CycleMaps:
    """One therapy cycle; every map on one grid.

    Attributes:
        case: Its entry in the cohort.
        suv: PET, g/mL.
        dose: Reference dose, Gy/GBq.
        organs: Ids of ``rpt_cohort.labels``; above 0 in the body.
        lesions: One number for each lesion, 0 elsewhere.
        known: Where the reference dose is known (the field of view).
        affine: Voxel index → position, mm, RAS+ world.
    """

    case: Case
    suv: Float32[np.ndarray, "x y z"]
    dose: Float32[np.ndarray, "x y z"]
    organs: Integer[np.ndarray, "x y z"]
    lesions: Integer[np.ndarray, "x y z"]
    known: Bool[np.ndarray, "x y z"]
    affine: np.ndarray

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each axis, mm."""
        return Volume(self.dose, self.affine).spacing_mm


def read_maps(cohort: Cohort, case: Case, *, against: Against = "measured") -> CycleMaps:
    """Read the maps of one case.

    Args:
        cohort: The cohort.
        case: One of its cases.
        against: Reference: the measured dose, or the virtual patient's true dose.

    Raises:
        BadInput: A map is missing, broken, not on the PET's grid, or holds what it cannot;
            truth is asked of a clinical cohort; the dose is known nowhere.
    """
    if against == "truth" and cohort.info.origin != "virtual":
        raise BadInput(
            "The true dose is known of virtual cohorts only, got a clinical one. "
            "Compare against the measured dose."
        )
    names = {"suv": "pet.nii.gz", "dose": REFERENCE_FILE[against], "organs": "organs.nii.gz"}
    names["known"] = "fov.nii.gz"
    if (cohort.folder(case) / "lesions.nii.gz").is_file():
        names["lesions"] = "lesions.nii.gz"
    volumes = {key: _read(cohort, case, name) for key, name in names.items()}
    for key, volume in volumes.items():
        name = f"{case.name}/{names[key]}"
        fault = grid_fault(volume, volumes["suv"], name=name, like_name="pet.nii.gz")
        if fault:
            raise BadInput(fault)
        if key in ("suv", "dose"):
            largest = LARGEST_DOSE_GY_PER_GBQ if key == "dose" else np.inf
            refuse_impossible(volume, name=name, largest=largest)
        elif volume.data.dtype.kind not in "iu":
            raise BadInput(f"{name} must hold whole numbers, got {volume.data.dtype}.")
    known = volumes["known"].data > 0
    if not known.any():
        raise BadInput(f"{case.name}/fov.nii.gz must be 1 where the dose is known, and is 0.")
    organs = volumes["organs"].data
    if not volumes["dose"].data[known & (organs > 0)].any():
        raise BadInput(
            f"{case.name}/{names['dose']} must be above 0 Gy/GBq somewhere in the body within the "
            "field of view, and is 0. Check dose, organs and fov."
        )
    return CycleMaps(
        case=case,
        suv=volumes["suv"].data.astype(np.float32),
        dose=volumes["dose"].data.astype(np.float32),
        organs=organs,
        lesions=volumes["lesions"].data if "lesions" in volumes else np.zeros_like(organs),
        known=known,
        affine=volumes["suv"].affine,
    )


def refuse_impossible(volume: Volume, *, name: str, largest: float = np.inf) -> None:
    """Raise BadInput where a map of SUV or dose is not finite, negative or above ``largest``."""
    if not np.isfinite(volume.data).all():
        count = int((~np.isfinite(volume.data)).sum())
        raise BadInput(f"{name} must be finite, got {count} voxels of NaN or infinity.")
    if volume.data.min() < 0:
        raise BadInput(f"{name} must not be negative, got a minimum of {volume.data.min():.6g}.")
    if volume.data.max() > largest:
        raise BadInput(
            f"{name} must be in Gy/GBq, got up to {volume.data.max():.6g}, which looks like Gy or "
            "mGy. Convert it."
        )


def _read(cohort: Cohort, case: Case, name: str) -> Volume:
    return read_volume(cohort.folder(case) / name, name=f"{case.name}/{name}")

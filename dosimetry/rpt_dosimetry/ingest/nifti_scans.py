"""Read scans that come as NIfTI: SUV, Bq/mL, counts and HU, with their sidecars."""

from typing import Any, get_args

import numpy as np
from rpt_cohort import BadInput, Volume, file_sha256, read_volume
from rpt_cohort.schema import Tracer
from rpt_cohort.volumes import turned_to_ras

from rpt_dosimetry.calibration.factor import Spect, Told, factor_beside
from rpt_dosimetry.dicom.nm import BQ_PER_ML
from rpt_dosimetry.dicom.nm import COUNTS as NM_COUNTS
from rpt_dosimetry.dose.density import check_hu
from rpt_dosimetry.ingest.stored import StoredPet, StoredSpect
from rpt_dosimetry.nifti import ACTIVITY, COUNTS, SUV, Nifti

_KG = (1.0, 500.0)


def pet_of_nifti(image: Nifti) -> StoredPet:
    """Read a PET in SUV, as the command ``suv`` writes it.

    Raises:
        BadInput: The sidecar says something else, or lacks activity or weight.
    """
    image.quantity(SUV)
    weight_kg = image.need("weight_kg")
    if not _KG[0] <= weight_kg <= _KG[1]:
        raise BadInput(
            f"weight_kg of the JSON beside the PET must be {_KG[0]:g} to {_KG[1]:g} kg, got "
            f"{weight_kg:g} kg."
        )
    tracer: Any = image.told.get("tracer") or "unknown"
    if tracer not in get_args(Tracer):
        raise BadInput(
            "tracer of the JSON beside the PET must be one of "
            f"{', '.join(get_args(Tracer))}, and it is not."
        )
    return StoredPet(
        suv=_values(image, name="The PET"),
        tracer=tracer,
        activity_mbq=image.need("injected_activity_mbq"),
        time_min=image.number("pet_time_min"),
        weight_kg=weight_kg,
        height_cm=image.number("height_cm"),
        injected=None,
        nuclide=None,
        branch="SUV in NIfTI",
        warnings=[],
    )


def spect_of_nifti(image: Nifti, told: Told) -> StoredSpect:
    """Read a SPECT in Bq/mL at mid-scan, as the command ``activity`` writes it, or in counts.

    Raises:
        BadInput: The sidecar says something else.
    """
    quantity = image.quantity(ACTIVITY, COUNTS)
    header_h = image.number("injection_to_mid_scan_h")
    spect = Spect(
        volume=_values(image, name="The SPECT"),
        quantity=BQ_PER_ML if quantity == ACTIVITY else NM_COUNTS,
        duration_s=told.duration_s or image.number("duration_s"),
        duration_branch="NIfTI",
        time_h=told.time_h or header_h,
        nuclide=image.text("nuclide"),
        sha256=file_sha256(image.path),
        factor=factor_beside(image.told) if quantity == ACTIVITY else None,
    )
    return StoredSpect(spect, header_h, None, image.number("injected_activity_mbq"))


def ct_of_nifti(image: Nifti) -> Volume:
    """Read a CT in HU.

    Raises:
        BadInput: Its values are no HU.
    """
    volume = _values(image, name="The CT")
    check_hu(volume, name="The CT")
    return volume


def _values(image: Nifti, *, name: str) -> Volume:
    stored = read_volume(image.path, name=name)
    image.refuse_other_voxels(stored)
    volume = turned_to_ras(stored)
    if not np.isfinite(volume.data).all():
        raise BadInput(f"{name} must be finite everywhere, and it is not. Write it anew.")
    return Volume(volume.data.astype(np.float32), volume.affine)

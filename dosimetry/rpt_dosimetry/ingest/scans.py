"""The scans of a cycle, from DICOM or NIfTI: PET as SUV, SPECT as activity, each with its CT.

The plan tells what is to be made of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from rpt_cohort import BadInput, Volume, file_sha256, read_volume
from rpt_cohort.schema import Tracer
from rpt_cohort.volumes import turned_to_ras

from rpt_dosimetry.calibration.factor import Spect as StoredImage
from rpt_dosimetry.calibration.factor import factor_beside, from_tomogram, read_factor
from rpt_dosimetry.calibration.image_based import ImageBased
from rpt_dosimetry.concentration import read_concentration, read_ct
from rpt_dosimetry.dicom.nm import BQ_PER_ML, RECON_TOMO, read_nm
from rpt_dosimetry.dicom.nm import COUNTS as NM_COUNTS
from rpt_dosimetry.dicom.reading import Moment
from rpt_dosimetry.dicom.spect import Tomogram, read_tomogram
from rpt_dosimetry.dose.anatomy import check_hu
from rpt_dosimetry.ingest.alignment import CohortGrid
from rpt_dosimetry.ingest.calibrating import NUCLIDE, Camera, calibrate
from rpt_dosimetry.ingest.sources import (
    ScanFiles,
    refuse_other_activity,
    refuse_other_infusion,
)
from rpt_dosimetry.ingest.study import CycleSource, PetSource, SpectSource, Study
from rpt_dosimetry.nifti import ACTIVITY, COUNTS, SUV, Nifti
from rpt_dosimetry.options import SpectOptions
from rpt_dosimetry.suv import convert

_KG = (1.0, 500.0)


def spect_of_nifti(image: Nifti, told: SpectOptions) -> StoredImage:
    """Read a SPECT in Bq/mL at mid-scan, as the command ``activity`` writes it, or in counts."""
    quantity = image.quantity(ACTIVITY, COUNTS)
    header_h = image.number("injection_to_mid_scan_h")
    return StoredImage(
        volume=_values(image, name="The SPECT"),
        quantity=BQ_PER_ML if quantity == ACTIVITY else NM_COUNTS,
        duration_s=told.duration_s or image.number("duration_s"),
        duration_branch="NIfTI",
        time_h=told.time_h or header_h,
        nuclide=image.text("nuclide"),
        sha256=file_sha256(image.path),
        factor=factor_beside(image.told) if quantity == ACTIVITY else None,
        header_h=header_h,
        told_mbq=image.number("injected_activity_mbq"),
    )


def _values(image: Nifti, *, name: str) -> Volume:
    stored = read_volume(image.path, name=name)
    image.refuse_other_voxels(stored)
    volume = turned_to_ras(stored)
    if not np.isfinite(volume.data).all():
        raise BadInput(f"{name} must be finite everywhere, and it is not. Write it anew.")
    return Volume(volume.data.astype(np.float32), volume.affine)


LARGEST_NEGATIVE = 0.01
"""Ours: of the activity; more below 0 than this, and the image is no concentration."""
SAME_TIME_H = 0.1
"""Ours: by which a header and the study may differ unremarked."""
_MIN_PER_S, _H_PER_S, _MBQ_PER_BQ = 1 / 60.0, 1 / 3600.0, 1e-6


@dataclass(frozen=True)
class Pet:
    """The PET/CT before the therapy.

    Attributes:
        suv: SUV, g/mL, nowhere below 0.
        ct: HU.
        activity_mbq: Injected activity.
        time_min: Injection to mid-scan.
        injected: When by its header, if told.
    """

    suv: Volume
    ct: Volume
    tracer: Tracer
    activity_mbq: float
    time_min: float
    weight_kg: float
    height_cm: float | None
    injected: Moment | None
    branch: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Spect:
    """One SPECT/CT.

    Attributes:
        bq_per_ml: Activity concentration at mid-scan, nowhere below 0.
        ct: HU; ``None`` where there is none.
        time_h: Start of infusion to mid-scan.
        told_mbq: Administered activity by its header; ``None`` where that does not tell it.
        infusion: Start of infusion by its header; ``None`` where that is not told, or where the
            study tells the time.
        calibration_relative_sd: Standard uncertainty of its calibration; ``None`` if not known.
    """

    bq_per_ml: Volume
    ct: Volume | None
    time_h: float
    told_mbq: float | None
    infusion: Moment | None
    calibration_relative_sd: float | None
    branch: str
    warnings: tuple[str, ...]


def read_pet(files: ScanFiles, source: PetSource) -> Pet:
    """Read the PET/CT, in SUV by its header or as the command ``suv`` wrote it.

    Raises:
        BadInput: It cannot become SUV, or its CT, tracer or time is missing.
    """
    image = files.emission
    if isinstance(image, Nifti):
        image.quantity(SUV)
        weight_kg, tracer, warnings = _told_weight_kg(image), _told_tracer(image), list[str]()
        suv, activity_mbq = _values(image, name="The PET"), image.need("injected_activity_mbq")
        time_min, height_cm = image.number("pet_time_min"), image.number("height_cm")
        injected, branch = None, "SUV in NIfTI"
    else:
        read = convert(image, tracer=source.tracer, warnings=files.warnings)
        if read.radiopharmaceutical.nuclide == NUCLIDE:
            raise BadInput(
                f"The PET must be of the diagnostic tracer, and its header names {NUCLIDE}, the "
                "therapy's. Name the folder of the PET."
            )
        weight_kg, tracer = read.patient.weight_kg, read.radiopharmaceutical.tracer
        suv, activity_mbq = read.volume, read.injection.activity_bq * _MBQ_PER_BQ
        time_min = None if read.mid_scan_s is None else read.mid_scan_s * _MIN_PER_S
        height_cm, injected = read.patient.height_cm, read.injected
        branch, warnings = read.factor.units_branch, list(read.warnings)
    ct = read_scan_ct(files)
    if ct is None:
        raise BadInput("The PET must have a CT, and has none. Name its folder by ct.")
    if source.tracer is not None and tracer not in ("unknown", source.tracer):
        raise BadInput(
            f"tracer must be what the PET's header names, {tracer}, got {source.tracer}. "
            "Leave it out."
        )
    time_min = time_min if source.time_min is None else source.time_min
    if time_min is None:
        raise BadInput(
            "The time from injection to the middle of the PET must be told, and its header does "
            "not tell it. Give pet.time_min."
        )
    return Pet(
        suv=_not_negative(suv, warnings),
        ct=ct[0],
        tracer=source.tracer or tracer,
        activity_mbq=activity_mbq,
        time_min=time_min,
        weight_kg=weight_kg,
        height_cm=height_cm,
        injected=injected,
        branch=branch,
        warnings=(*warnings, *ct[1]),
    )


def _told_weight_kg(image: Nifti) -> float:
    weight_kg = image.need("weight_kg")
    if not _KG[0] <= weight_kg <= _KG[1]:
        raise BadInput(
            f"weight_kg of the JSON beside the PET must be {_KG[0]:g} to {_KG[1]:g} kg, got "
            f"{weight_kg:g} kg."
        )
    return weight_kg


def _told_tracer(image: Nifti) -> Tracer:
    tracer: Any = image.told.get("tracer") or "unknown"
    if tracer not in get_args(Tracer):
        raise BadInput(
            "tracer of the JSON beside the PET must be one of "
            f"{', '.join(get_args(Tracer))}, and it is not."
        )
    return cast(Tracer, tracer)


def read_spect(files: ScanFiles, source: SpectSource, camera: Camera) -> Spect:
    """Read one SPECT/CT.

    Raises:
        BadInput: It cannot become an activity concentration of Lu-177, or its time is missing.
    """
    warnings = list(files.warnings)
    image = read_stored(files, source)
    warnings += image.warnings
    if image.nuclide not in (None, NUCLIDE):
        raise BadInput(f"The SPECT must be of {NUCLIDE}, and its header names {image.nuclide}.")
    _compare_times(image, warnings, by_json=isinstance(files.emission, Nifti))
    found = calibrate(image, source, camera)
    warnings += found.warnings
    ct = read_scan_ct(files)
    return Spect(
        bq_per_ml=_not_negative(found.volume, warnings),
        ct=None if ct is None else ct[0],
        time_h=image.needed_time_h,
        told_mbq=image.told_mbq,
        infusion=image.infusion if source.time_h is None else None,
        calibration_relative_sd=found.relative_sd,
        branch=f"{image.duration_branch}; {found.branch}" if files.is_nm else found.branch,
        warnings=(*warnings, *(() if ct is None else ct[1])),
    )


def _compare_times(image: StoredImage, warnings: list[str], *, by_json: bool) -> None:
    """Refuse a time that a JSON contradicts, as ``dose`` does; a scanner's clock can be wrong."""
    time_h, header_h = image.time_h, image.header_h
    if time_h is None or header_h is None or abs(time_h - header_h) <= SAME_TIME_H:
        return
    if by_json:
        raise BadInput(
            f"time_h must be the {header_h:.6g} h that the JSON beside the image tells, to "
            f"{SAME_TIME_H:g} h, got {time_h:.6g} h. Leave time_h out, or correct "
            "injection_to_mid_scan_h in the JSON."
        )
    warnings.append(
        f"Its header puts it {header_h:.4g} h after the start of infusion, the study {time_h:.4g} "
        "h; the study's was taken."
    )


def read_stored(files: ScanFiles, source: SpectSource) -> StoredImage:
    """Read a SPECT in the unit it came in: Bq/mL at mid-scan, or counts."""
    if isinstance(files.emission, Nifti):
        return spect_of_nifti(files.emission, source)
    if files.is_nm:
        return from_tomogram(read_nm_spect(files, source), source)
    read = read_concentration(files.emission)
    after_s, told_bq = read.injection_to_mid_scan_s, read.injected_activity_bq
    header_h = None if after_s is None else after_s * _H_PER_S
    return StoredImage(
        volume=read.volume,
        quantity=BQ_PER_ML,
        duration_s=None,
        duration_branch=read.decay.decay_branch,
        time_h=header_h if source.time_h is None else source.time_h,
        nuclide=read.nuclide,
        sha256="",
        warnings=list(read.warnings),
        header_h=header_h,
        infusion=read.administered,
        told_mbq=None if told_bq is None else told_bq * _MBQ_PER_BQ,
    )


def read_nm_spect(files: ScanFiles, source: SpectSource) -> Tomogram:
    """Read the NM object of a SPECT."""
    return read_tomogram(
        read_nm(files.emission_paths[0], kind=RECON_TOMO),
        heads=source.heads,
        duration_s=source.duration_s,
        decay_reference=source.decay_reference,
    )


def read_scan_ct(files: ScanFiles) -> tuple[Volume, list[str]] | None:
    """Read the CT of a scan, HU, with its warnings; ``None`` where it has none."""
    if files.ct is None:
        return None
    if isinstance(files.ct, Nifti):
        volume = _values(files.ct, name="The CT")
        check_hu(volume, name="The CT")
        return volume, []
    ct = read_ct(files.ct)
    return ct.volume, ct.warnings


def calibration_sha256(source: SpectSource, root: Path) -> str | None:
    """Return the hash of a SPECT's calibration; ``None`` where it has none."""
    if source.calibration is None:
        return None
    read_factor(root / source.calibration)
    return file_sha256(root / source.calibration)


def _not_negative(volume: Volume, warnings: list[str]) -> Volume:
    below = float(volume.data[volume.data < 0].sum(dtype=np.float64))
    if not below:
        return volume
    share = -below / float(np.abs(volume.data).sum(dtype=np.float64))
    if share > LARGEST_NEGATIVE:
        raise BadInput(
            f"Values below 0 must be at most {LARGEST_NEGATIVE:.0%} of the image, and they are "
            f"{share:.1%}. Export an image without them."
        )
    warnings.append(f"Values below 0, {share:.2g} of the image, were set to 0.")
    return Volume(np.maximum(volume.data, np.float32(0)), volume.affine)


LARGEST_DIFFERENCE = 0.05
"""Ours: of the activity that a header tells from the study's; headers may leave out residuals."""


@dataclass(frozen=True)
class Plan:
    """One cycle to be made, checked as far as headers tell.

    Attributes:
        inputs: Role → SHA-256 over its files.
        parameters: What the result depends on beside them.
        fingerprint: By which the finished cycle is known.
    """

    cycle: CycleSource
    study: Study
    root: Path
    grid: CohortGrid
    inputs: dict[str, str]
    parameters: dict[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class Scans:
    """The scans of a cycle as read; ``files``: ``pet``, ``spect 1`` … → its series."""

    pet: Pet
    spects: list[Spect]
    first_ct: Volume
    files: dict[str, ScanFiles]
    planar: ImageBased | None = None

    def drawn_on(self, scan: str) -> tuple[Volume, str]:
        """Return the CT of ``spect_ct`` (the first SPECT) or ``pet_ct``, and its frame's UID."""
        uid = self.files["pet" if scan == "pet_ct" else "spect 1"].frame_uid
        return (self.pet.ct if scan == "pet_ct" else self.first_ct), uid

    def warnings(self) -> list[str]:
        """Return what was told while reading, each sentence after its role."""
        of = {"pet": self.pet.warnings}
        of |= {f"spect {n}": spect.warnings for n, spect in enumerate(self.spects, start=1)}
        if self.planar is not None:
            of["planar"] = tuple(self.planar.warnings)
        return [f"{role}: {sentence}" for role, told in of.items() for sentence in told]

    def refuse_other_infusions(self) -> None:
        """Refuse SPECTs whose headers put the start of infusion at different moments."""
        told = {f"spect {n}": one.infusion for n, one in enumerate(self.spects, start=1)}
        known = [(role, begin) for role, begin in told.items() if begin is not None]
        for role, begin in known[1:]:
            refuse_other_infusion(role, begin, *known[0])

    def order_warnings(self) -> list[str]:
        """Say that the PET came after the therapy had begun, where the headers tell it."""
        told = [one.infusion for one in self.spects if one.infusion is not None]
        if not told or self.pet.injected is None:
            return []
        after_h = self.pet.injected.hours_after(told[0])
        if after_h <= 0:
            return []
        return [
            f"pet: It was injected {after_h:.4g} h after the start of infusion: a PET of before "
            "the therapy is wanted."
        ]

    def activity_warnings(self, cycle: CycleSource) -> list[str]:
        """Say which SPECT's header tells another activity than the study, a sentence each.

        Raises:
            BadInput: One tells less than half or more than twice of it, unless the study says
                that activities differ.
        """
        administered_mbq = cycle.administered_mbq
        told = {f"spect {n}": spect.told_mbq for n, spect in enumerate(self.spects, start=1)}
        if not cycle.activities_differ:
            for role, mbq in told.items():
                refuse_other_activity(role, mbq, administered_mbq)
        return [
            f"{role}: Its header tells {mbq:.5g} MBq administered, the study "
            f"{administered_mbq:.5g} MBq; the study's was taken."
            for role, mbq in told.items()
            if mbq is not None and abs(mbq / administered_mbq - 1.0) > LARGEST_DIFFERENCE
        ]


def largest_calibration_sd(spects: Sequence[Spect]) -> float | None:
    """Return the largest relative uncertainty of the SPECTs' calibration; ``None`` if one lacks."""
    known = [
        one.calibration_relative_sd for one in spects if one.calibration_relative_sd is not None
    ]
    return max(known) if len(known) == len(spects) else None

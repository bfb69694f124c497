"""Read a scan: the PET as SUV, a SPECT as activity concentration, each with its CT."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rpt_cohort import BadInput, Volume, file_sha256
from rpt_cohort.schema import Tracer

from rpt_dosimetry.calibration.conversion import concentration_bq_per_ml, read_factor
from rpt_dosimetry.calibration.factor import SpectCounts
from rpt_dosimetry.concentration import read_concentration
from rpt_dosimetry.ct import read_ct
from rpt_dosimetry.ingest.sources import ScanFiles
from rpt_dosimetry.ingest.study import PetSource, SpectSource
from rpt_dosimetry.nm.reading import RECON_TOMO, read_nm
from rpt_dosimetry.nm.tomogram import Tomogram, read_tomogram
from rpt_dosimetry.nm.values import COUNTS
from rpt_dosimetry.suv import convert

NUCLIDE = "Lu-177"
LARGEST_NEGATIVE = 0.01
"""Ours: of the activity; more below 0 than this, and the image is no concentration."""
_MIN_PER_S, _H_PER_S, _MBQ_PER_BQ = 1 / 60.0, 1 / 3600.0, 1e-6


@dataclass(frozen=True)
class Pet:
    """The PET/CT before the therapy.

    Attributes:
        suv: SUV, g/mL, nowhere below 0.
        ct: CT, HU.
        tracer: The contract's name.
        activity_mbq: Injected activity, MBq.
        time_min: Injection to mid-scan, min.
        weight_kg: Of the patient, kg.
        height_cm: Of the patient, cm; ``None`` where it is not told.
        branch: How the SUV was found.
        warnings: A sentence each.
    """

    suv: Volume
    ct: Volume
    tracer: Tracer
    activity_mbq: float
    time_min: float
    weight_kg: float
    height_cm: float | None
    branch: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Spect:
    """One SPECT/CT.

    Attributes:
        bq_per_ml: Activity concentration at mid-scan, Bq/mL, nowhere below 0.
        ct: CT, HU; ``None`` where there is none.
        time_h: Start of infusion to mid-scan, h.
        told_mbq: Administered activity as its header tells it, MBq; ``None`` where it does not.
        branch: How the activity was found.
        warnings: A sentence each.
    """

    bq_per_ml: Volume
    ct: Volume | None
    time_h: float
    told_mbq: float | None
    branch: str
    warnings: tuple[str, ...]


def read_pet(files: ScanFiles, source: PetSource) -> Pet:
    """Read the PET/CT.

    Raises:
        BadInput: It cannot become SUV, or its CT, tracer or time is missing.
    """
    suv = convert(files.emission, warnings=files.warnings)
    warnings = list(suv.warnings)
    if files.ct is None:
        raise BadInput("The PET must have a CT, and has none. Name its folder by ct.")
    ct = read_ct(files.ct, warnings=())
    tracer = suv.radiopharmaceutical.tracer
    if source.tracer is not None:
        if tracer not in ("unknown", source.tracer):
            raise BadInput(
                f"tracer must be what the PET's header names, {tracer}, got {source.tracer}. "
                "Leave it out."
            )
        tracer = source.tracer
    time_min = source.time_min
    if time_min is None and suv.mid_scan_s is not None:
        time_min = suv.mid_scan_s * _MIN_PER_S
    if time_min is None:
        raise BadInput(
            "The time from injection to the middle of the PET must be told, and its header does "
            "not tell it. Give pet.time_min."
        )
    return Pet(
        suv=_not_negative(suv.volume, warnings),
        ct=ct.volume,
        tracer=tracer,
        activity_mbq=suv.injection.activity_bq * _MBQ_PER_BQ,
        time_min=time_min,
        weight_kg=suv.patient.weight_kg,
        height_cm=suv.patient.height_cm,
        branch=suv.factor.units_branch,
        warnings=(*warnings, *ct.warnings),
    )


@dataclass(frozen=True)
class _Activity:
    """What PT and NM images both tell."""

    bq_per_ml: Volume
    after_s: float | None
    told_mbq: float | None
    nuclide: str | None
    branch: str


def read_spect(files: ScanFiles, source: SpectSource, root: Path) -> Spect:
    """Read one SPECT/CT.

    Args:
        files: Its series.
        source: What the study tells of it.
        root: The study's folder.

    Raises:
        BadInput: It cannot become an activity concentration of Lu-177, or its time is missing.
    """
    warnings = list(files.warnings)
    read = _of_nm if files.is_nm else _of_pt
    found = read(files, source, root, warnings)
    if found.nuclide not in (None, NUCLIDE):
        raise BadInput(f"The SPECT must be of {NUCLIDE}, and its header names {found.nuclide}.")
    header_h = None if found.after_s is None else found.after_s * _H_PER_S
    time_h = header_h if source.time_h is None else source.time_h
    if time_h is None:
        raise BadInput(
            "The time from the start of infusion to the middle of the SPECT must be told, and its "
            "header does not tell it. Give time_h."
        )
    ct = None if files.ct is None else read_ct(files.ct)
    return Spect(
        bq_per_ml=_not_negative(found.bq_per_ml, warnings),
        ct=None if ct is None else ct.volume,
        time_h=time_h,
        told_mbq=found.told_mbq,
        branch=found.branch,
        warnings=(*warnings, *(() if ct is None else ct.warnings)),
    )


def read_nm_spect(files: ScanFiles, source: SpectSource) -> Tomogram:
    """Read the NM object of a SPECT."""
    return read_tomogram(read_nm(files.emission.files[0].path, kind=RECON_TOMO), heads=source.heads)


def _of_pt(files: ScanFiles, source: SpectSource, root: Path, warnings: list[str]) -> _Activity:
    """Read a SPECT that is stored as PET; it is calibrated already."""
    if source.calibration is not None:
        raise BadInput("calibration must be left out for a SPECT in Bq/mL, and it is given.")
    read = read_concentration(files.emission)
    warnings += read.warnings
    told_bq = read.injected_activity_bq
    return _Activity(
        bq_per_ml=read.volume,
        after_s=read.injection_to_mid_scan_s,
        told_mbq=None if told_bq is None else told_bq * _MBQ_PER_BQ,
        nuclide=read.nuclide,
        branch=f"Bq/mL, {read.decay.decay_branch}",
    )


def _of_nm(files: ScanFiles, source: SpectSource, root: Path, warnings: list[str]) -> _Activity:
    """Read an NM object: counts by a calibration, or Bq/mL."""
    read = read_nm_spect(files, source)
    warnings += read.warnings
    if (read.scaling.quantity == COUNTS) != (source.calibration is not None):
        raise BadInput(
            "calibration must be given with a SPECT in counts, and not with one in Bq/mL; this "
            f"one is in {read.scaling.quantity}."
        )
    volume, branch = read.volume, f"NM in {read.scaling.quantity}"
    if source.calibration is not None:
        duration_s = source.duration_s or read.times.duration_s
        if duration_s is None:
            raise BadInput(
                "The duration of the SPECT must be told, and its header does not tell it. Give "
                "duration_s."
            )
        total = SpectCounts(float(volume.data.sum(dtype=np.float64)), duration_s)
        factor = read_factor(root / source.calibration)
        data = concentration_bq_per_ml(volume, factor=factor, spect=total)
        volume = Volume(data.astype(np.float32), volume.affine)
        branch += f", {factor.cps_per_mbq:.6g} cps/MBq, {duration_s:g} s"
    administered = read.administration
    return _Activity(
        volume,
        read.injection_to_mid_scan_s,
        administered.activity_mbq,
        administered.nuclide,
        branch,
    )


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

"""The SPECT that is calibrated or converted: an NM object, or NIfTI with its times told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rpt_cohort import BadInput, Volume, file_sha256, read_volume

from rpt_dosimetry.calibration.dead_time import DeadTime
from rpt_dosimetry.calibration.factor import CalibrationFactor
from rpt_dosimetry.dicom.nm import COUNTS, RECON_TOMO, read_nm
from rpt_dosimetry.dicom.spect import Tomogram, read_tomogram

_NIFTI = (".nii", ".nii.gz")
_S_PER_H = 3600.0


@dataclass(frozen=True)
class Told:
    """What the user told of a SPECT; ``None`` takes it from the NM object.

    Attributes:
        duration_s: Of the scan, s.
        time_h: Start of infusion to mid-scan, h.
        heads: Detector heads of the camera.
        decay_reference: See ``read_tomogram``.
    """

    duration_s: float | None
    time_h: float | None
    heads: int
    decay_reference: str | None = None


@dataclass(frozen=True)
class Spect:
    """A reconstructed SPECT.

    Attributes:
        volume: Counts or Bq/mL, RAS+ as read.
        quantity: ``counts`` or ``Bq/mL``.
        duration_s: Of the scan, s; ``None`` where nothing tells it.
        duration_branch: How it was found.
        time_h: Start of infusion to mid-scan, h; ``None`` where nothing tells it.
        nuclide: As the NM object codes it; ``None`` where it does not.
        sha256: Of the file, in hex.
        warnings: A sentence each.
        factor: By which its Bq/mL were made of counts; ``None`` where nothing tells it.
    """

    volume: Volume
    quantity: str
    duration_s: float | None
    duration_branch: str
    time_h: float | None
    nuclide: str | None
    sha256: str
    warnings: list[str] = field(default_factory=list)
    factor: CalibrationFactor | None = None

    @property
    def needed_duration_s(self) -> float:
        """The duration, s.

        Raises:
            BadInput: Nothing tells it.
        """
        if self.duration_s is None:
            raise BadInput(
                "The duration of the SPECT must be told, and its header does not tell it. Give "
                "duration_s."
            )
        return self.duration_s

    @property
    def needed_time_h(self) -> float:
        """Start of infusion to mid-scan, h.

        Raises:
            BadInput: Nothing tells it.
        """
        if self.time_h is None:
            raise BadInput(
                "The time from the start of infusion to the middle of the SPECT must be told, and "
                "its header does not tell it. Give time_h."
            )
        return self.time_h


def read_spect(path: Path, told: Told) -> Spect:
    """Read a reconstructed SPECT.

    Args:
        path: A NIfTI file of counts, an NM file, or a folder with one NM series of it.
        told: What goes before the header.

    Returns:
        The volume and its times.

    Raises:
        BadInput: It cannot be read, or is no SPECT.
    """
    if told.duration_s is not None and not 0 < told.duration_s < np.inf:
        raise BadInput(f"duration_s must be above 0 s, got {told.duration_s!r} s.")
    if path.name.endswith(_NIFTI):
        return _from_nifti(path, told)
    warnings: list[str] = []
    tomogram = read_tomogram(
        read_nm(path, kind=RECON_TOMO, warnings=warnings),
        heads=told.heads,
        duration_s=told.duration_s,
        decay_reference=told.decay_reference,
    )
    return from_tomogram(tomogram, told, warnings=warnings)


def from_tomogram(tomogram: Tomogram, told: Told, *, warnings: Sequence[str] = ()) -> Spect:
    """Take a SPECT from reconstructed tomography; what is told goes before its header."""
    after_s = tomogram.injection_to_mid_scan_s
    tag_h = None if after_s is None else after_s / _S_PER_H
    return Spect(
        volume=tomogram.volume,
        quantity=tomogram.scaling.quantity,
        duration_s=tomogram.times.duration_s,
        duration_branch=tomogram.times.branch,
        time_h=tag_h if told.time_h is None else told.time_h,
        nuclide=tomogram.administration.nuclide,
        sha256=tomogram.sha256,
        warnings=[*warnings, *tomogram.warnings],
    )


def _from_nifti(path: Path, told: Told) -> Spect:
    volume = read_volume(path, name="The SPECT")
    if not np.isfinite(volume.data).all():
        raise BadInput("The SPECT must be finite everywhere, and it is not. Write it anew.")
    return Spect(volume, COUNTS, told.duration_s, "told", told.time_h, None, file_sha256(path), [])


def dead_time_correction(
    dead_time: DeadTime | None, *, observed_cps: float | None, tau_relative_sd: float
) -> tuple[float, float | None]:
    """Return true over recorded counts, and its relative standard uncertainty by that of τ.

    Args:
        dead_time: ``None`` corrects nothing, and nobody knows what was lost.
        observed_cps: Mean rate of one head in the window of τ during the SPECT, 1/s.
        tau_relative_sd: Standard uncertainty of τ over τ.

    Raises:
        BadInput: One of dead time and rate is missing, or they do not fit.
    """
    if (dead_time is None) != (observed_cps is None):
        raise BadInput(
            "tau_us and spect_cps must come together: reconstructed counts do not tell how "
            "many a head recorded. Take the rate from the projections."
        )
    if dead_time is None or observed_cps is None:
        return 1.0, None
    if not 0 <= tau_relative_sd < 1:
        raise BadInput(f"tau_sd_pct must be from 0 to below 100 %, got {tau_relative_sd:.1%}.")
    low, middle, high = (
        DeadTime(dead_time.tau_us * (1.0 + sign * tau_relative_sd), dead_time.model).correction(
            observed_cps
        )
        for sign in (-1, 0, 1)
    )
    return middle, (high - low) / 2.0 / middle

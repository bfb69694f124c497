"""The calibration factor, counts per second and activity: what it is uncertain by, and its use."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from rpt_cohort import (
    BadInput,
    Volume,
    file_sha256,
    json_bytes,
    nifti_bytes,
    provenance,
    read_volume,
)

from rpt_dosimetry.calibration.counts import true_over_observed
from rpt_dosimetry.dicom.nm import BQ_PER_ML, COUNTS, RECON_TOMO, read_nm
from rpt_dosimetry.dicom.reading import Moment
from rpt_dosimetry.dicom.spect import Tomogram, read_tomogram
from rpt_dosimetry.nifti import voxel_ml
from rpt_dosimetry.options import DeadTime, SpectOptions

LARGEST_CPS_PER_MBQ = 1e4
"""Ours: a collimator passes about 1 photon in 10⁴, some 10 to 100 cps/MBq with two heads."""


@dataclass(frozen=True)
class CalibrationFactor:
    """A calibration factor.

    Attributes:
        cps_per_mbq: Counts of the reconstructed image per second and MBq.
        relative_sd: Part → standard uncertainty over the factor; ``None`` where it is not known.
    """

    cps_per_mbq: float
    relative_sd: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a factor or an uncertainty that cannot be."""
        if not 0 < self.cps_per_mbq <= LARGEST_CPS_PER_MBQ:
            raise BadInput(
                f"The factor must be above 0 and at most {LARGEST_CPS_PER_MBQ:g} cps/MBq, got "
                f"{self.cps_per_mbq!r} cps/MBq."
            )
        for part, sd in self.relative_sd.items():
            if sd is not None and not 0 <= sd <= 1:
                raise BadInput(f"The uncertainty of {part} must be from 0 to 100 %, got {sd:.1%}.")

    @property
    def total_relative_sd(self) -> float | None:
        """Root of the sum of the squares of the parts; ``None`` where one is not known."""
        known = [sd for sd in self.relative_sd.values() if sd is not None]
        return math.hypot(*known) if known and len(known) == len(self.relative_sd) else None

    @property
    def why_no_total(self) -> str | None:
        """Why there is no total, a sentence; ``None`` where there is one."""
        if self.total_relative_sd is not None:
            return None
        unknown = [part for part, sd in self.relative_sd.items() if sd is None]
        return (
            "The factor's uncertainty has no total, because it is not told what it is uncertain "
            f"by through {' and '.join(unknown) or 'anything'}; the parts that are known stand by "
            "themselves."
        )


@dataclass(frozen=True)
class SpectCounts:
    """A SPECT as the factor sees it.

    Attributes:
        counts: Sum over the reconstructed image, corrected for attenuation and scatter.
        dead_time_correction: True over recorded counts, 1 or above.
    """

    counts: float
    duration_s: float
    dead_time_correction: float = 1.0

    def __post_init__(self) -> None:
        """Refuse counts and durations that cannot be."""
        if not 0 < self.counts < math.inf:
            raise BadInput(f"The SPECT must hold counts above 0, got {self.counts!r}.")
        if not 0 < self.duration_s < math.inf:
            raise BadInput(f"duration_s must be above 0 s, got {self.duration_s!r} s.")
        if not self.dead_time_correction >= 1:
            raise BadInput(
                f"The dead-time correction must be 1 or above, got {self.dead_time_correction!r}."
            )

    @property
    def true_cps(self) -> float:
        """Counts per second, had none been lost."""
        return self.counts * self.dead_time_correction / self.duration_s


def image_based_factor(
    spect: SpectCounts,
    *,
    net_administered_mbq: float,
    elapsed_h: float,
    half_life_h: float,
    in_field: float,
    retained: float,
    relative_sd: Mapping[str, float | None],
) -> CalibrationFactor:
    """Calibrate a SPECT by the activity in its field of view.

    cps/MBq = counts / duration / (A₀ · 2^(−t/T) · retained · in_field).

    Args:
        net_administered_mbq: A₀, residual subtracted, at the start of infusion, MBq.
        elapsed_h: t, start of infusion to mid-scan, h.
        half_life_h: T, physical, h.
        in_field: Fraction of the body's activity in the field of view.
        retained: Fraction not excreted.
        relative_sd: Part → standard uncertainty over the factor; counting is added.

    Source: Halty et al., EJNMMI Phys 5 (2018) 11. Counting is 1/√counts, which reconstruction and
    corrections raise somewhat; it is below 0.1 % in therapy.
    """
    for name, value in (("in_field", in_field), ("retained", retained)):
        if not 0 < value <= 1:
            raise BadInput(f"{name} must be a fraction above 0 and at most 1, got {value!r}.")
    if not 0 < net_administered_mbq < math.inf:
        raise BadInput(f"net_administered_mbq must be above 0 MBq, got {net_administered_mbq!r}.")
    if not 0 <= elapsed_h < math.inf:
        raise BadInput(f"elapsed_h must be 0 h or above, got {elapsed_h!r} h.")
    if not 0 < half_life_h < math.inf:
        raise BadInput(f"half_life_h must be above 0 h, got {half_life_h!r} h.")
    left_mbq = net_administered_mbq * math.pow(2.0, -elapsed_h / half_life_h)
    parts = dict(relative_sd) | {"counting": 1.0 / math.sqrt(spect.counts)}
    return CalibrationFactor(spect.true_cps / (left_mbq * retained * in_field), parts)


QUANTITY = "SPECT calibration factor, cps/MBq"
_BQ_PER_MBQ = 1e6


def concentration_bq_per_ml(
    counts: Volume, *, factor: CalibrationFactor, spect: SpectCounts
) -> Float64[np.ndarray, "x y z"]:
    """Convert reconstructed counts to activity concentration at the time of the scan.

    Args:
        counts: Reconstructed counts, corrected for attenuation and scatter as those were by which
            the factor was found.

    Returns:
        Bq/mL, shape (x, y, z).
    """
    per_count = spect.dead_time_correction / spect.duration_s / factor.cps_per_mbq
    values: Float64[np.ndarray, "x y z"] = counts.data.astype(np.float64)
    return values * (per_count * _BQ_PER_MBQ / voxel_ml(counts.affine))


def read_factor(path: Path) -> CalibrationFactor:
    """Read the factor of a CALIBRATION.json."""
    if not path.exists():
        raise BadInput(
            "The calibration must be a JSON that calibrate wrote, and there is no such file. Check "
            "the path."
        )
    try:
        content: Any = json.loads(path.read_bytes())
        if content["quantity"] != QUANTITY:
            raise ValueError("another quantity")
        cps_per_mbq, parts = _story(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            "The calibration must be a JSON that calibrate wrote, and it is not. Run calibrate "
            "first."
        ) from error
    return CalibrationFactor(cps_per_mbq, parts)


def factor_beside(told: Mapping[str, Any]) -> CalibrationFactor | None:
    """Take the factor by which an activity was made from the JSON beside it.

    Returns:
        The factor; ``None`` where the JSON tells of none, as that of ``activity``.

    Raises:
        BadInput: It tells of one otherwise than ``calibrate`` does.
    """
    if "relative_sd_pct" not in told:
        return None
    try:
        cps_per_mbq, parts = _story(told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            "cps_per_mbq and relative_sd_pct of the JSON beside the image must be as calibrate "
            "writes them, and they are not. Convert the counts anew."
        ) from error
    return CalibrationFactor(cps_per_mbq, parts)


def _story(told: Mapping[str, Any]) -> tuple[float, dict[str, float | None]]:
    return float(told["cps_per_mbq"]), {
        str(part): None if pct is None else float(pct) / 100.0
        for part, pct in told["relative_sd_pct"].items()
    }


_NIFTI = (".nii", ".nii.gz")
_S_PER_H = 3600.0


@dataclass(frozen=True)
class Spect:
    """A reconstructed SPECT.

    Attributes:
        volume: Counts or Bq/mL, RAS+ as read.
        quantity: ``counts`` or ``Bq/mL``.
        duration_s: Of the scan, s; ``None`` where nothing tells it.
        time_h: Start of infusion to mid-scan, h; ``None`` where nothing tells it.
        nuclide: As the NM object codes it; ``None`` where it does not.
        factor: By which its Bq/mL were made of counts; ``None`` where nothing tells it.
        header_h: Start of infusion to mid-scan by the header, h, whatever the user told.
        infusion: Start of infusion by the header, if told.
        told_mbq: Administered activity by the header, MBq, if told.
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
    header_h: float | None = None
    infusion: Moment | None = None
    told_mbq: float | None = None

    @property
    def needed_duration_s(self) -> float:
        """The duration, s."""
        if self.duration_s is None:
            raise BadInput(
                "The duration of the SPECT must be told, and its header does not tell it. Give "
                "duration_s."
            )
        return self.duration_s

    @property
    def needed_time_h(self) -> float:
        """Start of infusion to mid-scan, h."""
        if self.time_h is None:
            raise BadInput(
                "The time from the start of infusion to the middle of the SPECT must be told, and "
                "its header does not tell it. Give time_h."
            )
        return self.time_h


def read_spect(path: Path, told: SpectOptions, *, series: str | None = None) -> Spect:
    """Read a reconstructed SPECT.

    Args:
        path: A NIfTI file of counts, an NM file, or a folder with one NM series of it.
        told: What goes before the header.
        series: Series Instance UID, or its unique beginning; ``None`` takes the only one.

    Raises:
        BadInput: It cannot be read, or is no SPECT.
    """
    if path.name.endswith(_NIFTI):
        return _from_nifti(path, told)
    warnings: list[str] = []
    tomogram = read_tomogram(
        read_nm(path, kind=RECON_TOMO, wanted=series, warnings=warnings),
        heads=told.heads,
        duration_s=told.duration_s,
        decay_reference=told.decay_reference,
    )
    return from_tomogram(tomogram, told, warnings=warnings)


def from_tomogram(tomogram: Tomogram, told: SpectOptions, *, warnings: Sequence[str] = ()) -> Spect:
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
        header_h=tag_h,
        infusion=tomogram.administration.begin,
        told_mbq=tomogram.administration.activity_mbq,
    )


def _from_nifti(path: Path, told: SpectOptions) -> Spect:
    volume = read_volume(path, name="The SPECT")
    if not np.isfinite(volume.data).all():
        raise BadInput("The SPECT must be finite everywhere, and it is not. Write it anew.")
    return Spect(volume, COUNTS, told.duration_s, "told", told.time_h, None, file_sha256(path), [])


def dead_time_correction(
    dead_time: DeadTime | None, *, head_cps: float | None
) -> tuple[float, float | None]:
    """Return true over recorded counts, and its relative standard uncertainty by that of τ.

    Args:
        dead_time: ``None`` corrects nothing, and nobody knows what was lost.
        head_cps: Mean rate of one head in the window of τ during the SPECT, 1/s.

    Raises:
        BadInput: One of dead time and rate is missing, or they do not fit.
    """
    if (dead_time is None) != (head_cps is None):
        raise BadInput(
            "dead_time and head_cps, in 1/s, must come together: reconstructed counts do not tell "
            "how many a head recorded. Take the rate from the projections."
        )
    if dead_time is None or head_cps is None:
        return 1.0, None
    low, middle, high = (
        true_over_observed(
            head_cps,
            dead_time.model_copy(
                update={"tau_us": dead_time.tau_us * (1.0 + sign * dead_time.sd_pct / 100.0)}
            ),
        )
        for sign in (-1, 0, 1)
    )
    return middle, (high - low) / 2.0 / middle


_LIBRARIES = ("rpt-cohort", "icrp107-database", "xraydb", "pydicom", "numpy", "scipy", "nibabel")


def activity_files(
    spect: Spect,
    factor: CalibrationFactor | None,
    *,
    dead_time_correction: float,
    inputs: Mapping[str, str],
) -> tuple[tuple[bytes, bytes], float, list[str]]:
    """Convert a SPECT to activity concentration.

    Args:
        spect: Counts; or Bq/mL, which are kept.
        inputs: What else was read: role → SHA-256.

    Returns:
        The NIfTI file and its JSON, the activity in the field of view, MBq, and warnings.

    Raises:
        BadInput: A factor without counts or counts without one, or the duration is not told.
    """
    if (factor is None) != (spect.quantity == BQ_PER_ML):
        raise BadInput(
            "--factor or --camera-cps-per-mbq must be given with a SPECT in counts, and not with "
            f"one in Bq/mL; this one is in {spect.quantity}."
        )
    data, story, warnings = spect.volume.data, {}, list(spect.warnings)
    if factor is not None:
        total = float(spect.volume.data.sum(dtype=np.float64))
        counts = SpectCounts(total, spect.needed_duration_s, dead_time_correction)
        data = concentration_bq_per_ml(spect.volume, factor=factor, spect=counts)
        story = factor_story(factor) | {"dead_time_correction": dead_time_correction}
        warnings += [] if factor.why_no_total is None else [factor.why_no_total]
    total_mbq = float(data.sum(dtype=np.float64)) * voxel_ml(spect.volume.affine) / _BQ_PER_MBQ
    content = {
        "quantity": "activity concentration at mid-scan, Bq/mL",
        "from": spect.quantity,
        **story,
        "nuclide": spect.nuclide,
        "duration_s": spect.duration_s,
        "duration_by": spect.duration_branch,
        "injection_to_mid_scan_h": spect.time_h,
        "activity_in_field_of_view_mbq": total_mbq,
        "shape": list(data.shape),
        "spacing_mm": list(spect.volume.spacing_mm),
        "warnings": warnings,
        "provenance": calibration_provenance(
            "activity", {"duration_s": spect.duration_s}, {"spect": spect.sha256, **inputs}
        ),
    }
    image = nifti_bytes(data, spect.volume.affine, dtype=np.float32)
    return (image, json_bytes(content)), total_mbq, warnings


def factor_story(factor: CalibrationFactor) -> dict[str, Any]:
    """Tell a factor and its uncertainty by parts; what is not known is ``None``."""
    return {
        "cps_per_mbq": factor.cps_per_mbq,
        "relative_sd_pct": {part: _percent(sd) for part, sd in factor.relative_sd.items()},
        "total_relative_sd_pct": _percent(factor.total_relative_sd),
        "why_no_total": factor.why_no_total,
    }


def _percent(relative_sd: float | None) -> float | None:
    return None if relative_sd is None else 100.0 * relative_sd


def calibration_provenance(
    command: str, parameters: Mapping[str, Any], sha256: Mapping[str, str]
) -> dict[str, Any]:
    """Return the provenance of a factor, or of an activity by one; inputs by their SHA-256."""
    return provenance(
        package="rpt-dosimetry",
        command=command,
        parameters=parameters,
        inputs=sha256,
        libraries=_LIBRARIES,
    )

"""The organ and lesion table: a row for each region."""

import csv
import io
import math
from collections.abc import Callable, Sequence

from rpt_dosimetry.dose.rows import Row
from rpt_dosimetry.dose.therapy import MBQ_PER_GBQ

DEFINITIONS = {
    "region": "kind image, organ (a number of the organ mask), union (body: all organs; kidney: "
    "2 and 3; salivary_glands), lesion (a number of the lesion mask), rest "
    "(what no mask marks); organs and unions hold the lesions in them",
    "mass_g": "volume x 1.04 g/mL, or the sum of the CT's densities, without the floor of 0.2 g/mL "
    "that thin voxels have in the dose",
    "dose_mean_gy": "mean of dose_gy.nii.gz over the region's voxels, weighted by volume and not "
    "by mass; dose_sd_gy: of the voxels",
    "dose_d2_gy": "least dose of the hottest 2 % of the volume; d50, d98 likewise",
    "dose_mean_gy_per_gbq": "per net administered activity",
    "tia_mbq_h": "of the curve fitted to the region's activity; map_tia_mbq_h: the sum over the "
    "voxels of tia.nii.gz, from which the dose is",
    "tia_coefficient_h": "tia_mbq_h per net administered activity",
    "effective_half_life_h": "of the fit's last phase; empty where the method has none, "
    "or the region no activity",
    "physical_tail_dose_gy": "dose_mean_gy scaled to the time-integrated activity of straight "
    "lines from 0 MBq at 0 h through the points and physical decay after the last: no "
    "slower washout is possible after it",
    "fit_rms_pct": "how far the points lie from the curve: root mean square of (activity - curve) "
    "/ activity, an activity counting as at least 5 % of the largest and 20 times its noise floor",
    "relative_sd_pct": "half of the 68 % interval of dose_mean_gy: root of the sum of squares of "
    "calibration, volume (with --fwhm-mm; else unknown and NOT in the total) and fit (scatter of "
    "the points by Student's t at the points left over, and half the range of the models that "
    "pass through them); relative_95_pct: half of its 95 % interval; both empty where no point is "
    "left over, the region is less than half the resolution across, or has no activity",
    "bed_gy": "dose_mean_gy x (1 + G dose_mean_gy / (alpha/beta)), of the mean dose and not "
    "voxel by voxel; lea_catcheside_g of the fitted exponentials, or of the effective half-life "
    "where the fit has straight lines; empty for image, body and rest, and "
    "without activity or half-life",
    "recovery_coefficient": "with --fwhm-mm: mean of the region's own blurred mask inside it, "
    "cold surroundings assumed; dose_recovered_gy: dose_mean_gy divided by it, empty where "
    "the region is less than half the resolution across; dose_recovered_sd_pct, with "
    "--recovery-sd-pct: standard uncertainty of it, with the outline's part as Gear et al. 2018 "
    "have it for recovered activity; no map is changed",
}


Cell = str | int | float | None

COLUMNS: dict[str, Callable[[Row], Cell]] = {
    "name": lambda row: row.region.name,
    "kind": lambda row: row.region.kind,
    "label": lambda row: row.region.label,
    "voxels": lambda row: len(row.region.voxels),
    "volume_ml": lambda row: row.volume_ml,
    "mass_g": lambda row: row.mass_g,
    "dose_mean_gy": lambda row: row.dose.mean_gy,
    "dose_sd_gy": lambda row: row.dose.sd_gy,
    "dose_d2_gy": lambda row: row.dose.d2_gy,
    "dose_d50_gy": lambda row: row.dose.d50_gy,
    "dose_d98_gy": lambda row: row.dose.d98_gy,
    "dose_mean_gy_per_gbq": lambda row: row.dose.mean_gy * MBQ_PER_GBQ / row.net_mbq,
    "tia_mbq_h": lambda row: row.fit.tia_mbq_h,
    "map_tia_mbq_h": lambda row: row.map_tia_mbq_h,
    "tia_coefficient_h": lambda row: row.fit.tia_mbq_h / row.net_mbq,
    "effective_half_life_h": lambda row: _finite(row.fit.effective_half_life_h),
    "model": lambda row: row.fit.model,
    "why": lambda row: row.fit.why,
    "fallback": lambda row: row.fit.fallback,
    "physical_tail_tia_mbq_h": lambda row: row.fit.physical_tail_tia_mbq_h,
    "physical_tail_dose_gy": lambda row: _physical_tail_dose_gy(row),
    "fit_rms_pct": lambda row: _percent(row.fit.misfit),
    "relative_sd_pct": lambda row: _percent(row.sd.total),
    "relative_95_pct": lambda row: _percent(row.sd.total_95),
    "calibration_sd_pct": lambda row: _percent(row.sd.calibration),
    "volume_sd_pct": lambda row: _percent(row.sd.volume),
    "fit_sd_pct": lambda row: _percent(row.sd.fit),
    "bed_gy": lambda row: None if row.bed is None else row.bed.bed_gy,
    "alpha_beta_gy": lambda row: None if row.bed is None else row.bed.tissue.alpha_beta_gy,
    "repair_half_time_h": lambda row: (
        None if row.bed is None else row.bed.tissue.repair_half_time_h
    ),
    "lea_catcheside_g": lambda row: None if row.bed is None else row.bed.g,
    "recovery_coefficient": lambda row: row.recovery,
    "dose_recovered_gy": lambda row: _recovered_gy(row),
    "dose_recovered_sd_pct": lambda row: _percent(row.recovered_sd),
}
"""Column → its cell; ``None`` is an empty one."""


def table_csv(rows: Sequence[Row]) -> bytes:
    """Encode the table, every digit that counts.

    Raises:
        ValueError: A number is not finite.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_text(name, cell(row)) for name, cell in COLUMNS.items()])
    return text.getvalue().encode()


def _physical_tail_dose_gy(row: Row) -> float | None:
    if not row.map_tia_mbq_h > 0:
        return None
    return row.dose.mean_gy * row.fit.physical_tail_tia_mbq_h / row.map_tia_mbq_h


def _recovered_gy(row: Row) -> float | None:
    if row.recovery is None or row.sd.volume is None:
        return None
    return row.dose.mean_gy / row.recovery


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _percent(value: float | None) -> float | None:
    return None if value is None else 100.0 * value


def _text(name: str, cell: Cell) -> str:
    if isinstance(cell, float) and not math.isfinite(cell):
        raise ValueError(f"{name} must be finite, got {cell!r}.")
    if cell is None:
        return ""
    return repr(cell) if isinstance(cell, float) else str(cell)

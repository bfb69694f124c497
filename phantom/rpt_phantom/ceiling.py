"""How far the measured dose is from the true one, and two measurements from each other.

No predictor can be expected to do better than a second measurement of the same patient.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from jaxtyping import Bool, Float32
from rpt_cohort.labels import ORGANS

from rpt_phantom.patient import VirtualCycle

LEAST_VOXELS = 10
"""Ours: below, a correlation says nothing."""


@dataclass(frozen=True)
class CeilingRow:
    """One region of one cycle, within the field of view.

    Attributes:
        patient: Name.
        cycle: Number.
        region: An organ of the contract without its lesions, ``lesions`` or ``body``.
        voxels: How many.
        true_gy_per_gbq: Mean of the true dose, Gy/GBq.
        measured_gy_per_gbq: Mean of the measured dose, Gy/GBq.
        again_gy_per_gbq: Mean of a second measurement, Gy/GBq.
        measured_over_true: Ratio of the means.
        again_over_measured: Ratio of the means.
        voxel_r_true: Correlation over voxels of measured and true dose.
        voxel_r_again: Correlation over voxels of the two measurements.
        difference_true: ‖measured − true‖ over ‖true‖, over voxels.
        difference_again: ‖again − measured‖ over ‖measured‖, over voxels.
    """

    patient: str
    cycle: int
    region: str
    voxels: int
    true_gy_per_gbq: float
    measured_gy_per_gbq: float
    again_gy_per_gbq: float
    measured_over_true: float
    again_over_measured: float
    voxel_r_true: float
    voxel_r_again: float
    difference_true: float
    difference_again: float


def ceiling_rows(
    made: VirtualCycle, again: Float32[np.ndarray, "x y z"], *, patient: str, cycle: int
) -> list[CeilingRow]:
    """Compare true dose and two measurements in every region.

    Args:
        made: The cycle.
        again: The second measurement, Gy/GBq.
        patient: Name.
        cycle: Number.

    Returns:
        Rows of regions with at least 10 voxels in the field of view.
    """
    return [
        _row(made, again, here, patient=patient, cycle=cycle, region=region)
        for region, here in regions(made).items()
        if np.count_nonzero(here) >= LEAST_VOXELS
    ]


def csv_bytes(rows: Sequence[Mapping[str, object]]) -> bytes:
    """Encode rows as CSV, in full precision, the columns those of ``CeilingRow``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [one.name for one in fields(CeilingRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_mappings(rows: Sequence[CeilingRow]) -> list[dict[str, object]]:
    """Return rows as column → value."""
    return [asdict(row) for row in rows]


def read_rows(content: bytes) -> list[dict[str, object]]:
    """Read what ``csv_bytes`` wrote, as text."""
    return [dict(row) for row in csv.DictReader(io.StringIO(content.decode()))]


def regions(made: VirtualCycle) -> dict[str, Bool[np.ndarray, "x y z"]]:
    """Return region → where it is, in the field of view."""
    known, free = made.fov > 0, made.lesions == 0
    organs = {name: np.isin(made.organs, labels) & known & free for name, labels in ORGANS.items()}
    return organs | {"lesions": known & ~free, "body": known & (made.organs > 0)}


def _row(
    made: VirtualCycle,
    again: Float32[np.ndarray, "x y z"],
    here: Bool[np.ndarray, "x y z"],
    *,
    patient: str,
    cycle: int,
    region: str,
) -> CeilingRow:
    true, measured, other = (
        dose[here].astype(np.float64)
        for dose in (made.true_dose_gy_per_gbq, made.dose_gy_per_gbq, again)
    )
    return CeilingRow(
        patient=patient,
        cycle=cycle,
        region=region,
        voxels=int(true.size),
        true_gy_per_gbq=float(true.mean()),
        measured_gy_per_gbq=float(measured.mean()),
        again_gy_per_gbq=float(other.mean()),
        measured_over_true=float(measured.mean() / true.mean()),
        again_over_measured=float(other.mean() / measured.mean()),
        voxel_r_true=_r(measured, true),
        voxel_r_again=_r(other, measured),
        difference_true=_relative(measured, true),
        difference_again=_relative(other, measured),
    )


# Sums, and no BLAS, whose order depends on how many threads it has.
def _r(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _relative(one: np.ndarray, reference: np.ndarray) -> float:
    return float(np.sqrt(np.square(one - reference).sum() / np.square(reference).sum()))

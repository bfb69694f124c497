"""Who is scanned, when and in which study: of a virtual patient, on a fixed calendar.

Nothing here asks a clock or draws by chance: the same seed gives the same dates and UIDs.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydicom.uid import generate_uid
from rpt_cohort import BadInput

FIRST_INFUSION = datetime(2000, 1, 17, 9, 0)
"""Begin of the first cycle's infusion; a Monday long before 177Lu-PSMA, so that nobody takes it
for a patient's. Ours, as all of this calendar."""
BETWEEN_CYCLES = timedelta(weeks=6)
PET_BEFORE = timedelta(days=7) - timedelta(hours=1)
"""PET injection before the infusion of its cycle."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")  # the contract's


@dataclass(frozen=True)
class VirtualPatient:
    """A virtual patient as a scanner's console knows one.

    Attributes:
        name: Pseudonym of the contract, such as ``P001``.
        weight_kg: Body weight, kg.
        height_cm: Body height, cm; ``None`` leaves it out.
        age_y: Age, y; ``None`` leaves it out. A date of birth is never written.
        sex: ``M`` or ``F``.
    """

    name: str
    weight_kg: float
    height_cm: float | None = None
    age_y: float | None = None
    sex: Literal["M", "F"] = "M"

    def __post_init__(self) -> None:
        """Refuse a name that no cohort folder may have, and impossible measures."""
        if _NAME.fullmatch(self.name) is None:
            raise BadInput(
                f"name must be 1 to 32 letters, digits, _ or -, got {self.name!r}. Use P001."
            )
        _check_between("weight_kg", self.weight_kg, 20, 400, "kg")
        if self.height_cm is not None:
            _check_between("height_cm", self.height_cm, 80, 250, "cm")
        if self.age_y is not None:
            _check_between("age_y", self.age_y, 0, 120, "y")


@dataclass(frozen=True)
class Visit:
    """One visit to one scanner: a study, and one frame of reference.

    Attributes:
        patient: Who is scanned.
        seed: Makes the UIDs; give another for other images.
        name: What tells the visit from the patient's others, such as ``C1/pet_ct``.
        begin: Begin of the study.
        description: Study Description after the word VIRTUAL, 56 characters at most.
    """

    patient: VirtualPatient
    seed: str
    name: str
    begin: datetime
    description: str

    def uid(self, *parts: str) -> str:
        """Return the UID of a part of the visit, the same for the same seed and words."""
        words = (self.seed, self.patient.name, self.name, *parts)
        return str(generate_uid(entropy_srcs=["\x1f".join(words)]))

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return self.uid("study")

    @property
    def frame_of_reference_uid(self) -> str:
        """Frame of Reference UID of all its images."""
        return self.uid("frame of reference")


def infusion_begin(cycle: int) -> datetime:
    """Return when the infusion of a cycle begins, on the fictitious calendar.

    Args:
        cycle: Number of the cycle, from 1.
    """
    if cycle < 1:
        raise BadInput(f"cycle counts from 1, got {cycle}.")
    return FIRST_INFUSION + (cycle - 1) * BETWEEN_CYCLES


def pet_injection(cycle: int) -> datetime:
    """Return when the PET tracer of a cycle is injected: on the Monday before its infusion."""
    return infusion_begin(cycle) - PET_BEFORE


def scan_begin(start: datetime, *, middle_s: float, duration_ms: int, name: str) -> datetime:
    """Return when a scan begins whose middle is told.

    Args:
        start: Begin of the administration.
        middle_s: From there to the middle of the scan, s.
        duration_ms: Of the scan, ms, as it is written.
        name: What an error calls the scan.

    Raises:
        BadInput: The scan would begin before the administration.
    """
    begin_s = middle_s - duration_ms / 2000.0
    if not begin_s >= 0:
        raise BadInput(
            f"{name} must begin after the administration, and with its middle at {middle_s:g} s "
            f"and {duration_ms / 1000:g} s long it begins {-begin_s:g} s before. The time counts "
            "to the middle of the scan."
        )
    return start + timedelta(seconds=begin_s)


def whole_ms(duration_s: float, *, name: str) -> int:
    """Return a duration in the whole milliseconds that DICOM writes.

    Args:
        duration_s: Duration, s.
        name: What an error calls it.

    Raises:
        BadInput: It is no whole number of milliseconds above 0.
    """
    duration_ms = round(duration_s * 1000.0) if 0 < duration_s < 86400 else 0
    if not duration_ms or abs(duration_ms - duration_s * 1000.0) > 1e-6:
        raise BadInput(
            f"{name} must be whole milliseconds above 0 and below a day, since DICOM writes it so, "
            f"got {duration_s!r} s. Round it first."
        )
    return duration_ms


def _check_between(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise BadInput(f"{name} must be {low:g} to {high:g} {unit}, got {value!r} {unit}.")

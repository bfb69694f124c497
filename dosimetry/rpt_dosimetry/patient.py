"""What a conversion needs to know of the patient: weight, height and sex, no more."""

from dataclasses import dataclass

from rpt_cohort import BadInput

from rpt_dosimetry.attributes import HEIGHT, SEX, WEIGHT
from rpt_dosimetry.body_size import Sex
from rpt_dosimetry.tags import Tags, missing

_LARGEST_WEIGHT_KG = 1000.0  # above it the value is taken as grams
_LEAST_KG, _MOST_KG = 20.0, 400.0  # the bounds of cycle.json
_LARGEST_HEIGHT_M = 3.0  # above it the value is taken as centimetres
_SEXES: dict[str, Sex] = {"M": "M", "F": "F", "O": "O"}


@dataclass(frozen=True)
class Patient:
    """Body measures.

    Attributes:
        weight_kg: Body weight, kg.
        height_cm: Body height, cm; ``None`` where it is not told.
        sex: ``M``, ``F`` or ``O``; ``None`` where it is not told.
    """

    weight_kg: float
    height_cm: float | None
    sex: Sex | None


def read_patient(tags: Tags, warnings: list[str]) -> Patient:
    """Read the body measures.

    Args:
        tags: The series.
        warnings: Takes the sentences on units that were guessed.

    Returns:
        The measures.

    Raises:
        BadInput: The weight is missing or not above 0, or a value is no number.
    """
    weight = tags.number(WEIGHT)
    if weight is None:
        raise missing(WEIGHT, "to normalise to body weight")
    if weight <= 0:
        raise BadInput(f"{WEIGHT} must be above 0 kg, got {weight:g}. Correct the header.")
    if weight > _LARGEST_WEIGHT_KG:
        warnings.append(f"{WEIGHT} is {weight:g}, too large for kg; it was taken as g.")
        weight /= 1000.0
    if not _LEAST_KG <= weight <= _MOST_KG:
        warnings.append(f"{WEIGHT} is {weight:g} kg, which is not plausible for an adult.")
    height = tags.number(HEIGHT) or 0.0
    if height > _LARGEST_HEIGHT_M:
        warnings.append(f"{HEIGHT} is {height:g}, too large for m; it was taken as cm.")
        height /= 100.0
    return Patient(
        weight_kg=weight,
        height_cm=round(height * 100.0, 6) if height > 0 else None,
        sex=_SEXES.get(tags.text(SEX).upper()),
    )


def need_height_cm(patient: Patient) -> float:
    """Return the height, cm.

    Raises:
        BadInput: It is not told.
    """
    if patient.height_cm is None:
        raise BadInput(f"{HEIGHT} must be above 0 m for this SUV type, and it is missing or 0.")
    return patient.height_cm


def need_sex(patient: Patient) -> Sex:
    """Return the sex.

    Raises:
        BadInput: It is not told.
    """
    if patient.sex is None:
        raise BadInput(f"{SEX} must be M, F or O for this SUV type, and it is none of them.")
    return patient.sex

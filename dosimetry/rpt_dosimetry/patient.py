"""What a conversion needs to know of the patient: weight, height and sex, no more."""

from dataclasses import dataclass

from rpt_cohort import BadInput

from rpt_dosimetry.body_size import Sex
from rpt_dosimetry.dicom.attributes import HEIGHT, SEX, WEIGHT
from rpt_dosimetry.dicom.reading import Bounds, check_bounds
from rpt_dosimetry.dicom.tags import Tags, if_readable, missing

_LARGEST_WEIGHT_KG = 1000.0  # above it the value is taken as grams
_LEAST_KG, _MOST_KG = 20.0, 400.0  # the bounds of cycle.json
_LARGEST_HEIGHT_M = 3.0  # above it the value is taken as centimetres
# Ours. A small phantom weighs 1 kg; no scanner's table bears 500 kg.
_WEIGHT_BOUNDS = Bounds(1.0, 500.0, "kg")
_HEIGHT_BOUNDS = Bounds(0.3, 2.5, "m")
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
        BadInput: The weight is missing or not plausible. A height or sex that cannot be
            read counts as not told: most branches do without.
    """
    height_m = if_readable(lambda: _height_m(tags, warnings), warnings)
    return Patient(
        weight_kg=_weight_kg(tags, warnings),
        height_cm=None if height_m is None else round(height_m * 100.0, 6),
        sex=_SEXES.get((if_readable(lambda: tags.text(SEX), warnings) or "").upper()),
    )


def need_height_cm(patient: Patient) -> float:
    """Return the height, cm.

    Raises:
        BadInput: It is not told.
    """
    if patient.height_cm is None:
        raise BadInput(
            f"{HEIGHT} must be {_HEIGHT_BOUNDS.low:g} to {_HEIGHT_BOUNDS.high:g} m for this SUV "
            "type, and it is missing, 0 or out of these bounds."
        )
    return patient.height_cm


def need_sex(patient: Patient) -> Sex:
    """Return the sex.

    Raises:
        BadInput: It is not told.
    """
    if patient.sex is None:
        raise BadInput(f"{SEX} must be M, F or O for this SUV type, and it is none of them.")
    return patient.sex


def _weight_kg(tags: Tags, warnings: list[str]) -> float:
    weight = tags.number(WEIGHT)
    if weight is None:
        raise missing(WEIGHT, "to normalise to body weight")
    if weight <= 0:
        raise BadInput(f"{WEIGHT} must be above 0 kg, got {weight:g}. Correct the header.")
    if weight > _LARGEST_WEIGHT_KG:
        warnings.append(f"{WEIGHT} is {weight:g}, too large for kg; it was taken as g.")
        weight /= 1000.0
    check_bounds(weight, WEIGHT, _WEIGHT_BOUNDS)
    if not _LEAST_KG <= weight <= _MOST_KG:
        warnings.append(f"{WEIGHT} is {weight:g} kg, which is not plausible for an adult.")
    return weight


def _height_m(tags: Tags, warnings: list[str]) -> float | None:
    height = tags.number(HEIGHT)
    if not height:
        return None
    if height > _LARGEST_HEIGHT_M:
        warnings.append(f"{HEIGHT} is {height:g}, too large for m; it was taken as cm.")
        height /= 100.0
    check_bounds(height, HEIGHT, _HEIGHT_BOUNDS)
    return height

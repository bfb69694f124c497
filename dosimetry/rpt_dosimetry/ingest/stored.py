"""A PET as its files tell it, before the study's own word."""

from dataclasses import dataclass

from rpt_cohort import Volume
from rpt_cohort.schema import Tracer


@dataclass(frozen=True)
class StoredPet:
    """A PET as read from DICOM or NIfTI.

    Attributes:
        suv: SUV, g/mL.
        tracer: The contract's name.
        activity_mbq: Injected activity, MBq.
        time_min: Injection to mid-scan, min; ``None`` where it is not told.
        weight_kg: Of the patient, kg.
        height_cm: Of the patient, cm; ``None`` where it is not told.
        branch: How the SUV was found.
        warnings: A sentence each.
    """

    suv: Volume
    tracer: Tracer
    activity_mbq: float
    time_min: float | None
    weight_kg: float
    height_cm: float | None
    branch: str
    warnings: list[str]

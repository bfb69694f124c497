"""What was administered, as PET and NM objects tell it.

Source: DICOM PS3.3, C.8.9.2 (PET Isotope: activity in Bq) and C.8.4.10 (NM Isotope: in MBq);
codes of PS3.16, context groups 18, 4020 and 19 to 21. Half-lives: ICRP Publication 107, as in
``rpt_dosimetry.dicom.tracer``.
"""

from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset
from rpt_cohort import BadInput
from rpt_dosimetry.dicom.tracer import HALF_LIFE_S

from rpt_phantom.dicom.header import clock, code, date_time, item

NUCLIDE_CODES = {
    "Ga-68": ("C-131A3", "SRT", "^68^Gallium"),
    "F-18": ("C-111A1", "SRT", "^18^Fluorine"),
    "Lu-177": ("447553000", "SCT", "^177^Lutetium"),
}
NUCLIDE_OF_TRACER = {
    "68Ga-PSMA-11": "Ga-68",
    "18F-PSMA-1007": "F-18",
    "18F-PSMA-11": "F-18",
    "18F-DCFPyL": "F-18",
    "18F-FDG": "F-18",
}


@dataclass(frozen=True)
class Administered:
    """An administration.

    Attributes:
        radiopharmaceutical: Its name, such as ``68Ga-PSMA-11``.
        nuclide: Such as ``Ga-68``.
        activity_mbq: At ``begin``, no residual subtracted, MBq.
        begin: Begin of injection or infusion.
    """

    radiopharmaceutical: str
    nuclide: str
    activity_mbq: float
    begin: datetime

    def __post_init__(self) -> None:
        """Refuse an activity that cannot be, and a nuclide that has no code here."""
        if not 0 < self.activity_mbq < 1e5:
            raise BadInput(
                f"activity_mbq must be above 0 and below 1e5 MBq, got {self.activity_mbq!r} MBq."
            )
        if self.nuclide not in NUCLIDE_CODES:
            raise BadInput(
                f"nuclide must be one of {', '.join(NUCLIDE_CODES)}, got {self.nuclide!r}."
            )

    @property
    def half_life_s(self) -> float:
        """Physical half-life, s."""
        return HALF_LIFE_S[self.nuclide]


def put_administered(dataset: Dataset, administered: Administered, *, activity: str) -> None:
    """Add the Radiopharmaceutical Information Sequence.

    Args:
        dataset: A PET or NM image.
        administered: What was given.
        activity: Radionuclide Total Dose in the unit of the object's kind.
    """
    told = item(
        Radiopharmaceutical=administered.radiopharmaceutical,
        RadiopharmaceuticalRoute="IV",
        RadiopharmaceuticalStartTime=clock(administered.begin),
        RadiopharmaceuticalStartDateTime=date_time(administered.begin),
        RadionuclideTotalDose=activity,
        RadionuclideCodeSequence=[code(*NUCLIDE_CODES[administered.nuclide])],
    )
    dataset.RadiopharmaceuticalInformationSequence = [told]


def put_patient_orientation(dataset: Dataset) -> None:
    """Add the NM/PET Patient Orientation module: on the back, head first."""
    supine = code("40199007", "SCT", "supine")
    recumbent = code("102538003", "SCT", "recumbent")
    recumbent.PatientOrientationModifierCodeSequence = [supine]
    dataset.PatientOrientationCodeSequence = [recumbent]
    dataset.PatientGantryRelationshipCodeSequence = [code("102540008", "SCT", "headfirst")]

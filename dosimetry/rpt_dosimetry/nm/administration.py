"""What an NM object says was administered, and when."""

from dataclasses import dataclass
from datetime import datetime

from rpt_dosimetry.attributes import DOSE
from rpt_dosimetry.clock import Moment
from rpt_dosimetry.decimals import Bounds, check_bounds
from rpt_dosimetry.injection_time import administration_moment, injection_time
from rpt_dosimetry.radiopharmaceutical import coded_nuclide
from rpt_dosimetry.tags import Tags, if_readable

_BECQUEREL_FROM = 1e5
"""The NM module gives the dose in MBq, the PET module in Bq; values from here on are Bq (ours:
100 GBq is no patient's)."""
_BOUNDS_MBQ = Bounds(1e-3, 1e6, "MBq")


@dataclass(frozen=True)
class Administration:
    """What was administered.

    Attributes:
        nuclide: The coded one, such as ``Lu-177``; ``None`` where nothing known is coded.
        activity_mbq: As told, no residual subtracted, MBq; ``None`` where not told.
        moment: Its begin, on the series' clock; ``None`` where not told.
        begin: The same, with the offset of that clock.
    """

    nuclide: str | None
    activity_mbq: float | None
    moment: datetime | None
    begin: Moment | None


def read_administration(tags: Tags, warnings: list[str]) -> Administration:
    """Read nuclide, activity and begin; what is malformed is left out with a warning.

    Args:
        tags: The header of an NM object.
        warnings: Takes what cannot be read or was guessed.

    Source: DICOM PS3.3, C.8.4.10.1.7 (NM Isotope): Radionuclide Total Dose is in MBq.
    """
    moment = if_readable(lambda: injection_time(tags, warnings), warnings)
    return Administration(
        nuclide=if_readable(lambda: coded_nuclide(tags), warnings),
        activity_mbq=if_readable(lambda: _activity_mbq(tags, warnings), warnings),
        moment=moment,
        begin=if_readable(lambda: administration_moment(tags, moment), warnings),
    )


def _activity_mbq(tags: Tags, warnings: list[str]) -> float | None:
    dose = tags.number(DOSE)
    if dose is None:
        return None
    if dose >= _BECQUEREL_FROM:
        warnings.append(f"{DOSE} is {dose:g}, too large for the MBq of NM; it was taken as Bq.")
        dose /= 1e6
    check_bounds(dose, DOSE, _BOUNDS_MBQ)
    return dose

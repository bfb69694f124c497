"""What was given to the patient and when the scans were: checked before any file is read."""

import math
from dataclasses import dataclass

from rpt_cohort import BadInput

from rpt_dosimetry.radiation.nuclide import Nuclide

LARGEST_MBQ = 1e5
"""Ours: ten times the activity of a therapy; a number above is in kBq or Bq."""
MBQ_PER_GBQ = 1000.0
LATEST_HALF_LIVES = 10.0
"""Ours: a thousandth is left after as many; a time beyond is in minutes or seconds."""


@dataclass(frozen=True)
class Therapy:
    """An administration and its scans.

    Attributes:
        nuclide: What was given.
        administered_mbq: Activity at the start of the infusion, MBq.
        residual_mbq: What stayed in syringe, line and vial, decayed to the same moment, MBq.
        infusion_h: Duration of the infusion, h; 0 for a bolus.
        time_h: Of each scan, from the start of the infusion to mid-scan, h.
    """

    nuclide: Nuclide
    administered_mbq: float
    residual_mbq: float
    infusion_h: float
    time_h: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be; the order of the times is for ``tia.times.check_times``.

        Raises:
            BadInput: An activity is not finite, not above 0 MBq or absurdly large, the residual
                is not below it, or a scan is later than ``LATEST_HALF_LIVES``.
        """
        administered = self.administered_mbq
        if not (math.isfinite(administered) and 0 < administered <= LARGEST_MBQ):
            raise BadInput(
                f"--administered-mbq must be above 0 and at most {LARGEST_MBQ:g} MBq, got "
                f"{administered:.6g} MBq. Give it in MBq, not in kBq or Bq."
            )
        if not (math.isfinite(self.residual_mbq) and 0 <= self.residual_mbq < administered):
            raise BadInput(
                f"--residual-mbq must be 0 or above and below the {administered:.6g} MBq "
                f"administered, got {self.residual_mbq:.6g} MBq."
            )
        latest_h = LATEST_HALF_LIVES * self.nuclide.half_life_h
        if max(self.time_h) > latest_h:
            raise BadInput(
                f"--time-h must be at most {LATEST_HALF_LIVES:g} physical half-lives, "
                f"{latest_h:.6g} h, got {max(self.time_h):g}. --time-h is in h, not in min or s."
            )

    @property
    def net_mbq(self) -> float:
        """Activity that reached the patient, MBq at the start of the infusion."""
        return self.administered_mbq - self.residual_mbq

    @property
    def net_gbq(self) -> float:
        """Activity that reached the patient, GBq."""
        return self.net_mbq / MBQ_PER_GBQ

    @property
    def most_tia_mbq_h(self) -> float:
        """Net activity × mean physical life, MBq h: nothing can decay more often."""
        return self.net_mbq / self.nuclide.decay_per_h

    def decayed_mbq(self, time_h: float) -> float:
        """Return the net activity after physical decay alone, MBq: the most that can be left."""
        return self.net_mbq * math.exp(-self.nuclide.decay_per_h * time_h)

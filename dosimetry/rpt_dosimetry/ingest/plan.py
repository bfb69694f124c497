"""What is to be made of one cycle, and the scans that it is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpt_cohort import Volume

from rpt_dosimetry.calibration.image_based import ImageBased
from rpt_dosimetry.ingest.alignment import CohortGrid
from rpt_dosimetry.ingest.scans import Pet, Spect
from rpt_dosimetry.ingest.sources import ScanFiles, refuse_other_activity, refuse_other_infusion
from rpt_dosimetry.ingest.study import CycleSource, Study

LARGEST_DIFFERENCE = 0.05
"""Ours: of the activity that a header tells from the study's; headers may leave out residuals."""


@dataclass(frozen=True)
class Plan:
    """One cycle to be made, checked as far as headers tell.

    Attributes:
        inputs: Role → SHA-256 over its files.
        parameters: What the result depends on beside them.
        fingerprint: By which the finished cycle is known.
    """

    cycle: CycleSource
    study: Study
    root: Path
    grid: CohortGrid
    inputs: dict[str, str]
    parameters: dict[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class Scans:
    """The scans of a cycle as read.

    Attributes:
        spects: The SPECT/CTs, in the order of time.
        first_ct: CT of the first SPECT, HU.
        files: ``pet``, ``spect 1`` … → its series.
        planar: What the planar scan tells of the camera; ``None`` without one.
    """

    pet: Pet
    spects: list[Spect]
    first_ct: Volume
    files: dict[str, ScanFiles]
    planar: ImageBased | None = None

    def drawn_on(self, scan: str) -> tuple[Volume, str]:
        """Return a CT and its Frame of Reference UID.

        Args:
            scan: ``spect_ct``, that of the first SPECT, or ``pet_ct``.
        """
        uid = self.files["pet" if scan == "pet_ct" else "spect 1"].frame_uid
        return (self.pet.ct if scan == "pet_ct" else self.first_ct), uid

    def warnings(self) -> list[str]:
        """Return what was told while reading, each sentence after its role."""
        of = {"pet": self.pet.warnings}
        of |= {f"spect {n}": spect.warnings for n, spect in enumerate(self.spects, start=1)}
        if self.planar is not None:
            of["planar"] = tuple(self.planar.warnings)
        return [f"{role}: {sentence}" for role, told in of.items() for sentence in told]

    def refuse_other_infusions(self) -> None:
        """Refuse SPECTs whose headers put the start of infusion at different moments.

        Raises:
            BadInput: They do: a date, a clock or a time zone changed between the scans.
        """
        told = {f"spect {n}": one.infusion for n, one in enumerate(self.spects, start=1)}
        known = [(role, begin) for role, begin in told.items() if begin is not None]
        for role, begin in known[1:]:
            refuse_other_infusion(role, begin, *known[0])

    def doubtful_order(self) -> list[str]:
        """Say that the PET came after the therapy had begun, where the headers tell it."""
        told = [one.infusion for one in self.spects if one.infusion is not None]
        if not told or self.pet.injected is None:
            return []
        after_h = self.pet.injected.hours_after(told[0])
        if after_h <= 0:
            return []
        return [
            f"pet: It was injected {after_h:.4g} h after the start of infusion: a PET of before "
            "the therapy is wanted."
        ]

    def doubtful_activities(self, cycle: CycleSource) -> list[str]:
        """Say which SPECT's header tells another activity than the study, a sentence each.

        Raises:
            BadInput: One tells less than half or more than twice of it, unless the study says
                that activities differ.
        """
        administered_mbq = cycle.administered_mbq
        told = {f"spect {n}": spect.told_mbq for n, spect in enumerate(self.spects, start=1)}
        if not cycle.activities_differ:
            for role, mbq in told.items():
                refuse_other_activity(role, mbq, administered_mbq)
        return [
            f"{role}: Its header tells {mbq:.5g} MBq administered, the study "
            f"{administered_mbq:.5g} MBq; the study's was taken."
            for role, mbq in told.items()
            if mbq is not None and abs(mbq / administered_mbq - 1.0) > LARGEST_DIFFERENCE
        ]


def largest_calibration_sd(spects: Sequence[Spect]) -> float | None:
    """Return the largest relative standard uncertainty of the SPECTs' calibration.

    Returns:
        ``None`` where one's is not known.
    """
    all_of_them = [spect.calibration_relative_sd for spect in spects]
    known = [one for one in all_of_them if one is not None]
    return max(known) if len(known) == len(all_of_them) else None

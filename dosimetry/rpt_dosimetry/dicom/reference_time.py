"""To when are the voxel values decay-corrected? A header tells it several times.

Decay Correction names an event; when that was, Series Time, Acquisition Time and GE's private tag
tell, and Decay Factor is held against them. It is what a slice was multiplied by, from the mean
over its frame to the reference time: DF = 2^((begin + T_average - reference) / half-life), so

    reference = begin + T_average - half-life * log2(DF).

Some writers leave the decay within the frame out (T_average = 0); the reading that fits better
is taken. Frame Reference Time counts from the reference time to the begin, the average or the
middle of the frame, as its writer likes. Alone it decides nothing: on real series of GE and CPS
that were right in all else it was off by up to 1,095 s.

Moments stay inside: results tell differences only, since a date names a patient.

Source: DICOM PS3.3, C.8.9.1.1.5 (Decay Correction: one time for all images of a series, which
can be derived from Decay Factor) and C.8.9.4.1.5 (T_average); Vácha et al., Comprehensive manual
for SUV computation (IBSI-SUV, 2026); QIBA FDG-PET/CT profile, vendor-neutral pseudo-code for SUV
(where Series Time is after an acquisition: the earliest acquisition). Tolerances and limits, and
who is believed where facts contradict each other, are ours.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from statistics import median
from typing import Literal

from rpt_cohort import BadInput

from rpt_dosimetry.dicom import vendors
from rpt_dosimetry.dicom.header import PetHeader
from rpt_dosimetry.dicom.reading import Attribute, Private, shown

AGREEMENT_S = 2.0
"""Ours: clocks that cut the fraction of a second. Real series were within 1 s."""
AGREEMENT_SHARE = 1e-3
"""Ours: of the value; times agree, too, where their difference matters less than this."""
LARGEST_CONFLICT = 0.10
"""Ours: of the value; a larger contradiction that no third fact decides is refused. Frame
Reference Time was off by 633 s where nothing else was wrong, 7 % of F-18."""
_FRACTION_CUT_S = 1.0  # some scanners cut the fraction off one of two times
_MOST_HALVINGS = 100.0  # so that no power overflows; who computes with it refuses far less

Verdict = Literal["agrees", "contradicts", "placeholder", "not told"]


@dataclass(frozen=True)
class Reference:
    """To when the voxel values are decay-corrected.

    Attributes:
        branch: Which rule gave it.
        moments: One a slice.
        verdict: Whether Decay Factor ``agrees`` in at least one slice (without decay
            correction: in all) or ``contradicts``; ``placeholder`` where it is 1 in every slice
            of a corrected series; ``not told`` also where times to compare it with are not.
        implied_after_s: From the moment taken to the one that Decay Factor implies, s, in the
            slice that fits best (without decay correction: worst); ``None`` for none.
    """

    branch: str
    attribute: Attribute
    moments: list[datetime]
    verdict: Verdict = "not told"
    implied_after_s: float | None = None


def find_reference(
    header: PetHeader, half_life_s: float, administered: datetime | None
) -> Reference:
    """Find to when the values of a series are decay-corrected.

    Args:
        administered: Begin of the administration, to which ADMIN refers; before it, less
            60 s, no reference time of a START is looked for.

    Returns:
        Of a START, in this order: a vendor's private scan date and time; the series' date and
        time where it is not later than any acquisition; else the earliest acquisition. Where
        Decay Factor contradicts that in every slice and fits the earliest acquisition, or a time
        that Frame Reference Time allows, that is taken instead. A time before the administration
        that nothing betters is returned, for ``refuse_before_injection``. Of NONE, each slice's
        begin + T_average.

    Raises:
        BadInput: A time that the rule needs is missing or malformed, or the facts contradict
            each other by more than ``LARGEST_CONFLICT`` and none decides.
    """
    if header.decay_correction == "NONE":
        return _of_none(header, half_life_s)
    if header.decay_correction == "ADMIN" and administered is not None:
        return reference_of_admin(header, half_life_s, administered)
    earliest = datetime.min
    if administered is not None:
        earliest = administered + timedelta(seconds=EARLIEST_REFERENCE_S)
    return _of_start(header, half_life_s, earliest)


def _of_start(header: PetHeader, half_life_s: float, earliest: datetime) -> Reference:
    rule = _start_by_rule(header, earliest)
    frames = _frames_if_told(header, half_life_s)
    if frames is None:
        return rule
    reference = frames.judge(rule, corrected=True)
    if reference.verdict == "agrees":
        frames.warn_of_majority(reference)
        return reference
    better = _better_start(frames, reference, earliest)
    if better is not None:
        after_s = (better.moments[0] - rule.moments[0]).total_seconds()
        header.warnings.append(
            f"The reference time by '{rule.branch}' is contradicted, and the one by "
            f"'{better.branch}', {_apart(after_s)} it, was taken. By the former the values would "
            f"be {frames.excess(after_s)}."
        )
        frames.warn_of_majority(better)
        return better
    if min(rule.moments) < earliest:
        return reference
    taken_s = (rule.moments[0] - frames.first).total_seconds()
    frame_after_s = frames.allowed_after_s(taken_s, earliest)
    factor_after_s = reference.implied_after_s
    if reference.verdict == "contradicts" and factor_after_s is not None:
        implied_s = taken_s + factor_after_s
        decided = frames.allows(taken_s, earliest) and not frames.allows(implied_s, earliest)
        frames.conflict("DecayFactor", factor_after_s, rule, decided=decided)
    elif frames.allows(taken_s, earliest):
        pass
    elif frame_after_s is not None and not isinstance(rule.attribute, Private):
        # START is the begin of the acquisition: a series time near it has a second witness.
        witness = rule.attribute == "SeriesTime" or reference.verdict == "placeholder"
        decided = witness and frames.share(-taken_s) <= LARGEST_CONFLICT
        frames.conflict("FrameReferenceTime", frame_after_s, rule, decided=decided)
    elif not frames.agree(taken_s):
        header.warnings.append(
            f"Nothing confirms the reference time by '{rule.branch}', {_apart(taken_s)} the scan "
            f"began. If the values refer to that begin, they are {frames.excess(-taken_s)}."
        )
    return reference


def _of_none(header: PetHeader, half_life_s: float) -> Reference:
    """Find the reference times of a series without decay correction, a slice at a time."""
    frames = _read_frames(header, half_life_s)
    moments = [
        begin + timedelta(seconds=late_s)
        for begin, late_s in zip(frames.begins, frames.average_s, strict=True)
    ]
    rule = Reference("acquisition time + T_average", "AcquisitionTime", moments)
    reference = frames.judge(rule, corrected=False)
    if reference.verdict == "contradicts" and reference.implied_after_s is not None:
        frames.conflict("DecayFactor", reference.implied_after_s, rule, decided=False)
    return reference


def reference_of_admin(
    header: PetHeader, half_life_s: float | None, administered: datetime
) -> Reference:
    """Take the begin of the administration, and hold Decay Factor against it.

    Returns:
        The administration, for every slice.

    Raises:
        BadInput: Decay Factor contradicts it by more than ``LARGEST_CONFLICT``. A factor of 1
            in every slice never does: quantitative SPECT that is corrected tells it, too.
    """
    rule = Reference(
        "administration", "RadiopharmaceuticalStartDateTime", [administered] * len(header)
    )
    frames = None if half_life_s is None else _frames_if_told(header, half_life_s)
    if frames is None:
        return rule
    reference = frames.judge(rule, corrected=True)
    if reference.verdict == "contradicts" and reference.implied_after_s is not None:
        frames.conflict("DecayFactor", reference.implied_after_s, rule, decided=False)
    frames.warn_of_majority(reference)
    since_s = (frames.first - administered).total_seconds() + frames.average_s[0]
    if reference.verdict == "placeholder" and not frames.agree(since_s):
        header.warnings.append(
            f"{shown('DecayFactor')} is 1 in every slice, and a correction to the administration "
            f"is {frames.power(since_s):.4g}; {shown('DecayCorrection')} ADMIN was believed. If "
            "the scanner did not correct, the values are too low by that factor."
        )
    return reference


def _read_frames(header: PetHeader, half_life_s: float) -> "_Frames":
    """Read when the slices were measured.

    Raises:
        BadInput: A time is missing or malformed, or a frame duration, or that is not above 0 ms.
    """
    acquired = header.need_moments("Acquisition")
    durations_ms = header.numbers("ActualFrameDuration", "to know when a slice was measured")
    if min(durations_ms) <= 0:
        raise BadInput(
            f"{shown('ActualFrameDuration')} must be above 0 ms, got {min(durations_ms):g} ms."
        )
    references_ms = header.if_readable(lambda: header.numbers("FrameReferenceTime")) or []
    factors = header.if_readable(lambda: header.numbers("DecayFactor")) or []
    return _Frames(
        header=header,
        half_life_s=half_life_s,
        begins=vendors.bed_begins(acquired, references_ms),
        duration_s=[one_ms / 1000.0 for one_ms in durations_ms],
        factors=factors,
        frame_reference_s=[one_ms / 1000.0 for one_ms in references_ms],
    )


def _frames_if_told(header: PetHeader, half_life_s: float) -> "_Frames | None":
    """Read the frames for what can do without; ``None`` where no Decay Factor can be judged."""
    for keyword in ("AcquisitionDate", "AcquisitionTime", "ActualFrameDuration"):
        if not all(header.texts(keyword)):
            return None
    return header.if_readable(lambda: _read_frames(header, half_life_s))


@dataclass(frozen=True)
class _Frames:
    """What the frames tell of the reference time.

    Attributes:
        begins: Of the frames.
        duration_s: Of the frames, s.
        factors: Decay Factor, one a slice; empty where it is not told.
        frame_reference_s: Frame Reference Time, s, one a slice; empty where it is not told.
    """

    header: PetHeader
    half_life_s: float
    begins: list[datetime]
    duration_s: list[float]
    factors: list[float]
    frame_reference_s: list[float]

    @property
    def first(self) -> datetime:
        """The earliest begin."""
        return min(self.begins)

    @property
    def average_s(self) -> list[float]:
        """T_average, from a frame's begin to when the activity equals the frame's mean, s."""
        return [
            average_activity_time_s(frame_duration_s=one_s, half_life_s=self.half_life_s)
            for one_s in self.duration_s
        ]

    @property
    def ones(self) -> bool:
        """Whether Decay Factor is 1 in every slice."""
        return set(self.factors) == {1.0}

    def agree(self, difference_s: float) -> bool:
        """Tell whether two times are one."""
        share_s = AGREEMENT_SHARE * self.half_life_s / math.log(2.0)
        return abs(difference_s) <= max(AGREEMENT_S, share_s)

    def power(self, elapsed_s: float) -> float:
        """Return 2^(elapsed / half-life), without overflow."""
        halvings = elapsed_s / self.half_life_s
        return math.pow(2.0, max(min(halvings, _MOST_HALVINGS), -_MOST_HALVINGS))

    def share(self, after_s: float) -> float:
        """Return by how much of the value a reference time so much later is another, at least 0."""
        return abs(self.power(-after_s) - 1.0)

    def excess(self, after_s: float) -> str:
        """Tell how wrong values are whose reference time is right so much later, s."""
        share = self.power(-after_s) - 1.0
        return f"{100.0 * abs(share):.3g} % too {'high' if share > 0 else 'low'}"

    def implied_after_s(self, moments: list[datetime]) -> list[float]:
        """Return from each slice's moment to what its Decay Factor implies, s."""
        implied = []
        slices = zip(self.begins, self.average_s, self.factors, moments, strict=True)
        for begin, late_s, factor, moment in slices:
            by_begin_s = (begin - moment).total_seconds() - self.half_life_s * math.log2(factor)
            implied.append(min(by_begin_s + late_s, by_begin_s, key=abs))
        return implied

    def judge(self, reference: Reference, *, corrected: bool) -> Reference:
        """Note what Decay Factor says of a reference time.

        One time holds for all slices of a corrected series, but scanners put the bed's
        position into some tags and not into others: one slice that fits is enough.
        """
        if not self.factors:
            return reference
        several = not self.agree((max(self.begins) - self.first).total_seconds())
        if corrected and self.ones and several:  # it cannot be true of all
            return replace(reference, verdict="placeholder")
        implied_s = self.implied_after_s(reference.moments)
        after_s = min(implied_s, key=abs) if corrected else max(implied_s, key=abs)
        verdict: Verdict = "agrees" if self.agree(after_s) else "contradicts"
        if corrected and self.ones:
            verdict = "placeholder"
        return replace(reference, verdict=verdict, implied_after_s=after_s)

    def allows(self, reference_s: float, earliest: datetime) -> bool:
        """Tell whether Frame Reference Time is told and fits a reference time."""
        after_s = self.allowed_after_s(reference_s, earliest)
        return after_s is not None and self.agree(after_s)

    def allowed_after_s(self, reference_s: float, earliest: datetime) -> float | None:
        """Return from a reference time to the nearest that Frame Reference Time allows, s.

        Args:
            reference_s: After the first frame began, s.

        Returns:
            ``None`` where it tells nothing: it is missing, 0 throughout, or tells only times
            before the injection or after the earliest acquisition.
        """
        if not any(self.frame_reference_s):
            return None
        first_s = (earliest - self.first).total_seconds()
        allowed_s = [
            (begin - self.first).total_seconds() + within_s - told_s
            for begin, late_s, duration_s, told_s in zip(
                self.begins, self.average_s, self.duration_s, self.frame_reference_s, strict=True
            )
            for within_s in (0.0, late_s, duration_s / 2.0)
        ]
        after_s = [one - reference_s for one in allowed_s if first_s <= one < _FRACTION_CUT_S]
        return min(after_s, key=abs) if after_s else None

    def conflict(
        self, attribute: Attribute, after_s: float, rule: Reference, *, decided: bool
    ) -> None:
        """Warn that an attribute tells another reference time, or refuse what is undecided."""
        told = f"{shown(attribute)} tells a reference time {_apart(after_s)} the one by"
        told, wrong = f"{told} '{rule.branch}'", self.excess(after_s)
        if not decided and self.share(after_s) > LARGEST_CONFLICT:
            raise BadInput(
                f"The header must tell one time that the values are decay-corrected to, and "
                f"{told}, with nothing to decide: values may be {wrong} (refused above "
                f"{LARGEST_CONFLICT:.0%}). Correct the wrong one of {shown(attribute)}, "
                f"{shown(rule.attribute)} and {shown('DecayCorrection')}, or export the series "
                "anew."
            )
        self.header.warnings.append(
            f"{told}; the latter was taken. If it is wrong, the values are {wrong}."
        )

    def warn_of_majority(self, taken: Reference) -> None:
        """Warn where a few slices' Decay Factors agree, and most are off to one side."""
        if taken.verdict != "agrees":
            return
        count = len(self.begins)
        off_s = [one for one in self.implied_after_s(taken.moments) if not self.agree(one)]
        for side_s in ([one for one in off_s if one < 0], [one for one in off_s if one > 0]):
            if 2 * len(side_s) > count:
                after_s = median(side_s)
                self.header.warnings.append(
                    f"{shown('DecayFactor')} agrees with the reference time by '{taken.branch}' in "
                    f"{count - len(off_s)} of {count} slices, and in {len(side_s)} it tells one "
                    f"{_apart(after_s)} it, by their median. If those are right, the values are "
                    f"{self.excess(after_s)}."
                )


def _start_by_rule(header: PetHeader, earliest: datetime) -> Reference:
    for private, branch in vendors.START_TIMES.items():
        told = header.if_readable(partial(vendors.start_times, header, private))
        if told and min(told) >= earliest:
            header.remember_moments((private,), told)
            return Reference(branch, private, told)
        if told:
            header.warnings.append(f"{shown(private)} is before the injection; it was not used.")
    series, acquired = header.need_moments("Series"), header.need_moments("Acquisition")
    late_s = (max(series) - min(acquired)).total_seconds()
    if late_s >= _FRACTION_CUT_S:
        header.warnings.append(
            f"{shown('SeriesTime')} is {late_s:.0f} s after the earliest acquisition, and values "
            "that are corrected to the START cannot refer to it; that acquisition was taken."
        )
        return Reference("earliest acquisition", "AcquisitionTime", [min(acquired)] * len(header))
    if len(set(series)) > 1:
        raise BadInput(f"{shown('SeriesTime')} must be the same in all slices, and it differs.")
    return Reference("series date and time", "SeriesTime", series)


def _better_start(frames: _Frames, rule: Reference, earliest: datetime) -> Reference | None:
    """Return the reference time that Decay Factor and another fact tell against the rule's.

    The other fact is the begin of the acquisition, or else Frame Reference Time. A factor of 1
    in every slice may be a placeholder: it needs both, and says nothing against the scanner's
    own private time.
    """
    after_s = rule.implied_after_s
    if after_s is None or frames.agree(after_s):
        return None
    count = len(frames.begins)
    first = [frames.first] * count
    if frames.ones:
        if isinstance(rule.attribute, Private) or not frames.allows(0.0, earliest):
            return None
        branch = "earliest acquisition, by Decay Factor and Frame Reference Time"
        return frames.judge(Reference(branch, "AcquisitionTime", first), corrected=True)
    begin = Reference("earliest acquisition, by Decay Factor", "AcquisitionTime", first)
    judged = frames.judge(begin, corrected=True)
    if judged.verdict == "agrees":
        return judged
    at = frames.begins.index(frames.first)
    implied_s = frames.average_s[at] - frames.half_life_s * math.log2(frames.factors[at])
    if not (earliest - frames.first).total_seconds() <= implied_s < _FRACTION_CUT_S:
        return None
    taken_s = (rule.moments[0] - frames.first).total_seconds()
    if not frames.allows(implied_s, earliest) or frames.allows(taken_s, earliest):
        return None
    implied = frames.first + timedelta(seconds=implied_s)
    both = Reference("Decay Factor and Frame Reference Time", "DecayFactor", [implied] * count)
    return frames.judge(both, corrected=True)


def _apart(after_s: float) -> str:
    return f"{abs(after_s):.0f} s {'after' if after_s > 0 else 'before'}"


def average_activity_time_s(*, frame_duration_s: float, half_life_s: float) -> float:
    """Return when, within a frame, the activity equals the frame's mean activity.

    T_average = ln(λT / (1 − e^(−λT))) / λ, a little before the middle of the frame.

    Args:
        frame_duration_s: T, s.
        half_life_s: ln 2 / λ, s.

    Returns:
        Time since the start of the frame, s.

    Raises:
        ValueError: A value is not above 0 s.

    Source: Vácha et al., Comprehensive manual for SUV computation (IBSI-SUV, 2026).
    """
    need_positive("frame_duration_s", frame_duration_s)
    need_positive("half_life_s", half_life_s)
    x = math.log(2.0) * frame_duration_s / half_life_s
    if x < 1e-5:  # ln(x / (1 − e^(−x))) = x/2 − x²/24 …, which loses all digits below
        return frame_duration_s / 2.0
    # ln(1 − e^(−x)) by expm1, so that a long frame does not overflow
    return frame_duration_s * (math.log(x) - math.log(-math.expm1(-x))) / x


def need_positive(name: str, value_s: float) -> None:
    """Refuse a time that is not above 0 s."""
    if not (value_s > 0 and math.isfinite(value_s)):
        raise ValueError(f"{name} must be a finite number above 0 s, got {value_s!r} s.")


EARLIEST_REFERENCE_S = -60.0
"""Of the reference time after the injection, for clocks that are not quite together; ours."""

"""What the headers of a PET or NM series tell: each value is read here, once, when it is wanted.

SUV, times and the correction for decay are functions of such a header. It keeps which attribute
every value came from. A value is read when it is first asked for, so that one that nothing needs
cannot refuse a series; a value that is missing, malformed or at odds between slices is refused by
the name of its attribute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from rpt_cohort import BadInput

from rpt_dosimetry.dicom import vendors
from rpt_dosimetry.dicom.reading import (
    Header,
    Moment,
    check_bounds,
    items,
    missing,
    parse_date,
    parse_datetime,
    parse_time,
    read_clock,
    shown,
    text_of,
)
from rpt_dosimetry.radiation.nuclide import check_half_life, nuclide_of_code

DAY = timedelta(days=1)
_LATE_STARTS = 60.0  # s by which the two forms of the injection's time may differ unremarked
_LONG_HALF_LIFE_S = 12 * 3600.0
_LARGEST_WEIGHT_KG = 1000.0  # above it the value is taken as grams
_LEAST_KG, _MOST_KG = 20.0, 400.0  # the bounds of cycle.json
_LARGEST_HEIGHT_M = 3.0  # above it the value is taken as centimetres
# Ours. A small phantom weighs 1 kg; no scanner's table bears 500 kg.
_WEIGHT_BOUNDS = (1.0, 500.0, "kg")
_HEIGHT_BOUNDS = (0.3, 2.5, "m")
Sex = Literal["M", "F", "O"]
_SEXES: dict[str, Sex] = {"M": "M", "F": "F", "O": "O"}
_SMALLEST_DOSE_BQ = 1e5  # below it the value is taken as MBq
_DOSE_BOUNDS = (1e3, 1e12, "Bq")  # ours: from less than a phantom holds to 1 TBq
_START, _START_OF_DAY = "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStartTime"


@dataclass(frozen=True)
class Patient:
    """Body measures."""

    weight_kg: float
    height_cm: float | None
    sex: Sex | None


class ImageHeader(Header):
    """What PET and NM have in common: nuclide, injection, acquisition."""

    @cached_property
    def coded_nuclide(self) -> str | None:
        """The nuclide of Radionuclide Code Sequence, such as ``F-18``; ``None`` if not known here.

        Raises:
            BadInput: The slices name different nuclides.
        """
        sequence = "RadionuclideCodeSequence"
        codes = {code for one in self.slices for code in self.codes(one, sequence)}
        found = {nuclide_of_code(value=value, meaning=meaning) for value, meaning in codes}
        if len(found) > 1:
            raise BadInput(
                f"{shown(sequence)} must name one nuclide in all slices, and it names several."
            )
        self.remember(sequence, sorted(value for value, _ in codes))
        return found.pop() if found else None

    @staticmethod
    def codes(header: Any, sequence: str) -> list[tuple[str, str]]:
        """Return values and meanings of a code sequence of the radiopharmaceutical."""
        return [
            (text_of(code, "CodeValue"), text_of(code, "CodeMeaning"))
            for item in items(header, "RadiopharmaceuticalInformationSequence")
            for code in items(item, sequence)
        ]

    @property
    def acquired(self) -> list[datetime | None]:
        """When the acquisition of each slice began, ``None`` where it is not told."""
        return self.moments("Acquisition")

    def need_moments(self, kind: str) -> list[datetime]:
        """Return date and time of every slice, refusing a series where one lacks them.

        Raises:
            BadInput: One is missing or malformed.
        """
        for keyword in (f"{kind}Date", f"{kind}Time"):
            if not all(self.texts(keyword)):
                raise missing(keyword, "in every slice to correct for decay")
        return [moment for moment in self.moments(kind) if moment is not None]

    @cached_property
    def injection(self) -> datetime | None:
        """When the radiopharmaceutical was administered, ``None`` where no attribute tells it.

        Radiopharmaceutical Start DateTime, else Start Time on the series' date; one day
        earlier where that would be after the scan began (an injection before midnight).

        Raises:
            BadInput: It is malformed, or more than a day after the scan's begin.
        """
        keyword, moment = _START, self._from_datetime()
        if moment is None:
            keyword, moment = _START_OF_DAY, self._from_time()
        if moment is None:
            return None
        moment = self._before_scan(moment, keyword)
        self.remember_moments((_START, _START_OF_DAY), [moment])
        return moment

    def administration(self, moment: datetime | None) -> Moment | None:
        """Put a moment of ``injection`` with the offset of the series' clock."""
        return None if moment is None else Moment(moment, self.zone)

    def _from_datetime(self) -> datetime | None:
        start = self.text(_START)
        if not start:
            return None
        try:
            written, offset = parse_datetime(start)
        except ValueError:
            if not self.text(_START_OF_DAY):
                read_clock(parse_datetime, start, _START)
            self.warnings.append(
                f"{shown(_START)} is malformed; {shown(_START_OF_DAY)} was used instead."
            )
            return None
        time_of_day = self.if_readable(self._time_of_day)
        moment = self._on_own_clock(written, offset, time_of_day)
        if time_of_day is not None:
            apart_s = abs((moment - _midnight(moment) - time_of_day).total_seconds())
            if min(apart_s, DAY.total_seconds() - apart_s) > _LATE_STARTS:
                self.warnings.append(
                    f"{shown(_START)} and {shown(_START_OF_DAY)} differ by {apart_s:.0f} s; the "
                    "former was used."
                )
        return moment

    def _from_time(self) -> datetime | None:
        """Put Start Time on the series' date."""
        time_of_day = self._time_of_day()
        if time_of_day is None:
            return None
        date = self.text("SeriesDate")
        if not date:
            raise missing("SeriesDate", f"to give {shown(_START_OF_DAY)} its day")
        return read_clock(parse_date, date, "SeriesDate") + time_of_day

    def _time_of_day(self) -> timedelta | None:
        clock = self.text(_START_OF_DAY)
        return read_clock(parse_time, clock, _START_OF_DAY) if clock else None

    def _on_own_clock(
        self, written: datetime, offset: timedelta | None, time_of_day: timedelta | None
    ) -> datetime:
        """Express the injection's date-time on the clock of the series' dates and times."""
        if offset is None:
            return written
        zone = self.if_readable(lambda: self.zone)
        if zone is not None:
            return written - offset + zone
        if time_of_day is None:
            self.warnings.append(
                f"{shown('TimezoneOffsetFromUTC')} is not told; {shown(_START)} was taken as local "
                "time."
            )
            return written
        # Start Time is on the local clock: it tells what the offset alone cannot.
        near = [_midnight(written) + time_of_day + days * DAY for days in (-1, 0, 1)]
        return min(near, key=lambda moment: abs(moment - written))

    def _before_scan(self, moment: datetime, keyword: str) -> datetime:
        """Move an injection that would follow the scan's begin to the day before."""
        told = self._readable("Acquisition") or self._readable("Series")
        if not told or moment <= min(told):
            return moment
        if moment - DAY > min(told):
            raise BadInput(
                f"{shown(keyword)} must be before the scan, and it is {(moment - min(told)).days} "
                "days after. Dates were changed unevenly; export the series anew."
            )
        self.warnings.append(
            f"{shown(keyword)} is after the scan began; the injection was put one day earlier."
        )
        return moment - DAY

    def _readable(self, kind: str) -> list[datetime]:
        """Return the moments that can be read; whoever needs them all refuses later."""
        try:
            return [moment for moment in self.moments(kind) if moment is not None]
        except BadInput:
            return []


class PetHeader(ImageHeader):
    """The header of a PET series, or of a SPECT that is stored as one."""

    def refuse_zone_jump(self) -> None:
        """Refuse a series whose clock changed its time zone on the way."""
        zones = set(self.texts("TimezoneOffsetFromUTC")) - {""}
        if len(zones) > 1:
            raise BadInput(
                f"{shown('TimezoneOffsetFromUTC')} must be one for all slices, and the series "
                f"tells {len(zones)}: its clock jumped during the scan. Export the series anew "
                "with one time zone."
            )

    @property
    def units(self) -> str:
        """Units in capitals."""
        units = self.text("Units").upper()
        if not units:
            raise missing("Units", "to know what the values are")
        return units

    def check_corrections(self, what: str, others: Sequence[tuple[tuple[str, ...], str]]) -> None:
        """Refuse a series without ATTN; warn of the others, which vendors leave out at times.

        Args:
            what: What no value is without them, such as ``SUV``.
            others: Names of a correction in Corrected Image, and what it corrects for.

        Raises:
            BadInput: Corrected Image lacks ATTN.
        """
        corrections = set(self.text("CorrectedImage").upper().split("\\"))
        if "ATTN" not in corrections:
            raise BadInput(
                f"{shown('CorrectedImage')} must contain ATTN, and it does not: without correction "
                f"for attenuation a value is no {what}. Give the corrected series."
            )
        self.warnings += [
            f"{shown('CorrectedImage')} does not contain {' or '.join(names)}: make sure that the "
            f"series is corrected for {of_what}, for without it a value is no {what}."
            for names, of_what in others
            if not corrections & set(names)
        ]

    @cached_property
    def decay_correction(self) -> str:
        """To what the values were corrected for decay: ``ADMIN``, ``START`` or ``NONE``.

        Raises:
            BadInput: Missing, or none of the three.
        """
        told = shown("DecayCorrection")
        correction = self.text("DecayCorrection").upper()
        if not correction:
            raise missing("DecayCorrection", "to know what the values were corrected to")
        if correction not in ("ADMIN", "START", "NONE"):
            raise BadInput(f"{told} must be ADMIN, START or NONE, and it is none of them.")
        decayed = "DECY" in self.text("CorrectedImage").split("\\")
        if decayed == (correction == "NONE"):
            self.warnings.append(
                f"{shown('CorrectedImage')} {'names' if decayed else 'lacks'} DECY and {told} is "
                f"{correction}."
            )
        return correction

    @property
    def half_life_s(self) -> float:
        """The half-life that a correction for decay needs, s.

        Raises:
            BadInput: Missing, not plausible, or not that of the coded nuclide.
        """
        life_s = self.number("RadionuclideHalfLife")
        if life_s is None:
            raise missing("RadionuclideHalfLife", "to correct for decay")
        _, fault = check_half_life(life_s, coded=self.coded_nuclide)
        if fault:
            raise BadInput(
                f"{shown('RadionuclideHalfLife')} must be that of the nuclide in seconds, {fault}"
            )
        return life_s

    @property
    def mid_scan(self) -> datetime | None:
        """The middle between the first frame's begin and the last frame's end, if told."""
        acquired = [moment for moment in self.acquired if moment is not None]
        if len(acquired) < len(self) or not all(self.texts("ActualFrameDuration")):
            return None
        durations_ms = self.numbers("ActualFrameDuration")
        references_ms = []
        if len(set(acquired)) == 1 and all(self.texts("FrameReferenceTime")):
            references_ms = self.numbers("FrameReferenceTime")
        begins = vendors.bed_begins(acquired, references_ms)
        ends = [
            begin + timedelta(milliseconds=one_ms)
            for begin, one_ms in zip(begins, durations_ms, strict=True)
        ]
        return min(begins) + (max(ends) - min(begins)) / 2

    def scan_times(self) -> tuple[datetime | None, datetime | None]:
        """Return begin and middle of the scan, for information only."""
        acquired = self.if_readable(lambda: self.acquired)
        if acquired is None:
            return None, None
        begin = min((moment for moment in acquired if moment is not None), default=None)
        return begin, self.if_readable(lambda: self.mid_scan)

    def injected_bq(self, *, largest_guess_mbq: float) -> float:
        """Read the injected activity, Bq; DICOM gives it with no syringe residual subtracted.

        Args:
            largest_guess_mbq: A value too small for Bq is taken as MBq up to this, MBq.

        Raises:
            BadInput: Missing, not above 0, not plausible, or too small for Bq and too large for
                MBq.
        """
        keyword = "RadionuclideTotalDose"
        dose = self.number(keyword)
        if dose is None:
            raise missing(keyword, "to normalise")
        if dose <= 0:
            raise BadInput(
                f"{shown(keyword)} must be above 0 Bq, got {dose:g}. Correct the header."
            )
        if dose < _SMALLEST_DOSE_BQ:
            if dose > largest_guess_mbq:
                raise BadInput(
                    f"{shown(keyword)} must be in Bq, got {dose:g}: too small for Bq, and as MBq "
                    f"above {largest_guess_mbq:g} MBq. It is likely in kBq or µCi. Multiply kBq by "
                    "1000, or µCi by 37000, and write the result in Bq."
                )
            self.warnings.append(
                f"{shown(keyword)} is {dose:g}, too small for Bq; it was taken as MBq."
            )
            dose *= 1e6
        check_bounds(dose, keyword, _DOSE_BOUNDS)
        return dose

    def warn_of_unknown_day(self, life_s: float) -> None:
        """Warn where only a time of day is told and the nuclide lives for days."""
        if not self.text(_START) and life_s > _LONG_HALF_LIFE_S:
            self.warnings.append(
                f"{shown(_START)} is missing and the half-life is long: an injection on an "
                "earlier day cannot be told from one on the day of the scan."
            )

    @property
    def patient(self) -> Patient:
        """Body measures.

        Raises:
            BadInput: The weight is missing or not plausible. A height or sex that cannot be
                read counts as not told: no branch needs them.
        """
        height_m = self.if_readable(lambda: self._height_m)
        return Patient(
            weight_kg=self._weight_kg,
            height_cm=None if height_m is None else round(height_m * 100.0, 6),
            sex=_SEXES.get((self.if_readable(lambda: self.text("PatientSex")) or "").upper()),
        )

    @property
    def _weight_kg(self) -> float:
        weight, told = self.number("PatientWeight"), shown("PatientWeight")
        if weight is None:
            raise missing("PatientWeight", "to normalise to body weight")
        if weight <= 0:
            raise BadInput(f"{told} must be above 0 kg, got {weight:g}. Correct the header.")
        if weight > _LARGEST_WEIGHT_KG:
            self.warnings.append(f"{told} is {weight:g}, too large for kg; it was taken as g.")
            weight /= 1000.0
        check_bounds(weight, "PatientWeight", _WEIGHT_BOUNDS)
        if not _LEAST_KG <= weight <= _MOST_KG:
            self.warnings.append(f"{told} is {weight:g} kg, which is not plausible for an adult.")
        return weight

    @property
    def _height_m(self) -> float | None:
        height = self.number("PatientSize")
        if not height:
            return None
        if height > _LARGEST_HEIGHT_M:
            self.warnings.append(
                f"{shown('PatientSize')} is {height:g}, too large for m; it was taken as cm."
            )
            height /= 100.0
        check_bounds(height, "PatientSize", _HEIGHT_BOUNDS)
        return height


def seconds_after(injection: datetime | None, moment: datetime | None) -> float | None:
    """Return the time from injection to a moment, s; ``None`` where one is not told."""
    if injection is None or moment is None:
        return None
    return (moment - injection).total_seconds()


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)

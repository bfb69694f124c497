"""A PET series in Bq/mL from SUV, and a CT series from HU.

Source: DICOM PS3.3, A.3 (CT Image IOD), A.21 (PET Image IOD), C.8.2.1 (CT Image), C.8.9.1 (PET
Series) and C.8.9.4 (PET Image). The conversion is the inverse of ``rpt_dosimetry``'s: Bq/mL =
SUV · A(t) / weight, with A(t) the injected activity decayed to the begin of the series.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from jaxtyping import Float, Int16
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, PositronEmissionTomographyImageStorage
from rpt_cohort import BadInput, Volume
from rpt_cohort.schema import TRACERS, Tracer
from rpt_dosimetry.dicom.decay import decayed_activity_bq
from rpt_dosimetry.dicom.reference_time import average_activity_time_s

from rpt_phantom.dicom.header import (
    Administered,
    Slices,
    Visit,
    decimal,
    new_object,
    put_acquisition,
    put_administered,
    put_frame_of_reference,
    put_patient_orientation,
    put_pixels,
    put_place,
    scan_begin,
    slices_of,
    whole_ms,
)

PET_SERIES = "PET, attenuation corrected"
_BQ_PER_MBQ, _G_PER_KG, _S_PER_MIN, _MS_PER_S = 1e6, 1e3, 60.0, 1e3
CT_SERIES = "CT, low dose"
LARGEST_SIGNED = 2**15 - 1
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class PetTiming:
    """What was injected and when was scanned, in one frame for all slices.

    Attributes:
        tracer: The contract's name.
        time_min: Injection to the middle of the scan, min.
    """

    tracer: Tracer
    injected_mbq: float
    time_min: float
    duration_s: float

    def administered(self, injection: datetime) -> Administered:
        """Return the administration.

        Raises:
            BadInput: The tracer is of no nuclide known here.
        """
        if self.tracer not in TRACERS:
            raise BadInput(f"tracer must be one of {', '.join(TRACERS)}, got {self.tracer!r}.")
        nuclide = TRACERS[self.tracer].nuclide
        return Administered(self.tracer, nuclide, self.injected_mbq, injection)

    def begin(self, injection: datetime) -> datetime:
        """Return when the frame begins."""
        return scan_begin(
            injection,
            middle_s=self.time_min * _S_PER_MIN,
            duration_ms=whole_ms(self.duration_s, name="duration_s of the PET"),
            name="The PET",
        )


def pet_series(
    suv: Volume, timing: PetTiming, visit: Visit, *, injection: datetime
) -> list[Dataset]:
    """Make a PET series, one object a slice, decay-corrected to its begin.

    Args:
        suv: Body-weight SUV, g/mL, RAS+ world of NIfTI.
        timing: What was injected and when was scanned.
        visit: Whose study it lies in; the patient's weight normalises.

    Returns:
        The objects along the normal. A SUV comes back within half of its slice's slope.

    Raises:
        BadInput: Values, geometry, times or tracer cannot be written.
    """
    slices = slices_of(suv, name="The SUV")
    begin = timing.begin(injection)
    administered = timing.administered(injection)
    bq_per_ml = slices.values.astype(np.float64) * bq_per_ml_of_suv(
        administered, weight_kg=visit.patient.weight_kg, elapsed=begin - injection
    )
    objects = []
    for index, plane in enumerate(bq_per_ml):
        dataset = new_object(
            visit,
            sop_class=PositronEmissionTomographyImageStorage,
            modality="PT",
            series=PET_SERIES,
            number=2,
            instance=index + 1,
            begin=begin,
        )
        put_frame_of_reference(dataset, visit)
        put_acquisition(dataset, begin)
        put_patient_orientation(dataset)
        put_place(dataset, slices, index)
        put_administered(
            dataset, administered, activity=decimal(administered.activity_mbq * _BQ_PER_MBQ)
        )
        told = dataset.RadiopharmaceuticalInformationSequence[0]
        told.RadionuclideHalfLife = decimal(administered.half_life_s)
        _put_series(dataset, slices)
        _put_frame(dataset, index, timing, administered)
        stored, dataset.RescaleSlope = quantise_signed(plane)
        dataset.RescaleIntercept = "0"
        put_pixels(dataset, stored)
        objects.append(dataset)
    return objects


def bq_per_ml_of_suv(administered: Administered, *, weight_kg: float, elapsed: timedelta) -> float:
    """Return the concentration of SUV 1 g/mL, Bq/mL, at some time after injection.

    Args:
        elapsed: Injection to the time that the values refer to.
    """
    left_bq = decayed_activity_bq(
        activity_bq=administered.activity_mbq * _BQ_PER_MBQ,
        elapsed_s=elapsed.total_seconds(),
        half_life_s=administered.half_life_s,
    )
    return left_bq / (weight_kg * _G_PER_KG)


def quantise_signed(
    values: Float[np.ndarray, "row column"],
) -> tuple[Int16[np.ndarray, "row column"], str]:
    """Store a slice as signed integers with a slope of its own.

    The slope is rounded to what a decimal string holds first; a value comes back within half of
    it.

    Args:
        values: Finite.

    Returns:
        The stored values, and the slope as it is to be written; 1 for a slice of zeros.
    """
    largest = float(np.abs(values).max())
    slope = f"{largest / LARGEST_SIGNED:.10e}" if largest > 0 else "1"
    stored = np.clip(np.rint(values / float(slope)), -LARGEST_SIGNED, LARGEST_SIGNED)
    return stored.astype(np.int16), slope


def _put_series(dataset: Dataset, slices: Slices) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.SeriesType = ["STATIC", "IMAGE"]
    dataset.Units, dataset.CountsSource = "BQML", "EMISSION"
    dataset.NumberOfSlices = len(slices.values)
    dataset.CorrectedImage = ["DECY", "ATTN", "SCAT", "DTIM", "RAN", "NORM"]
    dataset.AttenuationCorrectionMethod = "measured, CT"
    dataset.DecayCorrection = "START"
    dataset.CollimatorType = "NONE"


def _put_frame(dataset: Dataset, index: int, timing: PetTiming, administered: Administered) -> None:
    """Add duration and decay: the values are what was there when the frame began."""
    duration_ms = whole_ms(timing.duration_s, name="duration_s of the PET")
    average_s = average_activity_time_s(
        frame_duration_s=duration_ms / _MS_PER_S, half_life_s=administered.half_life_s
    )
    dataset.ActualFrameDuration = str(duration_ms)
    dataset.FrameReferenceTime = decimal(average_s * _MS_PER_S)
    dataset.DecayFactor = decimal(2.0 ** (average_s / administered.half_life_s))
    dataset.ImageIndex = index + 1


def ct_series(ct_hu: Volume, visit: Visit, *, begin: datetime) -> list[Dataset]:
    """Make a CT series, one object a slice, in the frame of reference of its visit.

    Args:
        ct_hu: HU, whole numbers within int16, RAS+ world of NIfTI.

    Returns:
        The objects along the normal; every HU comes back as it was.

    Raises:
        BadInput: HU that are not whole or do not fit, or a geometry that cannot be written.
    """
    slices = slices_of(ct_hu, name="The CT")
    stored = slices.values.astype(np.float64)
    if not (np.array_equal(np.rint(stored), stored) and _fits(stored)):
        raise BadInput(
            f"HU must be whole numbers from {_INT16.min} to {_INT16.max}, got {stored.min():g} to "
            f"{stored.max():g}. Round and clip them first."
        )
    objects = []
    for index, plane in enumerate(stored.astype(np.int16)):
        dataset = new_object(
            visit,
            sop_class=CTImageStorage,
            modality="CT",
            series=CT_SERIES,
            number=1,
            instance=index + 1,
            begin=begin,
        )
        put_frame_of_reference(dataset, visit)
        put_acquisition(dataset, begin)
        put_place(dataset, slices, index)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.PatientPosition = "HFS"
        dataset.KVP = ""  # nothing was simulated of the tube
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = "1", "0", "HU"
        put_pixels(dataset, plane)
        objects.append(dataset)
    return objects


def _fits(values: np.ndarray) -> bool:
    return bool(values.min() >= _INT16.min and values.max() <= _INT16.max)

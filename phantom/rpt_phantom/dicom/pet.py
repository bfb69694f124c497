"""A PET series in Bq/mL from SUV.

Source: DICOM PS3.3, A.21 (PET Image IOD), C.8.9.1 (PET Series) and C.8.9.4 (PET Image). The
conversion is the inverse of ``rpt_dosimetry.suv``: Bq/mL = SUV · A(t) / weight, with A(t) the
injected activity decayed to the begin of the series.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage
from rpt_cohort import BadInput, Volume
from rpt_cohort.schema import Tracer
from rpt_dosimetry.dicom.decay import decayed_activity_bq
from rpt_dosimetry.dicom.reference_time import average_activity_time_s

from rpt_phantom.dicom.header import (
    decimal,
    new_object,
    put_acquisition,
    put_frame_of_reference,
)
from rpt_phantom.dicom.isotope import (
    NUCLIDE_OF_TRACER,
    Administered,
    put_administered,
    put_patient_orientation,
)
from rpt_phantom.dicom.planes import Slices, put_pixels, put_place, quantise_signed, slices_of
from rpt_phantom.dicom.visit import Visit, scan_begin, whole_ms

SERIES = "PET, attenuation corrected"
_BQ_PER_MBQ, _G_PER_KG, _S_PER_MIN, _MS_PER_S = 1e6, 1e3, 60.0, 1e3


@dataclass(frozen=True)
class PetTiming:
    """What was injected and when was scanned, in one frame for all slices.

    Attributes:
        tracer: The contract's name.
        injected_mbq: Injected activity, MBq.
        time_min: Injection to the middle of the scan, min.
        duration_s: Of the frame, s.
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
        nuclide = NUCLIDE_OF_TRACER.get(self.tracer)
        if nuclide is None:
            raise BadInput(
                f"tracer must be one of {', '.join(NUCLIDE_OF_TRACER)}, got {self.tracer!r}."
            )
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
        injection: Begin of the injection.

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
            series=SERIES,
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
        administered: The injection.
        weight_kg: Body weight, kg.
        elapsed: Injection to the time that the values refer to.
    """
    left_bq = decayed_activity_bq(
        activity_bq=administered.activity_mbq * _BQ_PER_MBQ,
        elapsed_s=elapsed.total_seconds(),
        half_life_s=administered.half_life_s,
    )
    return left_bq / (weight_kg * _G_PER_KG)


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

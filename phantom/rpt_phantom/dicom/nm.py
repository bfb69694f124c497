"""Lu-177 as NM objects in counts: a reconstructed SPECT, and whole-body planar views.

Source: DICOM PS3.3, A.5 (NM Image IOD), C.8.4.8 (NM Multi-frame), C.8.4.9 (NM Image), C.8.4.11 (NM
Detector), C.8.4.12 (NM TOMO Acquisition) and C.8.4.15 (NM Reconstruction); codes of PS3.16, context
group 26. The NM module has no rescale slope; a Real World Value Mapping (C.7.6.16.2.11), which any
image may have, tells what stored values are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from jaxtyping import Shaped, UInt16
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import NuclearMedicineImageStorage
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.dicom.nm import EnergyWindow

from rpt_phantom.dicom.header import (
    Administered,
    Visit,
    code,
    decimal,
    item,
    new_object,
    put_acquisition,
    put_administered,
    put_frame_of_reference,
    put_patient_orientation,
    put_pixels,
    scan_begin,
    slices_of,
    whole_ms,
)

LU_177_PEAK = EnergyWindow(187.5, 229.2)
LU_177_LOWER = EnergyWindow(166.7, 187.5)
LU_177_UPPER = EnergyWindow(229.2, 250.0)
"""20 % about 208.4 keV and 10 % on either side, keV. Source: MIRD Pamphlet 26, J Nucl Med 57
(2016) 151."""
LARGEST_UNSIGNED = 2**16 - 1
SPECT_SERIES = "SPECT, reconstructed"
SLICE_VECTOR = Tag(0x0054, 0x0080)
_S_PER_H = 3600.0
_WHOLE_TURN_DEG = 360.0
PLANAR_SERIES = "Whole body, anterior and posterior"
ENERGY_WINDOW_VECTOR, DETECTOR_VECTOR = Tag(0x0054, 0x0010), Tag(0x0054, 0x0020)
_VIEWS = (
    (code("399321004", "SCT", "Anterior projection"), ["1", "0", "0", "0", "0", "-1"]),
    (code("399001007", "SCT", "Posterior projection"), ["-1", "0", "0", "0", "0", "-1"]),
)
"""View code, and the directions of a row and of a column, LPS: the head is on top."""


def nm_object(
    counts: Shaped[np.ndarray, "frame row column"],
    visit: Visit,
    *,
    kind: str,
    series: str,
    administered: Administered,
    windows: Sequence[EnergyWindow],
    begin: datetime,
) -> Dataset:
    """Begin an NM object: frames of counts, energy windows and what was administered.

    Args:
        kind: Third value of Image Type, such as ``RECON TOMO``.
        series: Description of the series.
        administered: What was given; its nuclide is Lu-177.
        windows: Energy windows, in the order that a vector counts them.

    Returns:
        A dataset without vectors, detectors and places.

    Raises:
        BadInput: Counts that are negative or not finite, or none.
    """
    dataset = new_object(
        visit,
        sop_class=NuclearMedicineImageStorage,
        modality="NM",
        series=series,
        number=2,
        begin=begin,
    )
    put_frame_of_reference(dataset, visit)
    put_acquisition(dataset, begin)
    put_patient_orientation(dataset)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", kind, "EMISSION"]
    put_administered(dataset, administered, activity=decimal(administered.activity_mbq))
    dataset.NumberOfEnergyWindows = len(windows)
    dataset.EnergyWindowInformationSequence = [_window(one) for one in windows]
    dataset.CountsAccumulated = ""  # of the projections, which were not simulated as such
    stored, counts_of_one = quantise_counts(counts, name="The counts")
    put_pixels(dataset, stored)
    dataset.NumberOfFrames = str(len(stored))
    dataset.RealWorldValueMappingSequence = [_mapping(stored, counts_of_one)]
    return dataset


def quantise_counts(
    counts: Shaped[np.ndarray, "*shape"], *, name: str
) -> tuple[UInt16[np.ndarray, "*shape"], float]:
    """Store counts as unsigned integers: as they are where they fit, else with one slope.

    Args:
        counts: Counts, 0 or above.

    Returns:
        The stored values, and the counts that one of them stands for.

    Raises:
        BadInput: Counts are negative or not finite, or there are none.
    """
    exact = np.asarray(counts, dtype=np.float64)
    if not (np.isfinite(exact).all() and exact.min() >= 0 and exact.max() > 0):
        raise BadInput(
            f"{name} must be finite, 0 or above and somewhere above 0, got {exact.min():g} to "
            f"{exact.max():g} counts."
        )
    stored = np.rint(exact)
    if exact.max() <= LARGEST_UNSIGNED and np.array_equal(stored, exact):
        return stored.astype(np.uint16), 1.0
    slope = float(exact.max()) / LARGEST_UNSIGNED
    return np.minimum(np.rint(exact / slope), LARGEST_UNSIGNED).astype(np.uint16), slope


def _window(window: EnergyWindow) -> Dataset:
    limits = item(
        EnergyWindowLowerLimit=decimal(window.lower_kev),
        EnergyWindowUpperLimit=decimal(window.upper_kev),
    )
    name = f"{window.lower_kev:g}-{window.upper_kev:g}keV"
    return item(EnergyWindowName=name[:16], EnergyWindowRangeSequence=[limits])


def _mapping(stored: np.ndarray, counts_of_one: float) -> Dataset:
    mapping = item(
        LUTExplanation="Counts",
        LUTLabel="counts",
        RealWorldValueIntercept=0.0,
        RealWorldValueSlope=counts_of_one,
        MeasurementUnitsCodeSequence=[code("{counts}", "UCUM", "counts")],
    )
    # US or SS by the pixels' sign; here they are unsigned.
    mapping.add_new("RealWorldValueFirstValueMapped", "US", 0)
    mapping.add_new("RealWorldValueLastValueMapped", "US", int(stored.max()))
    return mapping


@dataclass(frozen=True)
class SpectTiming:
    """When and how a SPECT was acquired.

    Attributes:
        time_h: Begin of infusion to the middle of the scan, h.
        heads: Detector heads that acquired at a time.
        stops: Angular positions of each head; all together fill one turn.
    """

    time_h: float
    duration_s: float
    heads: int = 2
    stops: int = 60

    def begin(self, infusion: datetime) -> datetime:
        """Return when the scan begins.

        Raises:
            BadInput: Before the infusion, or :meth:`stop_ms` refuses.
        """
        return scan_begin(
            infusion,
            middle_s=self.time_h * _S_PER_H,
            duration_ms=self.stop_ms() * self.stops,
            name="The SPECT",
        )

    def stop_ms(self) -> int:
        """Return the time of one angular position, ms.

        Raises:
            BadInput: The stops do not divide the duration into whole milliseconds, or no camera
                has such heads and stops.
        """
        if not (1 <= self.heads <= 16 and 1 <= self.stops <= 1000):
            raise BadInput(
                f"heads must be 1 to 16 and stops 1 to 1000, got {self.heads} and {self.stops}."
            )
        name = f"duration_s of the SPECT over {self.stops} stops"
        return whole_ms(self.duration_s / self.stops, name=name)


def tomogram(
    counts: Volume, timing: SpectTiming, visit: Visit, *, administered: Administered
) -> Dataset:
    """Make an NM object of a reconstructed SPECT.

    Args:
        counts: Reconstructed counts, 0 or above, not corrected for decay, RAS+ world of NIfTI.
        timing: When and how it was acquired.

    Returns:
        One object, slices along the normal. Whole counts up to 65,535 come back as they are,
        others within half of 1/65,535 of the largest.

    Raises:
        BadInput: Values, geometry or times cannot be written.
    """
    slices = slices_of(counts, name="The SPECT")
    dataset = nm_object(
        slices.values,
        visit,
        kind="RECON TOMO",
        series=SPECT_SERIES,
        administered=administered,
        windows=[LU_177_PEAK],
        begin=timing.begin(administered.begin),
    )
    dataset.FrameIncrementPointer = SLICE_VECTOR
    dataset.NumberOfSlices = len(slices.values)
    dataset.SliceVector = list(range(1, len(slices.values) + 1))
    dataset.CorrectedImage = ["UNIF", "COR", "ATTN", "SCAT"]
    dataset.PixelSpacing = list(slices.grid.spacing_mm)
    # The sign tells on which side of the first slice the others stand: along the normal.
    dataset.SpacingBetweenSlices = dataset.SliceThickness = slices.grid.offsets_mm[1]
    dataset.NumberOfDetectors = 1
    dataset.DetectorInformationSequence = [
        item(
            CollimatorType="PARA",
            FocalDistance="0",
            ImagePositionPatient=slices.position_mm(0),
            ImageOrientationPatient=list(slices.grid.orientation),
        )
    ]
    dataset.NumberOfRotations = 1
    dataset.RotationInformationSequence = [_rotation(timing)]
    return dataset


def _rotation(timing: SpectTiming) -> Dataset:
    """Tell the frames of all heads, which fill the turn together."""
    frames = timing.heads * timing.stops
    return item(
        StartAngle="0",
        AngularStep=decimal(_WHOLE_TURN_DEG / frames),
        RotationDirection="CW",
        ScanArc=decimal(_WHOLE_TURN_DEG),
        ActualFrameDuration=str(timing.stop_ms()),
        NumberOfFramesInRotation=frames,
        TableTraverse="",
        TableHeight="",
    )


@dataclass(frozen=True)
class WholeBody:
    """Whole-body views in several energy windows.

    Attributes:
        anterior: Counts from in front, shape (window, x, z): x runs to the patient's right, z to
            the head, as in ``rpt_dosimetry.dicom.planar``.
        posterior: Counts from behind, on the same axes.
        pixel_mm: Distance of pixels along x and z, mm.
        time_h: Begin of infusion to the middle of the scan, h.
        duration_s: Of the whole view, s.
        velocity_mm_per_s: Of the table, mm/s.
        windows: Energy windows, in the order of the first axis.
    """

    anterior: Shaped[np.ndarray, "window x z"]
    posterior: Shaped[np.ndarray, "window x z"]
    pixel_mm: tuple[float, float]
    time_h: float
    duration_s: float
    velocity_mm_per_s: float
    windows: tuple[EnergyWindow, ...] = (LU_177_PEAK, LU_177_LOWER, LU_177_UPPER)

    def __post_init__(self) -> None:
        """Refuse views that do not fit together and sizes that cannot be."""
        shapes = {self.anterior.shape, self.posterior.shape}
        if len(shapes) > 1 or len(self.anterior) != len(self.windows):
            raise BadInput(
                "anterior and posterior must have one shape and a plane for each of "
                f"{len(self.windows)} windows, got {self.anterior.shape} and "
                f"{self.posterior.shape}."
            )
        if not min(self.pixel_mm) > 0 or not self.velocity_mm_per_s > 0:
            raise BadInput(
                "pixel_mm and velocity_mm_per_s must be above 0, got "
                f"{self.pixel_mm} mm and {self.velocity_mm_per_s!r} mm/s."
            )

    def begin(self, infusion: datetime) -> datetime:
        """Return when the scan begins.

        Raises:
            BadInput: Before the infusion, or the duration cannot be written.
        """
        return scan_begin(
            infusion,
            middle_s=self.time_h * _S_PER_H,
            duration_ms=self.duration_ms,
            name="The whole-body scan",
        )

    @property
    def duration_ms(self) -> int:
        """Duration as it is written, ms."""
        return whole_ms(self.duration_s, name="duration_s of the whole-body scan")


def whole_body(views: WholeBody, visit: Visit, *, administered: Administered) -> Dataset:
    """Make an NM object of whole-body views.

    Returns:
        One object; frames go through the detectors within each energy window. Counts come back
        as those of a tomogram.

    Raises:
        BadInput: Counts or times cannot be written.
    """
    dataset = nm_object(
        _frames(views),
        visit,
        kind="WHOLE BODY",
        series=PLANAR_SERIES,
        administered=administered,
        windows=views.windows,
        begin=views.begin(administered.begin),
    )
    heads, windows = len(_VIEWS), len(views.windows)
    dataset.FrameIncrementPointer = [ENERGY_WINDOW_VECTOR, DETECTOR_VECTOR]
    dataset.EnergyWindowVector = [one for one in range(1, windows + 1) for _ in range(heads)]
    dataset.DetectorVector = list(range(1, heads + 1)) * windows
    dataset.NumberOfDetectors = heads
    dataset.DetectorInformationSequence = [_detector(*view) for view in _VIEWS]
    x_mm, z_mm = views.pixel_mm
    dataset.PixelSpacing = [decimal(z_mm), decimal(x_mm)]  # of rows, then of columns
    dataset.ActualFrameDuration = str(views.duration_ms)
    dataset.WholeBodyTechnique = "1PS"
    dataset.ScanVelocity = decimal(views.velocity_mm_per_s)
    dataset.ScanLength = str(round(views.anterior.shape[2] * z_mm))
    return dataset


def _frames(views: WholeBody) -> Shaped[np.ndarray, "frame row column"]:
    """Turn planes to images as a person sees them: the head on top, the back from behind."""
    head_on_top = [
        plane[:, :, ::-1].transpose(0, 2, 1) for plane in (views.anterior, views.posterior)
    ]
    # From in front the patient's right is on the left of the image.
    both = np.stack([head_on_top[0][:, :, ::-1], head_on_top[1]], axis=1)
    return both.reshape(-1, *both.shape[2:])


def _detector(view: Dataset, orientation: list[str]) -> Dataset:
    return item(
        CollimatorType="PARA",
        FocalDistance="0",
        ImagePositionPatient=None,  # type 2: a camera need not know where the patient lies
        ImageOrientationPatient=orientation,
        ViewCodeSequence=[view],
    )

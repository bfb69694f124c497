"""Whole-body planar views from in front and behind, as one NM object in counts.

Source: DICOM PS3.3, C.8.4.8 (NM Multi-frame), C.8.4.9 (NM Image) and C.8.4.11 (NM Detector);
codes of PS3.16, context group 26.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from jaxtyping import Shaped
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from rpt_cohort import BadInput
from rpt_dosimetry.dicom.nm import EnergyWindow

from rpt_phantom.dicom.header import code, decimal, item
from rpt_phantom.dicom.isotope import Administered
from rpt_phantom.dicom.nm import LU_177_LOWER, LU_177_PEAK, LU_177_UPPER, nm_object
from rpt_phantom.dicom.visit import Visit, scan_begin, whole_ms

SERIES = "Whole body, anterior and posterior"
ENERGY_WINDOW_VECTOR, DETECTOR_VECTOR = Tag(0x0054, 0x0010), Tag(0x0054, 0x0020)
_S_PER_H = 3600.0
_VIEWS = (
    (code("399321004", "SCT", "Anterior projection"), ["1", "0", "0", "0", "0", "-1"]),
    (code("399001007", "SCT", "Posterior projection"), ["-1", "0", "0", "0", "0", "-1"]),
)
"""View code, and the directions of a row and of a column, LPS: the head is on top."""


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

    Args:
        views: The views.
        visit: Whose study it lies in.
        administered: The therapy.

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
        series=SERIES,
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

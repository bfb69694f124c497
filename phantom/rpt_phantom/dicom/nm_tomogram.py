"""A reconstructed SPECT as NM tomography in counts.

Source: DICOM PS3.3, C.8.4.8 (NM Multi-frame), C.8.4.11 (NM Detector), C.8.4.12 (NM TOMO
Acquisition) and C.8.4.15 (NM Reconstruction).
"""

from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from rpt_cohort import BadInput, Volume

from rpt_phantom.dicom.header import decimal, item
from rpt_phantom.dicom.isotope import Administered
from rpt_phantom.dicom.nm import LU_177_PEAK, nm_object
from rpt_phantom.dicom.planes import slices_of
from rpt_phantom.dicom.visit import Visit, scan_begin, whole_ms

SERIES = "SPECT, reconstructed"
SLICE_VECTOR = Tag(0x0054, 0x0080)
_S_PER_H = 3600.0
_WHOLE_TURN_DEG = 360.0


@dataclass(frozen=True)
class SpectTiming:
    """When and how a SPECT was acquired.

    Attributes:
        time_h: Begin of infusion to the middle of the scan, h.
        duration_s: Of the scan, s.
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
        visit: Whose study it lies in.
        administered: The therapy.

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
        series=SERIES,
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

"""What tomography and planar views of Lu-177 have in common as NM objects.

Source: DICOM PS3.3, A.5 (NM Image IOD) and C.8.4. The NM module has no rescale slope; a Real
World Value Mapping (C.7.6.16.2.11), which any image may have, tells what stored values are.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from jaxtyping import Shaped
from pydicom.dataset import Dataset
from pydicom.uid import NuclearMedicineImageStorage
from rpt_dosimetry.dicom.nm import EnergyWindow

from rpt_phantom.dicom.header import (
    code,
    decimal,
    item,
    new_object,
    put_acquisition,
    put_frame_of_reference,
)
from rpt_phantom.dicom.isotope import Administered, put_administered, put_patient_orientation
from rpt_phantom.dicom.planes import put_pixels, quantise_counts
from rpt_phantom.dicom.visit import Visit

LU_177_PEAK = EnergyWindow(187.5, 229.2)
LU_177_LOWER = EnergyWindow(166.7, 187.5)
LU_177_UPPER = EnergyWindow(229.2, 250.0)
"""20 % about 208.4 keV and 10 % on either side, keV. Source: MIRD Pamphlet 26, J Nucl Med 57
(2016) 151."""


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
        counts: Counts of every frame.
        visit: Whose study it lies in.
        kind: Third value of Image Type, such as ``RECON TOMO``.
        series: Description of the series.
        administered: What was given; its nuclide is Lu-177.
        windows: Energy windows, in the order that a vector counts them.
        begin: Begin of the scan.

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

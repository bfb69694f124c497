"""A CT series from HU.

Source: DICOM PS3.3, A.3 (CT Image IOD) and C.8.2.1 (CT Image).
"""

from datetime import datetime

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from rpt_cohort import BadInput, Volume

from rpt_phantom.dicom.header import new_object, put_acquisition, put_frame_of_reference
from rpt_phantom.dicom.planes import put_pixels, put_place, slices_of
from rpt_phantom.dicom.visit import Visit

SERIES = "CT, low dose"
_INT16 = np.iinfo(np.int16)


def ct_series(ct_hu: Volume, visit: Visit, *, begin: datetime) -> list[Dataset]:
    """Make a CT series, one object a slice, in the frame of reference of its visit.

    Args:
        ct_hu: HU, whole numbers within int16, RAS+ world of NIfTI.
        visit: Whose study it lies in.
        begin: Begin of the CT.

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
            series=SERIES,
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

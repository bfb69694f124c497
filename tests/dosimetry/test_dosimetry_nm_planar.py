"""Whole-body views of NM objects come back as planes of one orientation."""

import numpy as np
import pytest
from helpers.dicom import LOWER, PEAK, UPPER, NmObject, item
from pydicom.sequence import Sequence as Items
from rpt_cohort import BadInput
from rpt_dosimetry.dicom.nm import WHOLE_BODY, EnergyWindow, read_nm
from rpt_dosimetry.dicom.planar import ANTERIOR, POSTERIOR, read_planar

ROWS, COLUMNS = 7, 5
# A body seen from in front, shape (x, z): x to the patient's right, z to the head.
BODY = np.random.default_rng(1).integers(1, 500, (COLUMNS, ROWS)).astype(np.uint16)


def as_seen(body: np.ndarray, view: str) -> np.ndarray:
    """Rows from the head down; from in front the patient's right is on the left."""
    across = body if view == POSTERIOR else body[::-1]
    return across[:, ::-1].T


def whole_body(**changes) -> NmObject:
    """Two views in three windows: frames go by window, then by detector."""
    frames = [
        as_seen(BODY * factor + (view == POSTERIOR), view)
        for factor in (1, 2, 3)
        for view in (ANTERIOR, POSTERIOR)
    ]
    values = {"kind": "WHOLE BODY", "windows": (PEAK, LOWER, UPPER), "pixel_mm": (2.4, 2.0)}
    return NmObject(np.stack(frames), **(values | changes))


@pytest.fixture
def read(tmp_path):
    def run(nm: NmObject):
        return read_planar(read_nm(nm.write(tmp_path / "wb.dcm"), kind=WHOLE_BODY))

    return run


def check(found) -> None:
    for factor, limits in enumerate((PEAK, LOWER, UPPER), start=1):
        for view in (ANTERIOR, POSTERIOR):
            plane = found.plane(view, EnergyWindow(*limits))
            np.testing.assert_array_equal(plane.counts, BODY * factor + (view == POSTERIOR))


def test_views_and_windows(read) -> None:
    found = read(whole_body(set={"ScanVelocity": "2.5"}))
    check(found)
    assert found.planes[0].pixel_mm == (2.0, 2.4)
    assert found.times.duration_s == 1200
    assert found.velocity_mm_per_s == 2.5
    assert found.injection_to_mid_scan_s == 4 * 3600 + 600
    assert found.administration.activity_mbq == 7400


def test_order_of_the_detectors(read) -> None:
    """What the views are told to be counts, not their order."""
    nm = whole_body(views=(("", "Posterior projection"), ("", "anterior")))
    nm.stored = nm.stored[[1, 0, 3, 2, 5, 4]]
    check(read(nm))


def test_views_by_code_alone(read) -> None:
    check(read(whole_body(views=(("G-5215", ""), ("G-5216", "")))))


@pytest.mark.parametrize("mirrored", [False, True])
def test_views_by_orientation(mirrored, read) -> None:
    """Without codes, the normal tells the view; a mirrored posterior is turned back."""
    nm = whole_body()

    def change(dataset) -> None:
        anterior = item(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
        posterior = item(ImageOrientationPatient=[-1, 0, 0, 0, 0, -1])
        if mirrored:  # head at the bottom, and so left and right swapped
            posterior = item(ImageOrientationPatient=[1, 0, 0, 0, 0, 1])
        dataset.DetectorInformationSequence = Items([anterior, posterior])

    nm.change = change
    if mirrored:
        nm.stored[1::2] = nm.stored[1::2, ::-1, ::-1]
    check(read(nm))


def test_each_view_in_an_object_of_its_own(tmp_path) -> None:
    whole = whole_body()
    for number, view in enumerate(whole.views):
        NmObject(
            whole.stored[number::2],
            kind="WHOLE BODY",
            windows=whole.windows,
            pixel_mm=whole.pixel_mm,
            views=(view,),
            set={"SOPInstanceUID": f"1.2.{number}"},
        ).write(tmp_path / f"{number}.dcm")
    check(read_planar(read_nm(tmp_path, kind=WHOLE_BODY)))


def several_ranges(dataset) -> None:
    ranges = dataset.EnergyWindowInformationSequence[0].EnergyWindowRangeSequence
    ranges.append(item(EnergyWindowLowerLimit="100", EnergyWindowUpperLimit="120"))


def upside_down_limits(dataset) -> None:
    limits = dataset.EnergyWindowInformationSequence[0].EnergyWindowRangeSequence[0]
    limits.EnergyWindowLowerLimit = "300"


REFUSED = {
    "view unknown": ({"views": (("", ""), ("G-5216", ""))}, "(0054,0220) must tell"),
    "oblique": (
        {"views": (("", "Left anterior oblique"), ("G-5216", ""))},
        "(0054,0220) must tell",
    ),
    "detectors": ({"set": {"DetectorInformationSequence": None}}, "(0054,0022) must hold"),
    "detector vector": ({"set": {"DetectorVector": [1, 2, 3, 1, 2, 3]}}, "(0054,0022) must hold"),
    "time slices": ({"set": {"TimeSliceVector": [1, 2] * 3}}, "(0054,0100) must tell one index"),
    "ranges": ({"change": several_ranges}, "(0054,0013) must hold one range"),
    "limits": ({"change": upside_down_limits}, "(0054,0014) must be below"),
    "static": ({"kind": "STATIC"}, "(0008,0008) must tell WHOLE BODY"),
    "pixels": ({"set": {"PixelSpacing": None}}, "(0028,0030) must be two numbers"),
    "sagittal": (
        {
            "change": lambda dataset: setattr(
                dataset.DetectorInformationSequence[0],
                "ImageOrientationPatient",
                [0, 1, 0, 0, 0, -1],
            )
        },
        "(0020,0037) of a whole-body view must be coronal",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, read) -> None:
    changes, told = REFUSED[case]
    with pytest.raises(BadInput) as refusal:
        read(whole_body(**changes))
    assert told in str(refusal.value)


def test_a_window_that_is_not_there(read) -> None:
    with pytest.raises(BadInput, match="one anterior view of 10–20 keV, got 0"):
        read(whole_body()).plane(ANTERIOR, EnergyWindow(10, 20))

"""Reconstructed tomography of NM objects: the same counts, geometry and times come back."""

import itertools

import numpy as np
import pydicom
import pytest
from helpers.dicom import PATIENT, NmObject, code, item
from hypothesis import given
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from pydicom.sequence import Sequence as Items
from rpt_cohort import BadInput
from rpt_dosimetry.dicom.nm import BQ_PER_ML, COUNTS, RECON_TOMO, read_nm
from rpt_dosimetry.dicom.spect import read_tomogram

STORED = np.random.default_rng(0).integers(0, 30000, (6, 5, 4)).astype(np.uint16)
OBLIQUE = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)


@pytest.fixture
def read(tmp_path):
    """Write an NM object and read it back."""
    count = itertools.count()

    def run(nm: NmObject, *, heads: int = 2):
        path = nm.write(tmp_path / f"{next(count)}" / "spect.dcm")
        return read_tomogram(read_nm(path, kind=RECON_TOMO), heads=heads)

    return run


def value_at(volume, lps_mm) -> float:
    """The voxel nearest to a DICOM position."""
    ras_mm = np.array(lps_mm) * (-1, -1, 1)
    index = apply_affine(np.linalg.inv(volume.affine), ras_mm)
    near = np.rint(index).astype(int)
    np.testing.assert_allclose(index, near, atol=1e-3)
    return float(volume.data[tuple(near)])


def check_places(found, nm: NmObject, quantity) -> None:
    """Every stored value lies where the standard says, computed one voxel at a time."""
    row, column = np.array(nm.cosines[:3]), np.array(nm.cosines[3:])
    normal = np.cross(row, column)
    for k, j, i in [(0, 0, 0), (5, 0, 0), (0, 4, 0), (0, 0, 3), (2, 3, 1)]:
        place = (
            np.array(nm.position_mm)
            + i * nm.pixel_mm[1] * row
            + j * nm.pixel_mm[0] * column
            + k * nm.spacing_mm * normal
        )
        assert value_at(found.volume, place) == pytest.approx(quantity(nm.stored[k, j, i]))


@pytest.mark.parametrize("spacing_mm", [5.0, -5.0])
@pytest.mark.parametrize("cosines", [(1, 0, 0, 0, 1, 0), OBLIQUE, (-1, 0, 0, 0, -1, 0)])
def test_both_slice_orders(spacing_mm, cosines, read) -> None:
    nm = NmObject(STORED, spacing_mm=spacing_mm, cosines=cosines, pixel_mm=(4.0, 3.0))
    found = read(nm)
    assert found.scaling.quantity == COUNTS
    assert found.volume.data.sum() == STORED.sum()
    np.testing.assert_allclose(sorted(found.volume.spacing_mm), [3.0, 4.0, 5.0], atol=1e-6)
    check_places(found, nm, float)


@given(st.permutations(range(2, 7)), st.sampled_from([3.0, -7.5]))
def test_slice_vector(tmp_path_factory, rest, spacing_mm) -> None:
    """Frames in any order after the first give the volume of the ordered frames."""
    order = [1, *rest]
    folder = tmp_path_factory.mktemp("vector")
    shuffled = NmObject(
        STORED[[number - 1 for number in order]], spacing_mm=spacing_mm, set={"SliceVector": order}
    )
    straight = NmObject(STORED, spacing_mm=spacing_mm)
    a, b = (
        read_tomogram(read_nm(nm.write(folder / "a.dcm"), kind=RECON_TOMO), heads=2).volume
        for nm in (shuffled, straight)
    )
    np.testing.assert_array_equal(a.data, b.data)
    np.testing.assert_array_equal(a.affine, b.affine)


def test_times_and_administration(read) -> None:
    found = read(NmObject(STORED))
    assert found.times.duration_s == 25 * 60 / 2
    assert found.injection_to_mid_scan_s == 4 * 3600 + 25 * 60 / 4
    assert found.administration.activity_mbq == 7400
    assert found.administration.nuclide == "Lu-177"
    assert [(w.lower_kev, w.upper_kev) for w in found.windows] == [(187.5, 229.2)]


ROTATIONS = {
    "one head": (1, 360, 6, 60, 1500.0),
    "frames of both heads": (2, 360, 6, 60, 750.0),
    "frames of one head": (2, 360, 6, 30, 750.0),
    "arc of one head or of both": (2, 180, 6, 30, None),
    "half a turn by one head": (1, 180, 6, 30, 750.0),
    "no arc told": (2, None, None, 60, 750.0),
}


@pytest.mark.parametrize("case", ROTATIONS)
def test_duration(case, read) -> None:
    heads, arc, step, frames, expected_s = ROTATIONS[case]
    rotation = item(ActualFrameDuration="25000", NumberOfFramesInRotation=frames)
    if arc is not None:
        rotation.ScanArc, rotation.AngularStep = str(arc), str(step)
    found = read(
        NmObject(STORED, set={"RotationInformationSequence": Items([rotation])}), heads=heads
    )
    assert found.times.duration_s == expected_s


def test_duration_that_contradicts_itself(read) -> None:
    rotation = item(
        ActualFrameDuration="25000", NumberOfFramesInRotation=45, ScanArc="360", AngularStep="6"
    )
    found = read(NmObject(STORED, set={"RotationInformationSequence": Items([rotation])}))
    assert found.times.duration_s is None
    assert any("(0054,0053)" in one for one in found.warnings)


def test_several_beds_tell_no_duration(read) -> None:
    rotations = [item(ActualFrameDuration="25000", NumberOfFramesInRotation=60) for _ in range(2)]
    found = read(NmObject(STORED, set={"RotationInformationSequence": Items(rotations)}))
    assert found.times.duration_s is None


def test_a_decay_correction_of_unknown_time(read, tmp_path) -> None:
    assert not read(NmObject(STORED, set={"CorrectedImage": ["ATTN", "SCAT"]})).warnings
    corrected = NmObject(STORED, set={"CorrectedImage": ["ATTN", "DECY"]})
    with pytest.raises(BadInput, match=r"\(0028,0051\) names DECY.*Give decay_reference: scan"):
        read(corrected)

    def told(reference: str):
        path = corrected.write(tmp_path / "decy.dcm")
        return read_tomogram(read_nm(path, kind=RECON_TOMO), heads=2, decay_reference=reference)

    as_it_is = read(NmObject(STORED)).volume.data
    np.testing.assert_array_equal(told("scan").volume.data, as_it_is)
    left = 2 ** (-(4 + 375 / 3600) / (6.647 * 24))  # to the injection, 4 h before
    np.testing.assert_allclose(told("injection").volume.data, as_it_is * left, rtol=1e-6)
    with pytest.raises(BadInput, match="must be one of scan, injection"):
        told("now")
    corrected = NmObject(STORED)
    with pytest.raises(BadInput, match="must be left out where"):
        told("injection")


def test_no_attenuation_correction_is_told(read) -> None:
    found = read(NmObject(STORED, set={"CorrectedImage": ["UNIF"]}))
    assert any("does not contain ATTN" in one for one in found.warnings)


def test_no_rotation_told(read) -> None:
    found = read(NmObject(STORED, set={"RotationInformationSequence": None}))
    assert found.times.duration_s is None
    assert found.injection_to_mid_scan_s is None


def test_dose_in_becquerel(read) -> None:
    def change(dataset) -> None:
        dataset.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = "7400000000"

    found = read(NmObject(STORED, change=change))
    assert found.administration.activity_mbq == 7400
    assert any("taken as Bq" in one for one in found.warnings)


def test_rescale(read) -> None:
    nm = NmObject(STORED, set={"RescaleSlope": "0.25", "RescaleIntercept": "3"})
    found = read(nm)
    assert found.scaling.branch == "rescale slope"
    check_places(found, nm, lambda stored: stored * 0.25 + 3)


def mapping(units: str, slope: float, intercept: float, first=0, last=65535):
    return Items(
        [
            item(
                MeasurementUnitsCodeSequence=Items([code(units, units, "UCUM")]),
                RealWorldValueFirstValueMapped=first,
                RealWorldValueLastValueMapped=last,
                RealWorldValueSlope=slope,
                RealWorldValueIntercept=intercept,
            )
        ]
    )


@pytest.mark.parametrize(
    ("units", "quantity", "size"),
    [("{counts}", COUNTS, 1), ("Bq/ml", BQ_PER_ML, 1), ("kBq/mL", BQ_PER_ML, 1000)],
)
def test_real_world_values(units, quantity, size, read) -> None:
    """The mapping is of the stored value; a rescale slope beside it is not applied on top."""
    nm = NmObject(
        STORED,
        set={"RealWorldValueMappingSequence": mapping(units, 0.5, 1.0), "RescaleSlope": "7"},
    )
    found = read(nm)
    assert found.scaling.quantity == quantity
    check_places(found, nm, lambda stored: (stored * 0.5 + 1.0) * size)


def private(group: int, creator: str, element: int, vr: str, value):
    def change(dataset) -> None:
        block = dataset.private_block(group, creator, create=True)
        block.add_new(element, vr, value)

    return change


PRIVATE = {
    "GE": private(0x0011, "GEMS_GENIE_1", 0x3B, "FD", 0.5),
    "GE offset": private(0x0011, "GEMS_GENIE_1", 0x3C, "FD", 3.0),
    "Siemens": private(0x0057, "SIEMENS MED NM", 0x07, "FL", 2.0),
    "Philips": private(0x7053, "Philips PET Private Group", 0x09, "DS", "2.5"),
    "Siemens scale": private(0x0033, "SIEMENS MED NM", 0x38, "FL", 2.0),
}


@pytest.mark.parametrize("case", PRIVATE)
def test_private_scaling_is_refused(case, read) -> None:
    with pytest.raises(BadInput, match="private scaling"):
        read(NmObject(STORED, change=PRIVATE[case]))
    found = read(NmObject(STORED, change=PRIVATE[case], set={"RescaleSlope": "1"}))
    assert found.volume.data.sum() == STORED.sum()


def test_private_scaling_that_changes_nothing(read) -> None:
    change = private(0x0011, "GEMS_GENIE_1", 0x3B, "FD", 1.0)
    assert read(NmObject(STORED, change=change)).scaling.branch == "as stored"
    foreign = private(0x0011, "ANOTHER", 0x3B, "FD", 0.5)
    assert read(NmObject(STORED, change=foreign)).scaling.branch == "as stored"


def empty_detector(dataset) -> None:
    dataset.DetectorInformationSequence = Items([item(CollimatorType="PARA")])


REFUSED = {
    "no detector": ({"DetectorInformationSequence": None}, None, "(0054,0022) must hold"),
    "detector without place": ({}, empty_detector, "(0054,0022) must hold"),
    "no spacing": ({"SpacingBetweenSlices": None}, None, "(0018,0088) must be there"),
    "spacing 0": ({"SpacingBetweenSlices": "0"}, None, "(0018,0088) must be 0.1 to 50"),
    "slices missing": ({"NumberOfSlices": 9}, None, "(0054,0081) must be"),
    "two volumes": ({"SliceVector": [1, 2, 3, 1, 2, 3]}, None, "(0054,0080) must number"),
    "backwards": ({"SliceVector": [6, 5, 4, 3, 2, 1]}, None, "(0054,0080) must number"),
    "short vector": ({"SliceVector": [1, 2]}, None, "(0054,0080) must hold one index"),
    "gates": ({"TimeSlotVector": [1, 1, 1, 2, 2, 2]}, None, "(0054,0070) must tell one index"),
    "dynamic": ({"TimeSliceVector": [1, 1, 1, 2, 2, 2]}, None, "(0054,0100) must tell one"),
    "windows": ({"EnergyWindowVector": [1, 1, 1, 2, 2, 2]}, None, "(0054,0010) must tell one"),
    "kind": ({"ImageType": ["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"]}, None, "projections"),
    "gated kind": (
        {"ImageType": ["ORIGINAL", "PRIMARY", "RECON GATED TOMO", "EMISSION"]},
        None,
        "gated slices",
    ),
    "no kind": ({"ImageType": None}, None, "(0008,0008) must tell RECON TOMO"),
    "modality": ({"Modality": "PT"}, None, "(0008,0060) must be NM, with NM images, got PT"),
    "units": (
        {"RealWorldValueMappingSequence": mapping("g/ml{SUVbw}", 1.0, 0.0)},
        None,
        "(0040,9096) must map to",
    ),
    "mapping of a part": (
        {"RealWorldValueMappingSequence": mapping("Bq/ml", 1.0, 0.0, last=100)},
        None,
        "(0040,9096) must cover",
    ),
    "slope": ({"RescaleSlope": "-1"}, None, "(0028,1053) must be above 0"),
    "frames": (
        {"NumberOfFrames": 7, "SliceVector": [*range(1, 8)], "NumberOfSlices": 7},
        None,
        "(7FE0,0010) must be whole",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, read) -> None:
    changes, change, told = REFUSED[case]
    with pytest.raises(BadInput) as refusal:
        read(NmObject(STORED, set=changes, change=change))
    assert told in str(refusal.value)
    assert "Quarantine" not in str(refusal.value)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_truncated(keep, tmp_path) -> None:
    path = NmObject(STORED).write(tmp_path / "spect.dcm")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(BadInput, match="whole"):
        read_tomogram(read_nm(path, kind=RECON_TOMO), heads=2)


def test_several_series_in_a_folder(tmp_path) -> None:
    NmObject(STORED).write(tmp_path / "a.dcm")
    NmObject(STORED, series=2).write(tmp_path / "b.dcm")
    with pytest.raises(BadInput, match="2 fit"):
        read_nm(tmp_path, kind=RECON_TOMO)
    chosen = read_nm(tmp_path, kind=RECON_TOMO, wanted="1.2.826.0.1.3680043.10.998.2")
    assert chosen.uid.endswith(".2")


def test_nothing_of_that_kind(tmp_path) -> None:
    NmObject(STORED, set={"ImageType": ["ORIGINAL", "PRIMARY", "TOMO"]}).write(tmp_path / "a.dcm")
    with pytest.raises(BadInput, match="0 fit"):
        read_nm(tmp_path, kind=RECON_TOMO)


def test_several_objects_of_a_series(tmp_path) -> None:
    NmObject(STORED).write(tmp_path / "a.dcm")
    NmObject(STORED, set={"SOPInstanceUID": "1.2.3"}).write(tmp_path / "b.dcm")
    with pytest.raises(BadInput, match="one NM object, got 2"):
        read_tomogram(read_nm(tmp_path, kind=RECON_TOMO), heads=2)


def test_the_patient_is_not_told(tmp_path) -> None:
    series = read_nm(NmObject(STORED).write(tmp_path / "a.dcm"), kind=RECON_TOMO)
    assert "PatientName" not in series.objects[0]
    found = read_tomogram(series, heads=2)
    for word in (*PATIENT.split("^"), "4711", "20240229"):
        assert word not in str(found)


def test_an_object_of_the_1990s(testdata) -> None:
    """It breaks the standard: no Detector Information Sequence, dots in dates."""
    path = testdata / "nm_heart" / "NM13.dcm"
    series = read_nm(path, kind=RECON_TOMO)
    with pytest.raises(BadInput, match="Detector Information Sequence"):
        read_tomogram(series, heads=1)
    placed = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, 0])
    series.objects[0].DetectorInformationSequence = Items([placed])
    found = read_tomogram(series, heads=1)
    assert found.volume.data.shape == (64, 64, 13)
    assert found.volume.data.max() == 141  # Largest Image Pixel Value of its own header
    stored = pydicom.dcmread(path).pixel_array
    assert found.volume.data.sum() == stored.sum(dtype=float)
    np.testing.assert_allclose(found.volume.spacing_mm, (3.11583, 3.11583, 6.231669), rtol=1e-6)
    assert found.times.start is not None
    assert (found.times.start.year, found.times.start.hour) == (1993, 9)
    assert found.administration.activity_mbq is None

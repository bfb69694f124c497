"""DICOM segmentations: brought to a volume's grid, or refused without a name."""

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.masks import read_segments, segment_mask
from scipy.spatial.transform import Rotation

FRAME = "1.2.826.0.1.3680043.10.999.9"
PATIENT = "Doe^Jane^Quarantine"


def items(**values):
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return [item]


def code(value, meaning):
    return items(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)


def described(number, label, side=None):
    kind = code("64033007", "Kidney")
    if side:
        kind[0].SegmentedPropertyTypeModifierCodeSequence = code(side, "side")
    return items(SegmentNumber=number, SegmentLabel=label, SegmentedPropertyTypeCodeSequence=kind)[
        0
    ]


def segmentation(masks, affine, *, step_mm=None, drop_empty=True, **change):
    """Make a SEG of masks [i, j, k] on an LPS affine, their frames in falling order."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SegmentationStorage, "1.2.3"
    dataset.Modality, dataset.SegmentationType = "SEG", "BINARY"
    dataset.PatientName, dataset.PatientID = PATIENT, "Quarantine-4711"
    dataset.FrameOfReferenceUID = FRAME
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = np.concatenate([affine[:3, 0] / spacing_mm[0], affine[:3, 1] / spacing_mm[1]])
    dataset.SharedFunctionalGroupsSequence = items(
        PlaneOrientationSequence=items(ImageOrientationPatient=[f"{x:.10f}" for x in cosines]),
        PixelMeasuresSequence=items(
            PixelSpacing=[f"{spacing_mm[1]:g}", f"{spacing_mm[0]:g}"],
            SliceThickness=f"{step_mm or spacing_mm[2]:g}",
        ),
    )
    dataset.SegmentSequence = [
        described(1, "Kidney_L", "7771000"),
        described(2, "Doe's kidney"),
    ][: len(masks)]
    frames, own = [], []
    for number, mask in enumerate(masks, start=1):
        for k in reversed(range(mask.shape[2])):
            if drop_empty and not mask[:, :, k].any():
                continue
            position = affine[:3, 2] * k + affine[:3, 3]
            own += items(
                PlanePositionSequence=items(ImagePositionPatient=[f"{x:.6f}" for x in position]),
                SegmentIdentificationSequence=items(ReferencedSegmentNumber=number),
            )
            frames.append(mask[:, :, k].T)
    dataset.PerFrameFunctionalGroupsSequence = own
    dataset.NumberOfFrames = len(frames)
    dataset.Columns, dataset.Rows = masks[0].shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = dataset.PixelRepresentation = 0
    dataset.PixelData = pack_bits(np.array(frames, dtype=np.uint8))
    for name, value in change.items():
        setattr(dataset, name, value)
    return dataset


def save(dataset, folder):
    path = folder / "Doe_Jane_4711.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def read(dataset, folder, frame=FRAME):
    return read_segments(save(dataset, folder), frame_of_reference_uid=frame)


def lps_affine(angles_deg=(0.0, 0.0, 0.0), spacing_mm=(2.0, 3.0, 4.0)):
    affine = np.eye(4)
    turned = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    affine[:3, :3] = turned @ np.diag(spacing_mm)
    affine[:3, 3] = (-30.0, 12.0, 400.0)
    return affine


def masks_of(shape=(7, 6, 5), count=1):
    rng = np.random.default_rng(3)
    masks = [rng.random(shape) < 0.3 for _ in range(count)]
    for mask in masks:
        mask[:, :, 2] = False  # a frame that is left out
        mask[0, 0, 0] = mask[0, 0, -1] = True
    return masks


TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.mark.parametrize("angles_deg", [(0, 0, 0), (90, 0, 0), (12, -20, 33)])
@pytest.mark.parametrize("drop_empty", [True, False])
def test_on_the_grid_that_it_was_drawn_on(angles_deg, drop_empty, tmp_path) -> None:
    masks, affine = masks_of(count=2), lps_affine(angles_deg)
    found = read(segmentation(masks, affine, drop_empty=drop_empty), tmp_path)
    assert [(one.number, one.code, one.side) for one in found] == [
        (1, "64033007", "left"),
        (2, "64033007", ""),
    ]
    # an image of the same grid with axes turned about
    image = Volume(np.zeros(masks[0].shape)[::-1], TO_RAS @ affine @ np.diag([-1.0, 1, 1, 1]))
    image.affine[:3, 3] = (TO_RAS @ affine)[:3] @ [masks[0].shape[0] - 1, 0, 0, 1]
    warnings: list[str] = []
    for segment, mask in zip(found, masks, strict=True):
        np.testing.assert_array_equal(segment_mask(segment, image, warnings), mask[::-1])
    assert not warnings


def test_a_ball_on_a_coarser_grid_keeps_its_volume(tmp_path) -> None:
    fine = lps_affine(spacing_mm=(1.0, 1.0, 1.0))
    at = np.indices((60, 60, 60)).reshape(3, -1).T
    ball = (np.linalg.norm(at - 29.5, axis=1) <= 20.0).reshape(60, 60, 60)
    (segment,) = read(segmentation([ball], fine), tmp_path)
    coarse = TO_RAS @ lps_affine((10, 5, -8), (2.5, 2.5, 3.0))
    centre_mm = (TO_RAS @ fine @ [29.5, 29.5, 29.5, 1.0])[:3]
    coarse[:3, 3] = centre_mm - coarse[:3, :3] @ np.array([15.0, 15.0, 13.0])
    mask = segment_mask(segment, Volume(np.zeros((31, 31, 27)), coarse), [])
    assert mask.sum() * 2.5 * 2.5 * 3.0 == pytest.approx(4 / 3 * np.pi * 20.0**3, rel=0.02)


def test_the_told_distance_where_every_second_frame_is_left_out(tmp_path) -> None:
    mask = np.ones((3, 3, 5), dtype=bool)
    mask[:, :, 1::2] = False
    (segment,) = read(segmentation([mask], lps_affine()), tmp_path)
    np.testing.assert_array_equal(segment.mask, mask)


def test_what_lies_outside_is_told(tmp_path) -> None:
    (segment,) = read(segmentation([np.ones((4, 4, 4), dtype=bool)], lps_affine()), tmp_path)
    affine = TO_RAS @ lps_affine()
    warnings: list[str] = []
    segment_mask(segment, Volume(np.zeros((4, 4, 3)), affine), warnings)
    affine[0, 3] += 500.0
    assert not segment_mask(segment, Volume(np.zeros((4, 4, 4)), affine), warnings).any()
    assert warnings == [
        "25.0% of segment 1 lies outside the image.",
        "Segment 1 holds the centre of no voxel: its mask is empty.",
    ]


def _move_a_frame(dataset):
    own = dataset.PerFrameFunctionalGroupsSequence[1]
    own.PlanePositionSequence[0].ImagePositionPatient[0] += 1.0


def _place_a_frame_nowhere(dataset):
    own = dataset.PerFrameFunctionalGroupsSequence[1]
    own.PlanePositionSequence[0].ImagePositionPatient[0] = float("nan")


def _turn_a_frame(dataset):
    dataset.PerFrameFunctionalGroupsSequence[1].PlaneOrientationSequence = items(
        ImageOrientationPatient=[0, 1, 0, 1, 0, 0]
    )


def _one_frame_less(dataset):
    del dataset.PerFrameFunctionalGroupsSequence[-1]


def _no_place(dataset):
    del dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def _cut_pixels(dataset):
    dataset.PixelData = dataset.PixelData[:4]


REFUSED = {
    "another object": (
        lambda one: setattr(one, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.66.7"),
        r"\(0008,0016\) must be that of a segmentation, got SEG",
    ),
    "fractional": (
        lambda one: setattr(one, "SegmentationType", "FRACTIONAL"),
        r"\(0062,0001\) must be BINARY",
    ),
    "another frame": (
        lambda one: setattr(one, "FrameOfReferenceUID", "1.2.3"),
        r"\(0020,0052\) of the segmentation must be that of the image",
    ),
    "a frame astray": (_move_a_frame, r"\(0020,0032\) must place all frames .* by 0\.5 voxels"),
    "a frame nowhere": (_place_a_frame_nowhere, r"\(0020,0032\) must be within 1e5 mm"),
    "a frame turned": (_turn_a_frame, r"\(0020,0037\) must be two unit vectors"),
    "a frame not described": (_one_frame_less, r"\(5200,9230\) must describe each frame"),
    "a frame without place": (_no_place, "each frame with its place and segment"),
    "pixels cut": (_cut_pixels, "malformed or truncated"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_without_a_name(case, tmp_path, patient_words) -> None:
    change, message = REFUSED[case]
    dataset = segmentation(masks_of(), lps_affine())
    change(dataset)
    with pytest.raises(BadInput, match=message) as refused:
        read(dataset, tmp_path)
    assert not any(word in str(refused.value) for word in patient_words)


@pytest.mark.parametrize("content", [None, b"", b"x" * 500])
def test_files_that_cannot_be_read(content, tmp_path) -> None:
    path = tmp_path / "Doe_Jane.dcm"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match="must be a whole DICOM file") as refused:
        read_segments(path, frame_of_reference_uid=FRAME)
    assert "Jane" not in str(refused.value)

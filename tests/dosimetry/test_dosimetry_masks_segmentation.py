"""DICOM segmentations: brought to a volume's grid, or refused without a name."""

import itertools
import struct
import zlib

import numpy as np
import pytest
from helpers.dicom import FRAME, items, lps_affine, segmentation
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, RLELossless
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.masks import read_segments, segment_mask
from rpt_dosimetry.masks.segmentation import DEFLATED_FRAMES


def save(dataset, folder):
    path = folder / "Doe_Jane_4711.dcm"
    if dataset.file_meta.TransferSyntaxUID != DEFLATED_FRAMES:
        dataset.save_as(path, enforce_file_format=True)
        return path
    # pydicom 3 does not know the syntax: written under another's name of the same length.
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.save_as(path, enforce_file_format=True)
    name = DEFLATED_FRAMES.encode() + b"\0"
    path.write_bytes(path.read_bytes().replace(JPEGBaseline8Bit.encode(), name, 1))
    return path


def read(dataset, folder, frame=FRAME):
    return read_segments(save(dataset, folder), frame_of_reference_uid=frame)


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


def deflated(bits: np.ndarray) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(np.packbits(bits, bitorder="little").tobytes()) + deflater.flush()


def run_lengths(content: bytes) -> bytes:
    """Encode a frame of one segment, by PS3.5 Annex G: runs where two bytes or more are equal."""
    found = bytearray(struct.pack("<16L", 1, 64, *[0] * 14))
    for value, run in itertools.groupby(content):
        length = len(list(run))
        while length:
            part = min(length, 128)
            found += bytes([257 - part, value] if part > 1 else [0, value])
            length -= part
    return bytes(found)


ENCODINGS = {
    "deflated": (DEFLATED_FRAMES, deflated),
    "runs of packed bits": (
        RLELossless,
        lambda bits: run_lengths(np.packbits(bits, bitorder="little").tobytes()),
    ),
    "runs of bytes": (RLELossless, lambda bits: run_lengths(bits.astype(np.uint8).tobytes())),
}


def encoded(encoding, masks, shorten=0):
    """Return a segmentation whose frames are compressed."""
    syntax, encode = ENCODINGS[encoding]
    dataset = segmentation(masks, lps_affine(), drop_empty=False)
    frames = [mask[:, :, k].T.ravel() for mask in masks for k in reversed(range(mask.shape[2]))]
    content = [encode(frame)[: -shorten or None] for frame in frames]
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([one + b"\0" * (len(one) % 2) for one in content])
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    return dataset


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("shape", [(7, 6, 5), (40, 33, 4)])
def test_compressed_frames(encoding, shape, tmp_path) -> None:
    masks = masks_of(shape, count=2)
    masks[1][2:5, 1:5, 1:] = True  # runs
    for found, mask in zip(read(encoded(encoding, masks), tmp_path), masks, strict=True):
        np.testing.assert_array_equal(found.mask, mask)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_compressed_frames_cut_short(encoding, tmp_path) -> None:
    with pytest.raises(BadInput, match="malformed or truncated"):
        read(encoded(encoding, masks_of((40, 33, 4)), shorten=2), tmp_path)


def test_a_decoder_that_is_not_there_is_told(tmp_path) -> None:
    dataset = encoded("deflated", masks_of())
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.106"  # MPEG-4
    with pytest.raises(BadInput, match=r"segmentation must be in a compression .* here, got MPEG"):
        read(dataset, tmp_path)


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
        r"must be that of a segmentation, got SEG \(1\.2\.840\.10008\.5\.1\.4\.1\.1\.66\.7\)",
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

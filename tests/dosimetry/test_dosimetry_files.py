"""Folders as they come: several series, other files, damage, compression."""

import os
import random
import re

import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.commands import refused
from pydicom.pixels import get_encoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    SegmentationStorage,
)
from rpt_cohort import BadInput
from rpt_dosimetry import choose_pet, convert, find_series, report
from rpt_dosimetry.dicom.series import CT_STORAGE, choose_ct

SCREENSHOT, ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.2.1"


def test_list_tells_series_and_no_patient(pet_series, tmp_path, command, patient_words) -> None:
    pet_series().write(tmp_path / "a" / "deep")
    pet_series(series=2, set={"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}).write(
        tmp_path / "b"
    )
    ended = command("suv", tmp_path, "--list")
    assert ended.status == 0
    lines = ended.out.splitlines()
    assert lines == [
        "1.2.826.0.1.3680043.10.999.1: PT, 4 files, BQML",
        "1.2.826.0.1.3680043.10.999.2: CT, 4 files, BQML",
    ]
    assert not any(word in ended.out + ended.err for word in patient_words)


def test_two_pets_and_the_choice(pet_series, tmp_path, command) -> None:
    pet_series(series=1).write(tmp_path / "in")
    pet_series(series=20, set={"PatientWeight": "140"}).write(tmp_path / "in")
    out = tmp_path / "out.nii.gz"
    ended = command("suv", tmp_path / "in", out)
    refused(ended, "chosen with --series, and the folder holds 2: 1.2.826", absent=out)
    for series in ("1.2.826.0.1.3680043.10.999.2", "1.2.826.0.1.3680043.10.999.20"):
        chosen = command("suv", tmp_path / "in", out, "--series", series, "--overwrite")
        assert chosen.status == 0
    for series in ("1.2.826", "9", ""):
        ended = command("suv", tmp_path / "in", out, "--series", series, "--overwrite")
        refused(ended, "unique beginning of its UID")


def test_choosing_what_is_no_pet(pet_series, tmp_path) -> None:
    pet_series(set={"Modality": "NM"}).write(tmp_path)
    with pytest.raises(BadInput, match=r"Modality \(0008,0060\) PT with PET images, got NM \(Posi"):
        choose_pet(find_series(tmp_path), None)
    with pytest.raises(BadInput, match=r"Modality \(0008,0060\) must be PT, got NM"):
        choose_pet(find_series(tmp_path), "1.2.826")


@pytest.mark.parametrize(
    ("choose", "set_", "told"),
    [
        (choose_pet, {"SOPClassUID": SCREENSHOT}, "got PT (Secondary Capture Image Storage)"),
        (choose_ct, {"SOPClassUID": ENHANCED_CT, "Modality": "CT"}, "got CT (Enhanced CT Image"),
        (choose_ct, {"SOPClassUID": "1.2.9", "Modality": "CT"}, "got CT (no SOP class of"),
    ],
)
def test_the_right_modality_of_another_kind(choose, set_, told, pet_series, tmp_path) -> None:
    """What came is told by what is wrong with it, chosen by its UID or not."""
    series = find_series(pet_series(set=set_).write(tmp_path))
    for wanted in (None, "1.2.826"):
        with pytest.raises(BadInput, match=re.escape(told)):
            choose(series, wanted)


@pytest.mark.parametrize(
    ("sop_class", "message"),
    [
        ("1.2.840.10008.5.1.4.1.1.130", "it is Enhanced PET"),
        ("1.2.840.10008.5.1.4.1.1.128.1", "it is Enhanced PET"),
        ("1.2.840.10008.5.1.4.1.1.7", r"SOP Class UID \(0008,0016\) must be that of PET"),
    ],
)
def test_other_objects_of_pet(sop_class, message, pet_series, tmp_path) -> None:
    pet_series(set={"SOPClassUID": sop_class}).write(tmp_path)
    with pytest.raises(BadInput, match=message):
        choose_pet(find_series(tmp_path), "1.2.826")


def test_a_screenshot_series_beside_the_pet_is_passed_over(pet_series, tmp_path) -> None:
    pet_series().write(tmp_path)
    pet_series(series=2, set={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}).write(tmp_path)
    assert choose_pet(find_series(tmp_path), None).uid.endswith(".1")


STRUCTURES, REPORT = "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.88.33"


@pytest.mark.parametrize("without_series", [True, False])
@pytest.mark.parametrize(
    ("modality", "sop_class"),
    [("SEG", SegmentationStorage), ("RTSTRUCT", STRUCTURES), ("SR", REPORT)],
)
@pytest.mark.parametrize("command_name", ["suv", "ct"])
def test_what_holds_no_image_is_passed_over(
    command_name, modality, sop_class, without_series, pet_series, tmp_path, command
) -> None:
    ct = {"Modality": "CT", "SOPClassUID": CT_STORAGE}
    pet_series(set=ct if command_name == "ct" else {}).write(tmp_path / "in")
    left_out = {"SeriesInstanceUID": None} if without_series else {}
    told = {"Modality": modality, "SOPClassUID": sop_class, **left_out}
    other = pet_series(series=2, set=told, stored=np.ones((1, 5, 6), dtype=np.int16))
    other.write(tmp_path / "in")
    ended = command(command_name, tmp_path / "in", tmp_path / "out.nii.gz")
    assert ended.status == 0, ended.err
    words = "warning: 1 of 5 files are DICOM without images and of no series"
    assert (words in ended.err) == without_series
    assert nib.load(tmp_path / "out.nii.gz").shape == (6, 5, 4)


@pytest.mark.parametrize("sop_class", [CT_STORAGE, "1.2.3"])
def test_an_image_without_series_may_have_been_a_slice(
    sop_class, pet_series, tmp_path, command
) -> None:
    folder = pet_series().write(tmp_path / "in")
    told = {"SOPClassUID": sop_class, "SeriesInstanceUID": None}
    pet_series(series=2, set=told, stored=np.ones((1, 5, 6), dtype=np.int16)).write(folder)
    ended = command("suv", folder, tmp_path / "out.nii.gz")
    refused(ended, "1 of 5 files are damaged")


def test_other_files_are_passed_over(pet_series, tmp_path) -> None:
    pet_series().write(tmp_path)
    (tmp_path / "notes.txt").write_text("x" * 500)
    (tmp_path / "._1.dcm").write_bytes(b"\0\5\x16\7")  # what macOS leaves
    directory = pydicom.Dataset()
    directory.file_meta = pydicom.dataset.FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    directory.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    directory.FileSetID = "X"
    directory.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    told: list[str] = []
    found = find_series(tmp_path, warnings=told)
    assert told == ["2 of 7 files are not DICOM and were passed over."]
    suv = convert(choose_pet(found, None), warnings=told)
    assert len(suv.slice_sha256) == 4
    assert suv.warnings[0] == told[0]


@pytest.mark.parametrize("case", ["empty", "empty of any name", "short", "no mark", "lost link"])
def test_what_may_have_been_a_slice(case, pet_series, tmp_path, command, patient_words) -> None:
    folder = pet_series().write(tmp_path / "in")
    last = next(path for path in folder.iterdir() if path.stem.endswith("_3"))
    if case == "empty of any name":
        last = last.rename(last.with_suffix(""))
    ordinal = sorted(folder.iterdir()).index(last) + 1
    content = {"short": b"\0" * 130, "no mark": b"x" * 500}.get(case, b"")
    last.unlink()
    if case == "lost link":
        last.symlink_to(tmp_path / "absent")
    else:
        last.write_bytes(content)
    ended = command("suv", folder, tmp_path / "out.nii.gz")
    refused(ended, f"in order of path file {ordinal} of 4")
    assert not any(word in ended.err for word in patient_words)
    ended = command("suv", folder, "--list")
    assert ended.status == 0
    assert "PT, 3 files" in ended.out
    assert f"file {ordinal} of 4" in ended.err
    assert "may belong to any" in ended.err


def test_all_is_damaged(tmp_path, command) -> None:
    for index in range(12):
        (tmp_path / f"{index:02}.dcm").touch()
    ended = command("suv", tmp_path, "--list")
    refused(ended, "files 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, … of 12")


def test_a_folder_that_cannot_be_searched(pet_series, tmp_path, command, monkeypatch) -> None:
    # os.walk passes over such a folder unless told otherwise; root may read everything.
    pet_series().write(tmp_path / "in")
    (tmp_path / "in" / "Doe_locked").mkdir()
    scan = os.scandir

    def locked(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", locked)
    ended = command("suv", tmp_path / "in", tmp_path / "out.nii.gz")
    refused(ended, "readable with all its subfolders")
    assert "Doe" not in ended.err


@pytest.mark.parametrize("what", ["nothing", "text", "no folder"])
def test_no_dicom(what, tmp_path, command) -> None:
    if what == "text":
        (tmp_path / "Doe_Jane.txt").write_text("no")
    folder = tmp_path / "absent" if what == "no folder" else tmp_path
    ended = command("suv", folder, tmp_path / "out.nii.gz")
    assert ended.status == 2
    assert "Traceback" not in ended.err
    assert "Doe" not in ended.err
    told = "there is none" if what == "no folder" else "must hold DICOM"
    assert told in ended.err
    ended = command("suv", tmp_path / "Doe_Jane.txt", tmp_path / "out.nii.gz")
    told = "it is a file. Name its folder" if what == "text" else "there is none"
    assert (ended.status, told in ended.err) == (2, True)


@pytest.mark.parametrize("kept", [200, 400, 900, -50])
def test_truncated_file(kept, pet_series, tmp_path, command, patient_words) -> None:
    folder = pet_series().write(tmp_path / "in")
    path = sorted(folder.iterdir())[1]
    path.write_bytes(path.read_bytes()[:kept])
    ended = command("suv", folder, tmp_path / "out.nii.gz")
    assert ended.status == 2
    assert ended.err.count("error:") == 1
    assert not any(word in ended.err for word in patient_words)
    assert not (tmp_path / "out.nii.gz").exists()


def test_damage_of_any_kind_is_refused_quietly(
    pet_series, tmp_path, patient_words, recwarn
) -> None:
    # Seeded damage, not chance: 150 series with flipped, lost and added bytes.
    draw = random.Random(7)
    folder = pet_series().write(tmp_path)
    whole = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    told = []
    for _ in range(150):
        path = draw.choice(list(whole))
        content = bytearray(whole[path])
        at = draw.randrange(128, len(content))
        lost = draw.choice([0, 1, 1, 4, len(content)])
        content[at : at + lost] = draw.randbytes(draw.choice([0, 1, 1, 3]))
        path.write_bytes(content)
        try:
            series = choose_pet(find_series(folder), None)
            report(convert(series), series=series)
        except BadInput as error:
            told.append(str(error))
        path.write_bytes(whole[path])
    assert len(told) > 50
    told += [str(warning.message) for warning in recwarn]
    assert not any(word in sentence for word in patient_words for sentence in told)


def test_pixels_that_are_cut(pet_series, tmp_path, command) -> None:
    folder = pet_series().write(tmp_path / "in")
    path = next(path for path in folder.iterdir() if path.stem.endswith("_2"))
    path.write_bytes(path.read_bytes()[:-20])
    ended = command("suv", folder, tmp_path / "out.nii.gz")
    assert "that of slice 3 of 4 is truncated or damaged" in ended.err


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_uncompressed_syntaxes(syntax, pet_series, tmp_path) -> None:
    series = pet_series()
    expected = convert(choose_pet(find_series(series.write(tmp_path / "plain")), None))
    for index, dataset in enumerate(series.slices()):
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = series.stored[index].astype(">i2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        (tmp_path / "other").mkdir(exist_ok=True)
        dataset.save_as(tmp_path / "other" / f"{index}.dcm", enforce_file_format=True)
    found = convert(choose_pet(find_series(tmp_path / "other"), None))
    np.testing.assert_array_equal(found.volume.data, expected.volume.data)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_syntaxes(syntax, dtype, pet_series, tmp_path) -> None:
    if not get_encoder(syntax).is_available:
        pytest.skip(f"no encoder for {syntax.name} is installed")
    low, high = (-500, 30_000) if dtype == np.int16 else (0, 65_535)
    stored = np.random.default_rng(5).integers(low, high, (3, 40, 50)).astype(dtype)
    series = pet_series(stored=stored)
    expected = convert(choose_pet(find_series(series.write(tmp_path / "plain")), None))
    (tmp_path / "packed").mkdir()
    for index, dataset in enumerate(series.slices()):
        dataset.compress(syntax)
        dataset.SOPInstanceUID = f"1.2.3.{index}"
        dataset.save_as(tmp_path / "packed" / f"{index}.dcm", enforce_file_format=True)
    found = convert(choose_pet(find_series(tmp_path / "packed"), None))
    np.testing.assert_array_equal(found.volume.data, expected.volume.data)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100", "1.2.3.4.5"])
def test_compression_without_decoder(syntax, pet_series, tmp_path, command) -> None:
    for index, dataset in enumerate(pet_series().slices()):
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = pydicom.encaps.encapsulate([dataset.PixelData])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(
            tmp_path / f"{index}.dcm",
            enforce_file_format=True,
            implicit_vr=False,
            little_endian=True,
        )
    ended = command("suv", tmp_path, tmp_path / "out.nii.gz")
    refused(ended, "compression that can be decoded here, got")


@pytest.mark.parametrize("signed", [False, True])
def test_values_beyond_bits_stored(signed, pet_series, convert_series) -> None:
    """Refused, unless what stands above them is nothing, a sign or an overlay."""
    stored = np.arange(60, dtype=np.int16).reshape(3, 4, 5) - 20 * signed
    bits = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": int(signed)}
    expected = convert_series(pet_series(stored=stored)).volume.data
    kind = np.int16 if signed else np.uint16
    unsigned = stored.view(np.uint16)
    for cells in (unsigned, unsigned & 0x0FFF):  # the sign carried on, and cut off
        found = convert_series(pet_series(stored=cells.view(kind), set=bits))
        np.testing.assert_array_equal(found.volume.data, expected)
    spoilt = unsigned.copy()
    spoilt[1, 2, 3] ^= 0x4000
    with pytest.raises(
        BadInput, match=r"within Bits Stored \(0028,0101\), 12 bits, and those of s"
    ):
        convert_series(pet_series(stored=spoilt.view(kind), set=bits))

    def with_overlay(dataset, index):
        dataset.add_new((0x6000, 0x0102), "US", 14)

    series = pet_series(stored=spoilt.view(kind), set=bits, change=with_overlay)
    np.testing.assert_array_equal(convert_series(series).volume.data, expected)
    left = {"BitsStored": 12, "HighBit": 15, "PixelRepresentation": int(signed)}
    with pytest.raises(BadInput, match=r"High Bit \(0028,0102\) must be one less"):
        convert_series(pet_series(stored=(unsigned << 4).view(kind), set=left))


def test_padding_is_no_measurement(pet_series, convert_series) -> None:
    stored = np.full((3, 4, 4), 100, dtype=np.int16)
    stored[:, 0, 0] = -32_768
    series = pet_series(stored=stored, set={"PixelPaddingValue": -32_768})
    series.change = lambda dataset, index: None
    data = convert_series(series).volume.data
    assert data.min() == 0.0
    assert (data == 0).sum() == 3


def test_values_below_0_are_kept_and_told(pet_series, convert_series) -> None:
    stored = np.full((3, 4, 4), 100, dtype=np.int16)
    stored[1, 2, 2] = -50
    suv = convert_series(pet_series(stored=stored))
    assert suv.volume.data.min() < 0
    assert any("1 voxels have a SUV below 0" in sentence for sentence in suv.warnings)


def test_values_beyond_a_float(pet_series, convert_series) -> None:
    with pytest.raises(BadInput, match="Every SUV must be a finite number"):
        convert_series(pet_series(slope=1e60))


def test_no_pixels(pet_series, convert_series) -> None:
    with pytest.raises(BadInput, match=r"\(7FE0,0010\) must be there, and slice 1 of 4 has none"):
        convert_series(pet_series(set={"PixelData": None}))


def test_colour(pet_series, convert_series) -> None:
    with pytest.raises(BadInput, match=r"Samples per Pixel \(0028,0002\) must be 1"):
        convert_series(pet_series(set={"SamplesPerPixel": 3}))

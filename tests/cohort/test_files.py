"""Whole or not at all; folds by patient; provenance without a trace of the machine."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import (
    BadInput,
    assign_folds,
    file_sha256,
    json_bytes,
    new_folder,
    nifti_bytes,
    provenance,
    read_volume,
    table_bytes,
    write_together,
)
from rpt_cohort.command import as_typed


def test_folder_appears_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with new_folder(target) as partial:
        (partial / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    def cut() -> None:
        with new_folder(tmp_path / "out") as partial:
            (partial / "a").write_text("1")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cut()
    assert list(tmp_path.iterdir()) == []


def test_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    with pytest.raises(BadInput, match="new or empty"), new_folder(tmp_path / "out"):
        pass


def test_files_appear_together_or_not(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match="must be a file name"):
        write_together({tmp_path / "a": b"1", tmp_path / "folder": b"2"})
    assert not (tmp_path / "a").exists()
    write_together({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "folder"]


def test_missing_parent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Create it first"):
        write_together({tmp_path / "none" / "a": b"1"})


def test_nan_does_not_reach_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_bytes({"x": float("nan")})


def test_volume_comes_back_as_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(3, 4, 5)).astype(np.float32)
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = [-10, 5, 7.5]
    (tmp_path / "v.nii.gz").write_bytes(nifti_bytes(data, affine, dtype=np.float32))
    back = read_volume(tmp_path / "v.nii.gz")
    np.testing.assert_array_equal(back.data, data)
    np.testing.assert_allclose(back.affine, affine)
    assert back.spacing_mm == (2.0, 3.0, 4.0)
    assert back.axis_codes == "RAS"


def test_same_volume_gives_same_bytes() -> None:
    data = np.ones((2, 2, 2))
    first, second = (nifti_bytes(data, np.eye(4), dtype=np.int16) for _ in range(2))
    assert first == second


def test_integer_type_must_hold_every_value() -> None:
    with pytest.raises(BadInput, match="uint8"):
        nifti_bytes(np.full((1, 1, 1), 300), np.eye(4), dtype=np.uint8)


def test_float_type_must_hold_every_value() -> None:
    with pytest.raises(BadInput, match="float32"):
        nifti_bytes(np.full((1, 1, 1), 1e39), np.eye(4), dtype=np.float32)


def test_link_to_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with new_folder(tmp_path / "link") as partial:
        (partial / "a").write_text("1")
    assert (tmp_path / "real" / "a").read_text() == "1"


cycles = st.dictionaries(st.text("PQ0123", min_size=1, max_size=4), st.integers(1, 6), min_size=2)


@given(cycles, st.integers(2, 6), st.integers(0, 5))
def test_folds_cover_all_patients_and_none_is_empty(
    counts: dict[str, int], folds: int, seed: int
) -> None:
    if len(counts) < folds:
        with pytest.raises(BadInput, match="a patient for every fold"):
            assign_folds(counts, folds=folds, seed=seed)
        return
    fold_of = assign_folds(counts, folds=folds, seed=seed)
    assert list(fold_of) == list(counts)
    assert set(fold_of.values()) == set(range(folds))
    load = [sum(counts[p] for p in counts if fold_of[p] == fold) for fold in range(folds)]
    # Longest-first dealing: no fold is more than one patient's cycles above another.
    assert max(load) - min(load) <= max(counts.values())
    assert fold_of == assign_folds(counts, folds=folds, seed=seed)


def test_provenance_holds_what_it_is_told_and_library_versions(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # SHA-256 of "abc": FIPS 180-2, appendix B.1.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(tmp_path / "a") == expected
    block = provenance(
        package="rpt-cohort",
        command="test",
        parameters={"x": 1},
        inputs={"sub/a": expected},
        libraries=["numpy", "no-such-library"],
    )
    assert block["inputs"] == {"sub/a": expected}
    assert block["libraries"] == {"numpy": np.__version__, "no-such-library": "absent"}
    assert json.loads(json_bytes(block)) == block


def test_a_text_in_place_of_a_volume_is_refused_without_noise(tmp_path, capfd) -> None:
    path = tmp_path / "notes.nii.gz"
    path.write_text("these are no voxels " * 100)
    with pytest.raises(BadInput, match="must be a whole NIfTI file"):
        read_volume(path)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_a_table_reads_back_to_the_same_numbers() -> None:
    columns = {"a": np.array([0.1, 1e-300, 1 / 3]), "b": ["x", "y,z", ""]}
    rows = list(csv.DictReader(io.StringIO(table_bytes(columns).decode())))
    assert [float(row["a"]) for row in rows] == columns["a"].tolist()
    assert [row["b"] for row in rows] == columns["b"]


def test_a_librarys_value_error_names_the_options_typed() -> None:
    wanted = pytest.raises(BadInput, match=r"^--k2 must be above 0 and pet.k2_per_min_x too$")
    with wanted, as_typed({"k2_per_min": "--k2"}):
        raise ValueError("k2_per_min must be above 0 and pet.k2_per_min_x too")

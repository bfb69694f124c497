"""A writer of synthetic PET series, and the ways to convert one."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.commands import Run, runner
from helpers.dicom import PetSeries
from rpt_dosimetry import Suv, choose_pet, convert, find_series
from rpt_dosimetry.__main__ import app


@pytest.fixture(scope="session")
def pet_series() -> type[PetSeries]:
    return PetSeries


@pytest.fixture
def patient_words() -> list[str]:
    """What no output may hold: names, numbers and dates of the synthetic patient."""
    return ["Doe", "Jane", "Quarantine", "4711", "19330303", "20240229", "2024-02-29"]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run ``python -m rpt_dosimetry``."""
    return runner("rpt_dosimetry", app, monkeypatch, capfd)


@pytest.fixture
def in_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[object]]:
    """Write rarer choices to a file and return the words that name it."""

    def words(**choices: Any) -> list[object]:
        path = tmp_path_factory.mktemp("options") / "OPTIONS.yaml"
        path.write_text(yaml.safe_dump(choices))
        return ["--options", path]

    return words


@pytest.fixture
def convert_series(tmp_path: Path) -> Callable[[PetSeries], Suv]:
    """Write a synthetic series and convert it."""
    count = itertools.count()

    def run(series: PetSeries) -> Suv:
        return convert(choose_pet(find_series(series.write(tmp_path / str(next(count)))), None))

    return run

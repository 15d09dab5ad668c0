"""config.toml keeps what decides a run, and refuses to be another one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import OstinatoError
from ostinato.pipeline.config import CONFIG_FILE, RunConfig, read_config

TEXT = st.text(min_size=1, max_size=20)
COUNT = st.none() | st.integers(1, 10**6)

CONFIGS = st.builds(
    RunConfig,
    model=TEXT,
    data=TEXT,
    board=TEXT,
    data_dir=st.none() | TEXT,
    download=st.booleans(),
    epochs=COUNT,
    fine_tune_epochs=COUNT,
    calibration_images=st.integers(1, 10**6),
    train_limit=COUNT,
    precision=st.sampled_from(["float32", "bfloat16"]),
    external_flash=st.sampled_from(["never", "auto", "fc1,fc2"]),
    seed=st.integers(0, 2**31),
)


@given(config=CONFIGS)
def test_round_trip(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("run")
    config.write(folder)
    assert read_config(folder / CONFIG_FILE) == config
    config.write(folder)  # the same one again is no conflict


def test_another_configuration_is_refused_by_its_field(tmp_path: Path) -> None:
    RunConfig(seed=1).write(tmp_path)
    before = (tmp_path / CONFIG_FILE).read_bytes()
    with pytest.raises(OstinatoError, match="seed = 1, but 2 is asked for"):
        RunConfig(seed=2).write(tmp_path)
    assert (tmp_path / CONFIG_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("seed = ", "not valid TOML"),
        ("colour = 3", "unknown field 'colour'"),
        ('seed = "one"', "seed is 'one', expected int"),
        ("epochs = 0", "epochs is 0; it must be at least 1"),
        ('precision = "int8"', "precision is 'int8'"),
    ],
)
def test_unreadable_configurations(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / CONFIG_FILE).write_text(text)
    with pytest.raises(OstinatoError, match=complaint):
        read_config(tmp_path / CONFIG_FILE)


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(OstinatoError, match="is not a run folder"):
        read_config(tmp_path / CONFIG_FILE)


def test_defaults_follow_the_data_set_and_are_overridden() -> None:
    assert RunConfig(data="digits").schedule.epochs != RunConfig(data="cifar10").schedule.epochs
    assert RunConfig(data="digits", epochs=3).schedule.epochs == 3
    assert RunConfig(data="digits", fine_tune_epochs=0).schedule.fine_tune_epochs == 0

from __future__ import annotations

from pathlib import Path

import pytest

from ostinato.errors import CheckpointError
from ostinato.firmware.folder import MANIFEST, FolderError, check_replaceable, read_manifest, replacing, write_manifest


def make(target: Path, text: str = "int x;\n") -> None:
    with replacing(target) as work:
        (work / "kernels").mkdir()
        (work / "model.c").write_text(text)
        (work / "kernels" / "k.c").write_text(text)
        write_manifest(work, {"network": "n"})


def only(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_project_appears_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    make(tmp_path / "deep" / "out")
    assert only(tmp_path / "deep") == {"out"}
    assert set(read_manifest(tmp_path / "deep" / "out")["files"]) == {"model.c", "kernels/k.c"}


def test_our_own_unedited_project_is_replaced(tmp_path: Path) -> None:
    make(tmp_path / "out")
    (tmp_path / "out" / "build").mkdir()
    (tmp_path / "out" / "build" / "model.c.o").write_text("made by make")
    make(tmp_path / "out", "int y;\n")
    assert (tmp_path / "out" / "model.c").read_text() == "int y;\n"
    assert only(tmp_path) == {"out"}
    assert not (tmp_path / "out" / "build").exists()


def test_a_failure_leaves_the_old_project_and_no_half_written_one(tmp_path: Path) -> None:
    make(tmp_path / "out")

    def write_half(target: Path) -> None:
        with replacing(target) as work:
            (work / "model.c").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half(tmp_path / "out")
    assert only(tmp_path) == {"out"}
    assert (tmp_path / "out" / "model.c").read_text() == "int x;\n"
    with pytest.raises(ZeroDivisionError):
        write_half(tmp_path / "new")
    assert only(tmp_path) == {"out"}


def test_a_failed_move_puts_the_old_project_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "out")
    rename = Path.rename

    def refuse_the_new_one(self: Path, to: Path) -> Path:
        if self.name.startswith(".out.") and to.name == "out" and to.parent == tmp_path:
            raise OSError("no")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with pytest.raises(OSError, match="no"):
        make(tmp_path / "out", "int y;\n")
    assert only(tmp_path) == {"out"}
    assert (tmp_path / "out" / "model.c").read_text() == "int x;\n"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    make(tmp_path / "out")
    assert (tmp_path / "out" / MANIFEST).exists()


def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(FolderError, match="not a firmware project of ours"):
        make(tmp_path / "out")
    assert only(tmp_path / "out") == {"thesis.tex"}


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(FolderError, match="is a file"):
        make(tmp_path / "out")


@pytest.mark.parametrize(("name", "what"), [("model.c", "was edited"), ("kernels/mine.c", "was added")])
def test_edited_projects_are_refused_by_the_file(tmp_path: Path, name: str, what: str) -> None:
    make(tmp_path / "out")
    (tmp_path / "out" / name).write_text("my own work")
    with pytest.raises(FolderError, match=what) as caught:
        check_replaceable(tmp_path / "out")
    assert name in str(caught.value)


def test_a_file_where_a_parent_folder_should_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="cannot be written"):
        make(tmp_path / "file" / "out")


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other"}', '{"format": "ostinato-firmware", "version": 99}'])
def test_a_manifest_that_is_not_ours_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(CheckpointError):
        read_manifest(tmp_path)


def test_a_missing_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="deploy"):
        read_manifest(tmp_path)

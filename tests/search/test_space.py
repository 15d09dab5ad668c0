"""The scope file: what it may say, and one sentence for everything that it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry, Pattern, StemPattern
from ostinato.search import SearchSpace
from ostinato.search.space import LENGTH_WORDS, default_text, make_pattern, resolve_length

GOOD = '[[patterns]]\nlength = [4, "C"]\nhashes = [3, 4]\n'


def test_the_default_is_in_the_package_and_has_every_kind() -> None:
    space = SearchSpace.parse(default_text())
    assert space == SearchSpace.default()
    fields = [family.fields for family in space.families]
    assert {value for f in fields for value in f.get("scope", ())} == {"image", "compiled"}
    assert {value for f in fields for value in f.get("direction", ())} == {"vertical", "horizontal"}
    assert any(family.kind == "stems" for family in space.families)


def test_a_family_is_the_product_of_its_lists() -> None:
    (family,) = SearchSpace.parse(GOOD).families
    assert [(f["length"], f["hashes"]) for f in family.combinations()] == [(4, 3), (4, 4), ("C", 3), ("C", 4)]
    assert make_pattern("patterns", {"length": 4, "hashes": 3}) == Pattern(4, 3)
    assert make_pattern("stems", {"groups": 8}) == StemPattern(groups=8)


def test_words_of_length() -> None:
    geometry = ConvGeometry(12, 16, (3, 5))
    assert [resolve_length(word, geometry) for word in LENGTH_WORDS] == [180, 12, 6, 3, 60, 15]
    assert resolve_length("C/4", ConvGeometry(3, 4, 3)) == 1
    assert resolve_length(7, geometry) == 7


def test_layers_by_glob() -> None:
    (family,) = SearchSpace.parse(GOOD + 'layers = ["fire?.expand*", "conv1"]\n').families
    assert [family.is_for(name) for name in ("fire2.expand3x3", "conv1", "conv10")] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("patterns = []", "empty"),
        ("[[patterns]", "not valid TOML"),
        ("[[pattern]]\nlength = 4", "unknown key 'pattern'; did you mean 'patterns'"),
        ("[patterns]\nlength = 4\nhashes = 3", "[[patterns]], with double brackets"),
        (GOOD + "hashs = 3", "unknown key 'hashs'; did you mean 'hashes'"),
        (GOOD + "groups = 3", "unknown key 'groups'"),
        ("[[patterns]]\nlength = 4", "needs the key 'hashes'"),
        ("[[patterns]]\nlength = []\nhashes = 3", "length has no values"),
        ('[[patterns]]\nlength = "D"\nhashes = 3', "length is 'D'"),
        ("[[patterns]]\nlength = 4\nhashes = [3, 99]", "hashes = 99 is in no pattern"),
        ("[[patterns]]\nlength = [4, -1]\nhashes = 3", "length = -1 is in no pattern"),
        (GOOD + 'order = "kh.kw"', "order = 'kh.kw' is in no pattern"),
        (GOOD + 'scope = ["image", "compile"]', "scope = 'compile' is in no pattern"),
        (GOOD + 'clustering = "tree"', "is in no pattern: a tree of hyperplanes"),
        ("[[stems]]\ngroups = 99", "groups = 99 is in no pattern"),
        (GOOD + "layers = 3", "layers a layer's name"),
        (f"[[patterns]]\nlength = {list(range(1, 2001))}\nhashes = {list(range(1, 12))}", "22,000 combinations"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, told: str) -> None:
    with pytest.raises(PatternError) as error:
        SearchSpace.parse(text, "my.toml")
    assert told in str(error.value)
    assert str(error.value).startswith("my.toml")
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PatternError, match="cannot read the scope file"):
        SearchSpace.read(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PatternError, match="not UTF-8"):
        SearchSpace.read(tmp_path / "bytes.toml")

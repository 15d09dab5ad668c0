"""Patterns as users write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostinato.cli.patterns import parse_pattern, read_patterns
from ostinato.errors import PatternError
from ostinato.reuse import Pattern, StemPattern


def test_the_command_line_form() -> None:
    layer, pattern = parse_pattern("features.3:L=8,H=4,scope=compiled,sharing=block,init=itq,momentum=0.25")
    assert layer == "features.3"
    assert pattern == Pattern(8, 4, scope="compiled", sharing="block", init="itq", momentum=0.25)


def test_a_file_with_dotted_names_and_the_command_line_wins(tmp_path: Path) -> None:
    path = tmp_path / "patterns.toml"
    path.write_text("[conv1]\nL = 5\nH = 2\n[features.conv2]\nlength = 8\nhashes = 4\n")
    assert read_patterns(path, []) == {"conv1": Pattern(5, 2), "features.conv2": Pattern(8, 4)}
    assert read_patterns(path, ["conv1:L=3,H=1"])["conv1"] == Pattern(3, 1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("conv2", "expected LAYER:FIELD=VALUE"),
        ("conv2:L8", "'L8' is not FIELD=VALUE"),
        ("conv2:L=8,H=99", "layer 'conv2': .*from 1 to 16"),
        ("conv2:L=8,H=2,hash=3", "layer 'conv2': a pattern has no field 'hash'"),
        ("conv2:L=8", "layer 'conv2': a pattern needs the field 'hashes'"),
        ("conv2:L=eight,H=2", "layer 'conv2': .*length must be an integer"),
    ],
)
def test_refusals_on_the_command_line(text: str, complaint: str) -> None:
    with pytest.raises(PatternError, match=complaint):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("content", "complaint"), [("[conv1", "not valid TOML"), ("conv1 = 3", "expected one table per layer")]
)
def test_refusals_in_a_file(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "patterns.toml"
    path.write_text(content)
    with pytest.raises(PatternError, match=complaint):
        read_patterns(path, [])


def test_nothing_given_and_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(PatternError, match="no patterns were given"):
        read_patterns(None, [])
    with pytest.raises(PatternError, match="cannot read the patterns"):
        read_patterns(tmp_path / "none.toml", [])


def test_a_stem_is_known_by_its_groups(tmp_path):
    assert parse_pattern("conv1:G=8,H=6") == ("conv1", StemPattern(groups=8, hashes=6))
    path = tmp_path / "patterns.toml"
    path.write_text("[conv1]\ngroups = 8\nhashes = 6\n[conv2]\nL = 8\nH = 4\n")
    assert read_patterns(path, []) == {"conv1": StemPattern(groups=8, hashes=6), "conv2": Pattern(8, 4)}
    with pytest.raises(PatternError, match="layer 'conv1': a stem pattern has no field 'order'"):
        parse_pattern("conv1:G=8,order=kh.kw.c")

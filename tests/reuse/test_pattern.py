import dataclasses
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_reuse import clustering_fields

from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry, Pattern, StemPattern, read_pattern

GEOMETRY = ConvGeometry(12, 8, (3, 3))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"length": 0}, "length"),
        ({"length": 2.0}, "length"),
        ({"length": True}, "length"),
        ({"hashes": 0}, "from 1 to 16"),
        ({"hashes": 17}, "from 1 to 16"),
        ({"order": "kw.c"}, r"order must name c, kh, kw once each.*kh\.kw\.c.*not 'kw\.c'"),
        ({"order": "kh.kh.c"}, "once each"),
        ({"order": "oh.kw.c"}, "once each"),
        ({"order": ["c", "kh", "kw"]}, r"a text such as c\.kh\.kw"),
        ({"order": "c:1.kh.kw"}, "tiles of '1' in 'c:1'"),
        ({"order": "c:.kh.kw"}, "tiles of '' in 'c:'"),
        ({"order": "c:²²22.kh.kw"}, "an integer from 2"),
        ({"row_order": "kh.kw.c"}, "row_order must name b, oh, ow"),
        ({"row_order": "oh.ow.b"}, r"image scope.*begins with b, not oh\.ow\.b.*'batch'"),
        ({"row_order": "b:2.oh.ow", "scope": "compiled"}, "compiled scope.*begins with b"),
        ({"direction": "diagonal"}, "vertical, horizontal"),
        ({"direction": "horizontal"}, "needs sharing='layer', not 'slice'"),
        ({"direction": "horizontal", "sharing": "layer", "scope": "compiled"}, "scope 'image' or 'batch', not 'comp"),
        ({"block_rows": 0}, "block_rows must be an integer at least 1"),
        ({"similarity": "cosine"}, "euclidean, angular"),
        ({"scope": "everything"}, "compiled"),
        ({"sharing": "pixel"}, "block"),
        ({"init": "kmeans"}, "itq"),
        ({"gradient": "adam"}, "straight-through"),
        ({"clustering": "em"}, "lsh, tree, kmeans, hypercube"),
        ({"clustering": "kmeans"}, "write clustering='kmeans', gradient='frozen'.*not init='random', gradient='flip'"),
        ({"clustering": "hypercube", "gradient": "frozen", "init": "pca"}, "not init='pca'"),
        ({"clustering": "kmeans", "gradient": "frozen", "scope": "compiled"}, "anew for each input.*'compiled'"),
        ({"clustering": "hypercube", "gradient": "frozen", "bins": 17, "hashes": 4}, "83,521 cells, more than 65,536"),
        ({"bins": 1}, "bins must be an integer at least 2"),
        ({"clustering": "tree"}, "'frozen', and an init of pca.*not init='random', gradient='flip'"),
        ({"clustering": "tree", "init": "pca"}, "learns softly or not at all"),
        ({"clustering": "tree", "init": "itq", "gradient": "frozen"}, "not init='itq'"),
        ({"clustering": "tree", "init": "pca", "gradient": "frozen", "hashes": 11}, "at most 10 hashes.*not 11"),
        ({"sharing": "block", "order": "c.kh.kw"}, "kh.kw.c"),
        ({"k": 1.0}, "above 1"),
        ({"sigma": "static"}, "sigma must be 'dynamic' or a finite number above 0, not 'static'"),
        ({"sigma": 0.0}, "sigma must be 'dynamic' or a finite number above 0, not 0.0"),
        ({"slope": float("nan")}, "slope"),
        ({"slope": 0}, "slope"),
        ({"centre": float("inf")}, "finite"),
        ({"momentum": 1.5}, "momentum"),
        ({"momentum": 0.0}, "momentum"),
        ({"gradient_rows": 0}, "gradient_rows"),
        ({"gradient_share": 0.0}, "gradient_share"),
        ({"gradient_share": 1.5}, "gradient_share"),
        ({"seed": -1}, "seed"),
        ({"window": "wide"}, "window"),
    ],
)
def test_nonsense_is_refused_on_construction(fields, words):
    with pytest.raises(PatternError, match=words):
        Pattern(**{"length": 4, "hashes": 3, **fields})


def test_a_pattern_is_immutable_and_hashable():
    pattern = Pattern(4, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pattern.length = 5  # type: ignore[misc]
    assert {pattern: 1}[Pattern(4, 3)] == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"order": "c:13.kh.kw"}, r"'conv1': order c:13\.kh\.kw has tiles of 13 in axis c, which has 12.*at most 12"),
        ({"order": "c.kh.kw:4"}, "tiles of 4 in axis kw, which has 3"),
        ({"length": 55, "direction": "horizontal", "sharing": "layer"}, "K = 108, which has 1 of them.*1 to 54"),
        (
            {"length": 2, "block_rows": 2, "clustering": "hypercube", "gradient": "frozen", "hashes": 5},
            "hyper-cube of 5 dimensions.*2×2 has 4",
        ),
    ],
)
def test_what_cannot_apply_to_a_layer_is_refused_with_the_numbers(fields, words):
    with pytest.raises(PatternError, match=words):
        Pattern(**{"length": 4, "hashes": 3, **fields}).validate_for(GEOMETRY, "conv1")


def test_one_column_has_nothing_to_compare():
    with pytest.raises(PatternError, match="nothing to compare in K = 1"):
        Pattern(1, 3, direction="horizontal", sharing="layer").validate_for(ConvGeometry(1, 1, 1), "conv1")


def test_a_length_is_at_most_the_whole_row():
    Pattern(108, 3).validate_for(GEOMETRY, "conv1")
    with pytest.raises(PatternError, match=r"'conv1': slices of length 109 .*K = 108.*from 1 to 108"):
        Pattern(109, 3).validate_for(GEOMETRY, "conv1")


def test_a_block_must_divide_the_channels():
    Pattern(6, 3, sharing="block").validate_for(GEOMETRY, "conv1")
    with pytest.raises(PatternError, match=r"'conv1'.*length 5.*12.*1, 2, 3, 4, 6, 12"):
        Pattern(5, 3, sharing="block").validate_for(GEOMETRY, "conv1")


def test_a_compiled_table_beyond_reason_is_refused():
    wide = ConvGeometry(512, 512, (3, 3))
    Pattern(8, 16).validate_for(wide, "conv5")
    with pytest.raises(PatternError, match=r"'conv5'.*fewer hashes"):
        Pattern(8, 16, scope="compiled").validate_for(wide, "conv5")


def test_groups_follow_the_sharing():
    def groups(**fields):
        pattern = Pattern(4, 3, **fields)
        return pattern.slices(GEOMETRY), pattern.hash_groups(GEOMETRY), pattern.centroid_groups(GEOMETRY)

    assert groups() == (27, 27, 27)
    assert groups(sharing="layer") == (27, 1, 27)
    assert groups(sharing="block") == (27, 3, 27)
    assert groups(sharing="block", scope="compiled") == (27, 3, 3)
    assert groups(sharing="block", scope="compiled", block_rows=2) == (27, 3, 27)
    assert groups(sharing="layer", direction="horizontal") == (27, 1, 27)
    assert Pattern(4, 3, block_rows=5).block_size == 20
    assert Pattern(5, 3, sharing="layer", direction="horizontal").slices(GEOMETRY) == 21


@pytest.mark.parametrize(("bins", "hashes", "ids", "bits"), [(4, 3, 64, 6), (3, 2, 9, 4), (2, 1, 2, 1), (5, 1, 5, 3)])
def test_a_hyper_cube_has_bins_to_the_power_of_dimensions_cells(bins, hashes, ids, bits):
    pattern = Pattern(4, hashes, bins=bins, clustering="hypercube", gradient="frozen")
    assert (pattern.ids, pattern.id_bits, pattern.planes) == (ids, bits, 0)


@given(
    length=st.integers(1, 64),
    hashes=st.integers(1, 16),
    scope=st.sampled_from(["image", "batch", "compiled"]),
    learning=st.sampled_from(
        [*({"gradient": g} for g in ("flip", "trec", "straight-through", "frozen")), clustering_fields("tree")]
    ),
    k=st.floats(1.5, 50),
    sigma=st.just("dynamic") | st.floats(1e-6, 1),
)
def test_to_dict_round_trips_through_toml(length, hashes, scope, learning, k, sigma):
    pattern = Pattern(length, min(hashes, 10), scope=scope, k=k, sigma=sigma, **learning)
    text = "\n".join(f"{key} = {value!r}" for key, value in pattern.to_dict().items())
    assert Pattern.from_dict(tomllib.loads(text)) == pattern


def test_from_dict_names_a_misspelt_field():
    with pytest.raises(PatternError, match="did you mean 'hashes'"):
        Pattern.from_dict({"length": 4, "hashs": 3})
    with pytest.raises(PatternError, match="needs the field 'hashes'"):
        Pattern.from_dict({"length": 4})


def test_fields_of_saved_patterns_without_clustering_mean_lsh():
    fields = Pattern(4, 3).to_dict()
    del fields["clustering"]
    assert Pattern.from_dict(fields).clustering == "lsh"


def test_a_tree_has_a_plane_for_each_node():
    assert Pattern(4, 5).planes == 5
    assert Pattern(4, 5, **clustering_fields("tree")).planes == 31
    assert Pattern(4, 5, **clustering_fields("tree")).ids == 32


def test_str_says_what_matters():
    assert str(Pattern(16, 4, scope="compiled", sharing="block", init="itq")) == (
        "L=16 H=4 kh.kw.c, compiled scope, hashes per block (itq, flip)"
    )
    wide = Pattern(2, 3, "c:8.kh.kw", "batch", "layer", similarity="angular", direction="horizontal", block_rows=4,
                   row_order="oh:2.ow.b")  # fmt: skip
    assert str(wide) == (
        "L=2 b=4 H=3 c:8.kh.kw rows oh:2.ow.b horizontal, batch scope, hashes per layer (random, flip, angular)"
    )
    assert str(Pattern(8, 4, scope="compiled", sharing="block", **clustering_fields("tree"))) == (
        "L=8 H=4 kh.kw.c, compiled scope, hashes per block (tree)"
    )


def test_the_best_known_compiled_pattern_is_one_call():
    pattern = Pattern.compiled(8, 6)
    assert (pattern.length, pattern.hashes, pattern.scope, pattern.pixelwise) == (8, 6, "compiled", True)
    assert Pattern.compiled(8, 6, seed=3) == dataclasses.replace(pattern, seed=3)
    assert Pattern.compiled(8, 6, init="pca").init == "pca"


def test_any_kind_of_pattern_is_read_back_from_its_fields():
    for pattern in (Pattern(8, 4), Pattern.compiled(4, 3), StemPattern(), StemPattern(groups=0)):
        assert read_pattern(pattern.to_dict()) == pattern

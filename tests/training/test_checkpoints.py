import json

import pytest
import torch

from ostinato import files as files_module
from ostinato import models
from ostinato.checkpoints.tensors import digest
from ostinato.errors import CheckpointError, ModelError
from ostinato.files import write_atomically
from ostinato.training import load_checkpoint, load_model_state, save_model

META = {"classes": ["dark", "grey", "light"], "dataset": "tiny", "seed": 3, "patterns": {"conv": {"length": 9}}}


def test_round_trip(net, tmp_path):
    model = net()
    save_model(tmp_path / "deep" / "model.pt", model, meta=META)
    checkpoint = load_checkpoint(tmp_path / "deep" / "model.pt")
    assert {key: checkpoint.meta[key] for key in META} == META
    other = net(seed=1)
    assert load_model_state(tmp_path / "deep" / "model.pt", other).meta == checkpoint.meta
    for name, tensor in model.state_dict().items():
        assert tensor.equal(other.state_dict()[name])


def test_meta_names_the_network_so_that_it_can_be_made_again(tmp_path):
    model = models.create("cifarnet", num_classes=3, image_size=16)
    save_model(tmp_path / "model.pt", model, meta={"classes": ["a", "b", "c"]})
    meta = load_checkpoint(str(tmp_path / "model.pt")).meta
    assert meta["model"] == "cifarnet"
    assert meta["patterns"] == {}
    load_model_state(tmp_path / "model.pt", models.create(meta["model"], **meta["kwargs"]))


def test_meta_must_be_json(net, tmp_path):
    with pytest.raises(CheckpointError, match="not JSON"):
        save_model(tmp_path / "model.pt", net(), meta={"classes": {1, 2}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_weights_are_named_and_nothing_is_written(net, tmp_path, value):
    model = net()
    model.bn.running_var[2] = value
    with pytest.raises(ModelError, match=r"'bn.running_var' has 1 NaN or infinite"):
        save_model(tmp_path / "model.pt", model, meta=META)
    assert list(tmp_path.iterdir()) == []


def test_non_finite_weights_in_a_file_are_named(net, tmp_path, monkeypatch):
    model = net()
    model.fc.bias.data[0] = float("nan")
    monkeypatch.setattr("ostinato.checkpoints.models.check_finite", lambda state: None)
    save_model(tmp_path / "model.pt", model, meta=META)
    monkeypatch.undo()
    with pytest.raises(ModelError, match=r"'fc.bias'"):
        load_checkpoint(tmp_path / "model.pt")


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"model.pt: there is no such model checkpoint"):
        load_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.9, 0.999])
def test_truncated_file(net, tmp_path, keep):
    path = tmp_path / "model.pt"
    save_model(path, net(), meta=META)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(CheckpointError, match=r"model\.pt: not a readable model checkpoint"):
        load_checkpoint(path)


def test_a_flipped_bit_in_a_weight_is_noticed(net, tmp_path):
    path = tmp_path / "model.pt"
    model = net()
    save_model(path, model, meta=META)
    content = bytearray(path.read_bytes())
    place = bytes(content).find(model.fc.weight.detach().numpy().tobytes())
    assert place > 0
    content[place + 40] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"corrupt"):
        load_checkpoint(path)


def test_something_else_than_a_checkpoint(tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "foreign.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("text.pt", "foreign.pt", "list.pt"):
        with pytest.raises(CheckpointError, match=name):
            load_checkpoint(tmp_path / name)


class Payload:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys):
    torch.save({"digest": "", "meta": Payload()}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="not a readable"):
        load_checkpoint(tmp_path / "model.pt")
    assert "this must not run" not in capsys.readouterr().out


@pytest.mark.parametrize(("key", "value"), [("version", 99), ("format", "another")])
def test_other_formats_and_versions(net, tmp_path, key, value):
    path = tmp_path / "model.pt"
    save_model(path, net(), meta=META)
    content = torch.load(path, weights_only=True)
    torch.save({**content, key: value}, path)
    with pytest.raises(CheckpointError, match=str(value)):
        load_checkpoint(path)


def mismatch(path, model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        load_model_state(path, model)
    for name, tensor in model.state_dict().items():
        assert tensor.equal(before[name]), "the model was changed by a checkpoint that does not fit"
    return str(error.value)


def test_checkpoint_of_another_model_names_the_first_key(net, tmp_path):
    path = tmp_path / "model.pt"
    save_model(path, net(), meta={**META, "patterns": {}})
    assert "'conv1.weight'" in mismatch(path, models.cifarnet())
    message = mismatch(path, net(classes=4))
    assert "'fc.weight' has shape (3, 144), the model needs (4, 144)" in message
    assert "TinyNet" in message
    without_hash = net()
    without_hash.hash = torch.nn.Identity()
    assert "a tensor 'hash.hash_vectors', which the model does not have" in mismatch(path, without_hash)
    double = net()
    double.fc.double()
    assert "'fc.weight' is torch.float32, the model needs torch.float64" in mismatch(path, double)


def test_checkpoint_with_reuse_says_to_convert_first(net, tmp_path):
    path = tmp_path / "model.pt"
    save_model(path, net(), meta={**META, "patterns": {"hash": {"length": 8}}})
    conventional = net()
    conventional.hash = torch.nn.Identity()
    assert "'hash' was saved with reuse: convert the model" in mismatch(path, conventional)


def test_interrupted_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"half of the new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_reaches_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(files_module.os, "fsync", lambda handle: order.append("fsync"))
    replace = files_module.Path.replace
    monkeypatch.setattr(
        files_module.Path, "replace", lambda self, other: order.append("replace") or replace(self, other)
    )
    write_atomically(tmp_path / "file", lambda file: file.write(b"x"))
    assert order == ["fsync", "replace"]


def test_digest_sees_values_names_types_and_shapes():
    base = {"a": torch.zeros(2, 3), "b": [torch.ones(1)]}
    variants = [
        {"a": torch.zeros(3, 2), "b": [torch.ones(1)]},
        {"c": torch.zeros(2, 3), "b": [torch.ones(1)]},
        {"a": torch.zeros(2, 3, dtype=torch.int32), "b": [torch.ones(1)]},
        {"a": torch.zeros(2, 3), "b": [torch.zeros(1)]},
    ]
    assert digest(base) == digest(json.loads("{}") | base)
    assert len({digest(value) for value in [base, *variants]}) == 5
    transposed = torch.arange(6.0).reshape(2, 3)
    assert digest({"a": transposed.t().contiguous().t()}) == digest({"a": transposed})
    assert digest({"a": torch.tensor(3)}) != digest({"a": torch.tensor(4)})

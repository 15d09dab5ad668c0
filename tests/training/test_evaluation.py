import pytest
import torch
import torch.nn.functional as F

from ostinato.data import Split, to_input
from ostinato.errors import DataError
from ostinato.training import evaluate


def test_equals_one_pass_over_all_images(net, dataset):
    model = net().eval()
    with torch.no_grad():
        logits = model(to_input(dataset.test.images))
    labels = dataset.test.labels
    for batch_size in (1, 7, 30, 1000):
        result = evaluate(model, dataset.test, batch_size)
        assert result.n == 30
        assert result.top1 == float((logits.argmax(1) == labels).double().mean())
        assert result.loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)


def test_restores_the_mode_of_every_module_and_changes_no_statistics(net, dataset):
    model = net().train()
    model.bn.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, dataset.test)
    assert model.training
    assert model.dropout.training
    assert not model.bn.training
    for name, tensor in model.state_dict().items():
        assert tensor.equal(before[name])


def test_mode_is_restored_after_an_error(net, dataset):
    model = net().train()
    model.fc = torch.nn.Linear(1, 3)
    with pytest.raises(RuntimeError):
        evaluate(model, dataset.test)
    assert model.training


def test_empty_split_is_refused(net):
    empty = Split(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(DataError, match="empty"):
        evaluate(net(), empty)

"""Stopped by Ctrl-C, killed, or failed: a resumed training ends with the very same bits."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from ostinato.errors import CheckpointError
from ostinato.training import Recipe, fit, load_model_state
from ostinato.training import trainer as trainer_module

RECIPE = Recipe("fast", lr=0.05, hash_lr=0.01, batch_size=16, nesterov=True, weight_decay=1e-4, augment=True)
EPOCHS = 4
STEPS = 10  # 150 images in batches of 16 at most


def train(model, dataset, run_dir, **changes):
    return fit(model, dataset, **{"epochs": EPOCHS, "recipe": RECIPE, "seed": 1, "run_dir": run_dir, **changes})


@pytest.fixture
def reference(net, dataset, tmp_path):
    """Result and weights of an uninterrupted training."""
    model = net()
    result = train(model, dataset, tmp_path / "reference")
    return result, {name: tensor.clone() for name, tensor in model.state_dict().items()}


def timeless(history):
    return [{key: value for key, value in record.items() if key != "seconds"} for record in history]


def assert_same(model, result, reference, run_dir):
    expected, weights = reference
    assert timeless(result.history) == timeless(expected.history)
    assert (result.best_epoch, result.valid_top1, result.stopped) == (
        expected.best_epoch, expected.valid_top1, False,
    )  # fmt: skip
    for name, tensor in model.state_dict().items():
        assert tensor.equal(weights[name]), name
    load_model_state(run_dir / "model.pt", model)
    for name, tensor in model.state_dict().items():
        assert tensor.equal(weights[name]), name
    # The last state, too, not only the best one.
    last, wanted = (
        torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
        for folder in (run_dir, run_dir.parent / "reference")
    )
    for name, tensor in wanted.items():
        assert tensor.equal(last[name]), name
    assert len((run_dir / "metrics.jsonl").read_text().splitlines()) == EPOCHS


def interrupt_at(model, step):
    """Ctrl-C while the training step of this number (from 1) computes."""
    calls = 0

    def hook(module, inputs, output):
        nonlocal calls
        calls += module.training
        if module.training and calls == step:
            signal.raise_signal(signal.SIGINT)

    model.register_forward_hook(hook)


@pytest.mark.parametrize("step", [1, STEPS // 2, STEPS, STEPS + 1, 3 * STEPS - 1, EPOCHS * STEPS - 1])
def test_ctrl_c_anywhere(net, dataset, tmp_path, reference, step):
    run_dir = tmp_path / "run"
    model = net()
    interrupt_at(model, step)
    stopped = train(model, dataset, run_dir)
    assert stopped.stopped
    assert len(stopped.history) == step // STEPS
    assert repr(str(run_dir)) in stopped.message
    assert "goes on" in stopped.message
    resumed = net(seed=5)  # other initial weights: all must come from the checkpoint
    result = train(resumed, dataset, run_dir)
    assert_same(resumed, result, reference, run_dir)


def test_ctrl_c_twice_in_one_training(net, dataset, tmp_path, reference):
    run_dir = tmp_path / "run"
    for step in (7, 16):
        model = net()
        interrupt_at(model, step)
        assert train(model, dataset, run_dir).stopped
    model = net()
    assert_same(model, train(model, dataset, run_dir), reference, run_dir)


def test_ctrl_c_in_the_last_step_of_all_finishes(net, dataset, tmp_path, reference):
    model = net()
    interrupt_at(model, EPOCHS * STEPS)
    assert_same(model, train(model, dataset, tmp_path / "run"), reference, tmp_path / "run")


def test_second_ctrl_c_interrupts_at_once_and_the_handler_is_restored(net, dataset, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    model = net()
    for _ in range(2):
        interrupt_at(model, STEPS + 2)
    with pytest.raises(KeyboardInterrupt):
        train(model, dataset, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before


def test_without_run_dir_the_message_says_that_nothing_was_saved(net, dataset):
    model = net()
    interrupt_at(model, STEPS + 3)
    result = train(model, dataset, None)
    assert result.stopped
    assert result.best_epoch == 1
    assert "nothing was saved" in result.message


KILLED = """
    import os, signal, sys
    import torch
    torch.set_num_threads(1)
    sys.path.insert(0, {here!r})
    from conftest import tiny_dataset, tiny_net
    from test_resuming import train

    def die(record):
        if record["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    train(tiny_net(), tiny_dataset(), {run_dir!r}, on_epoch=die)
"""


def test_killed_process(net, dataset, tmp_path, reference):
    run_dir = tmp_path / "run"
    code = textwrap.dedent(KILLED.format(here=str(Path(__file__).parent), run_dir=str(run_dir)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    resumed = net()
    result = train(resumed, dataset, run_dir)
    assert_same(resumed, result, reference, run_dir)


@pytest.mark.parametrize("at", [1, 3, 6])
def test_killed_while_writing(net, dataset, tmp_path, reference, monkeypatch, at):
    """Whichever write is the last one that succeeds, what is on disk is enough to end alike."""
    run_dir = tmp_path / "run"
    writes = 0

    def guard(original):
        def write(*arguments, **keywords):
            nonlocal writes
            writes += 1
            if writes > at:
                raise SystemExit("killed")
            return original(*arguments, **keywords)

        return write

    for name in ("save_training", "save_state", "write_atomically"):
        monkeypatch.setattr(trainer_module, name, guard(getattr(trainer_module, name)))
    with pytest.raises(SystemExit):
        train(net(), dataset, run_dir)
    monkeypatch.undo()
    model = net()
    assert_same(model, train(model, dataset, run_dir), reference, run_dir)


def test_a_finished_training_is_not_repeated(net, dataset, tmp_path, reference):
    model = net(seed=3)
    calls = []
    model.register_forward_hook(lambda *arguments: calls.append(1))
    result = train(model, dataset, tmp_path / "reference")
    assert not calls
    assert result == reference[0]
    for name, tensor in model.state_dict().items():
        assert tensor.equal(reference[1][name])


def test_resume_false_starts_over(net, dataset, tmp_path, reference):
    model = net()
    interrupt_at(model, STEPS + 3)
    assert train(model, dataset, tmp_path / "run").stopped
    model = net()
    result = train(model, dataset, tmp_path / "run", resume=False)
    assert_same(model, result, reference, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 5}, "epochs=4, this one epochs=5"),
        ({"seed": 2}, "seed=1, this one seed=2"),
        ({"lr": 0.01}, "lr=0.05, this one lr=0.01"),
        ({"train_limit": 100}, "train_images=150, this one train_images=100"),
    ],
)
def test_other_settings_are_refused(net, dataset, tmp_path, reference, changes, words):
    with pytest.raises(CheckpointError) as error:
        train(net(), dataset, tmp_path / "reference", **changes)
    assert words in str(error.value)
    assert "resume=False" in str(error.value)


def test_another_model_is_refused_with_the_first_key(net, dataset, tmp_path, reference):
    model = net()
    model.conv = torch.nn.Conv2d(3, 4, 3, bias=False)
    with pytest.raises(CheckpointError, match=r"checkpoint.pt: it has a tensor 'conv.bias'"):
        train(model, dataset, tmp_path / "reference")


@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
def test_damaged_checkpoint_is_refused_and_left_alone(net, dataset, tmp_path, reference, keep):
    path = tmp_path / "reference" / "checkpoint.pt"
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(CheckpointError, match=r"checkpoint.pt: not a readable training checkpoint"):
        train(net(), dataset, tmp_path / "reference")
    assert path.stat().st_size == int(keep * len(content))


def test_a_model_file_is_no_training_checkpoint(net, dataset, tmp_path, reference):
    folder = tmp_path / "reference"
    (folder / "checkpoint.pt").write_bytes((folder / "model.pt").read_bytes())
    with pytest.raises(CheckpointError, match=r"'ostinato-model'"):
        train(net(), dataset, folder)

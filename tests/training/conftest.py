"""A training so small that a whole one takes a fraction of a second, with everything a real one has."""

import pytest
import torch
from torch import nn

from ostinato.data import Augmentation, ImageDataset, Split


class HashLike(nn.Module):
    """A module with parameters of a hash's names, which take part in the output."""

    def __init__(self):
        super().__init__()
        self.hash_vectors = nn.Parameter(torch.ones(4, 3))
        self.thresholds = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return x * self.hash_vectors.mean() - self.thresholds[:, None, None]


class TinyNet(nn.Module):
    """Convolution, BN, dropout, a hash-like module, a classifier: every kind of state there is."""

    def __init__(self, classes=3):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.hash = HashLike()
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(4 * 36, classes)

    def forward(self, x):
        x = self.hash(torch.relu(self.bn(self.conv(x))))
        return self.fc(self.dropout(x.flatten(1)))


def tiny_net(seed=0, classes=3):
    torch.manual_seed(seed)
    return TinyNet(classes)


def tiny_dataset():
    """150 / 30 / 30 images of 8x8 in three classes that differ in brightness, with much noise."""
    generator = torch.Generator().manual_seed(0)

    def split(n):
        labels = torch.arange(n) % 3
        images = torch.randint(0, 140, (n, 3, 8, 8), generator=generator) + 40 * labels[:, None, None, None]
        return Split(images.to(torch.uint8), labels)

    return ImageDataset("tiny", ("dark", "grey", "light"), split(150), split(30), split(30), Augmentation(True, 2))


@pytest.fixture
def dataset():
    return tiny_dataset()


@pytest.fixture
def net():
    return tiny_net


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order: what is compared bit for bit must be computed alike."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

"""Models as users write them, good and bad, as the text of a `net.py` each: for digits, 64 pixels and 10 classes."""

from __future__ import annotations

from pathlib import Path

__all__ = ["GOOD", "written"]

_HEAD = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs=64, classes=10):
        super().__init__()
        torch.manual_seed(0)
        self.flatten, self.affine = nn.Flatten(), nn.Linear(inputs, classes)

    def forward(self, x):
        return self.affine(self.flatten(x))
"""

GOOD = _HEAD + "\n\ndef make():\n    return Net()\n"
"""A linear model whose factory seeds the global generator, as many do."""

_MODELS = {
    "good": GOOD,
    "syntax": "def make(:\n",
    "import": "raise RuntimeError('no licence\\nfound')\n",
    "exit": "import sys\nsys.exit('not today')\n",
    "factory": _HEAD + "\n\ndef make():\n    raise ValueError('no weights\\nhere')\n",
    "arguments": _HEAD + "\n\ndef make(width):\n    return Net()\n",
    "string": "def make():\n    return 'resnet18'\n",
    "none": "def make():\n    pass\n",
    "shape": _HEAD + "\n\ndef make():\n    return Net(inputs=784)\n",
    "classes": _HEAD + "\n\ndef make():\n    return Net(classes=7)\n",
    "tuple": _HEAD + "\n\ndef make():\n    net = Net()\n    return lambda x: (net(x), x)\n",
    "two": _HEAD + "\n\ndef make():\n    net = Net()\n    return lambda x: {'a': net(x), 'b': -net(x)}\n",
    "probabilities": _HEAD + "\n\ndef make():\n    return nn.Sequential(Net(), nn.Softmax(1))\n",
    "nan": _HEAD + "\n\ndef make():\n    net = Net()\n    return lambda x: net(x) * float('nan')\n",
    "first": _HEAD
    + "\n\nclass Bad(Net):\n    def forward(self, x):\n        raise RuntimeError('the \\x1b[31msensor\\nis off')\n"
    + "\n\nmake = Bad\n",
    "leaves": _HEAD
    + "\n\nclass Bad(Net):\n    def forward(self, x):\n        raise SystemExit(0)\n\n\nmake = Bad\n",
    "some": _HEAD
    + """

class Moody(Net):
    def forward(self, x):
        if (x.flatten(1)[:, 20] == 1).any():
            raise RuntimeError('too bright')
        return super().forward(x)


make = Moody
""",
    "later": _HEAD
    + """

class Tired(Net):
    asked = 0

    def forward(self, x):
        Tired.asked += 1
        if Tired.asked > 6:
            raise RuntimeError('tired')
        return super().forward(x)


make = Tired
""",
    "shrinks": _HEAD
    + "\n\nclass Bad(Net):\n    def forward(self, x):\n        return super().forward(x)[:1]\n\n\nmake = Bad\n",
    "training": _HEAD
    + """

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 10)).train()
""",
    "slow": _HEAD
    + """

import time


class Slow(Net):
    def forward(self, x):
        time.sleep(0.04)
        return super().forward(x)


make = Slow
""",
}


def written(kind: str, folder: Path) -> str:
    """Write the `net.py` of one kind into `folder`, and give its path."""
    file = folder / "net.py"
    file.write_text(_MODELS[kind], encoding="utf-8")
    return str(file)

"""Words between commas on the command line, where brackets may hold commas too."""

from __future__ import annotations

import pytest

from frenemy.cli.subject import words
from frenemy.errors import UsageError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mlp@0", ["mlp@0"]),
        ("mlp@0, linear@0 ,,mlp@0", ["mlp@0", "linear@0"]),
        ("vgg16(width=2)@0,linear@0", ["vgg16(width=2)@0", "linear@0"]),
        ("cifarresnet(depth=8, width=2)@0,mlp@1", ["cifarresnet(depth=8, width=2)@0", "mlp@1"]),
        ("mlp(hidden=(5,4))@0,mlp@1", ["mlp(hidden=(5,4))@0", "mlp@1"]),
        ("a(1.safetensors,b).safetensors", ["a(1.safetensors,b).safetensors"]),
        ("a(1.safetensors,b.safetensors", ["a(1.safetensors", "b.safetensors"]),
    ],
)
def test_commas_in_brackets_part_nothing(text: str, found: list[str]) -> None:
    assert words("model", text) == found


def test_no_words_are_refused() -> None:
    with pytest.raises(UsageError, match="expected --model to be one or more words, got ' ,'"):
        words("model", " ,")

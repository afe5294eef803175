"""Calls as people write them: hyphens in words, and in what stands in quotes."""

from __future__ import annotations

import pytest

from frenemy.calls import calls


@pytest.mark.parametrize(
    ("text", "name", "settings"),
    [
        ("random-search(max-steps=3)", "randomsearch", {"max_steps": 3}),
        (
            "hat(helper='runs/train-standard/a-b.safetensors')",
            "hat",
            {"helper": "runs/train-standard/a-b.safetensors"},
        ),
        ('hat(helper="my-net@0", warm-up=1)', "hat", {"helper": "my-net@0", "warm_up": 1}),
        ("""hat(helper="it's-mine", a-b='say "x-y"')""", "hat", {"helper": "it's-mine", "a_b": 'say "x-y"'}),
        ("f(a=1-2/4)", "f", None),
        ("f(a=-1)", "f", {"a": -1}),
    ],
)
def test_hyphens_join_words_but_stay_in_quotes(
    text: str, name: str, settings: dict[str, object] | None
) -> None:
    if settings is None:
        with pytest.raises(Exception, match="expected plain values"):
            calls(text, "method", "write it")
        return
    (found,) = calls(text, "method", "write it")
    assert (found.name, found.settings) == (name, settings)

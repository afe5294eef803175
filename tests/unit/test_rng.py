"""Keys: the words of splitmix64, the laws of the draws, and independence of everything that should not matter."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from frenemy.rng import Key

MASK = 2**64 - 1
MANY = 20_000


def _finalise(word: int) -> int:
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return word ^ (word >> 31)


def _stream(state: int, count: int) -> list[int]:
    """Splitmix64 in whole numbers of Python: the state walks by the golden gamma, each state is finalised."""
    return [_finalise((state + step * 0x9E3779B97F4A7C15) & MASK) for step in range(1, count + 1)]


def test_the_oracle_gives_the_published_stream_of_seed_1234567() -> None:
    assert _stream(1234567, 5) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@settings(deadline=None)
@given(seed=st.integers(-(2**70), 2**70), index=st.integers(0, 2**63 - 1), count=st.integers(1, 6))
def test_words_are_splitmix64_started_at_the_finalised_index(seed: int, index: int, count: int) -> None:
    start = _finalise((index * 0x9E3779B97F4A7C15 + seed) & MASK)
    words = Key(seed).words(torch.tensor([index]), (count,))[0]
    assert [word & MASK for word in words.tolist()] == _stream(start, count)


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float64, 53), (torch.float32, 24)])
def test_uniform_draws_are_the_high_bits_of_the_words(dtype: torch.dtype, bits: int) -> None:
    index = torch.arange(100)
    words = Key(3).words(index, (2, 2)).flatten().tolist()
    drawn = Key(3).uniform(index, (2, 2), dtype)
    assert drawn.dtype == dtype
    assert drawn.flatten().tolist() == [((word & MASK) >> (64 - bits)) / 2**bits for word in words]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", [0, 1, 2**63, -5])
def test_draws_follow_their_laws_along_index_and_along_coordinates(seed: int, dtype: torch.dtype) -> None:
    key = Key(seed)
    for index, shape in ((torch.arange(MANY), ()), (torch.tensor([17]), (MANY,))):
        uniform = key.uniform(index, shape, dtype).flatten().numpy()
        normal = key.normal(index, shape, dtype).flatten().numpy()
        assert 0 <= uniform.min() < uniform.max() < 1
        assert bool(np.isfinite(normal).all())
        assert stats.kstest(uniform.astype(np.float64), "uniform").pvalue > 1e-4
        assert stats.kstest(normal.astype(np.float64), "norm").pvalue > 1e-4


def test_neighbours_in_index_coordinate_key_and_law_are_uncorrelated() -> None:
    index = torch.arange(MANY)
    root = Key(0)
    draws = [
        root.uniform(index, (2,))[:, 0],
        root.uniform(index, (2,))[:, 1],
        root.uniform(index + 1, ()),
        root.uniform(index + MANY, ()),
        Key(1).uniform(index, ()),
        root.fold("a").uniform(index, ()),
        root.fold("b").uniform(index, ()),
        root.fold(0).uniform(index, ()),
        root.fold(1).uniform(index, ()),
        root.normal(index, ()),
    ]
    for a, b in itertools.combinations(draws, 2):
        correlation = float(np.corrcoef(a.numpy(), b.numpy())[0, 1])
        assert abs(correlation) < 5 / math.sqrt(MANY)


def test_words_do_not_repeat_and_every_bit_is_fair() -> None:
    words = Key(9).words(torch.arange(1000), (100,)).flatten()
    assert len(set(words.tolist())) == len(words)
    for bit in range(64):
        ones = int(((words >> bit) & 1).sum())
        assert stats.binomtest(ones, len(words)).pvalue > 1e-5


@settings(deadline=None)
@given(rows=st.lists(st.integers(0, 2**40), min_size=1, max_size=20), seed=st.integers(0, 2**64))
def test_a_row_draws_the_same_alone_in_company_and_in_any_order(rows: list[int], seed: int) -> None:
    index, key = torch.tensor(rows), Key(seed)
    words, uniform = key.words(index, (3, 2)), key.uniform(index, (3, 2))
    normal = key.normal(index, (3, 2), torch.float64)
    assert torch.equal(key.words(index.flip(0), (3, 2)).flip(0), words)
    for row in range(len(rows)):
        alone = index[row : row + 1]
        assert torch.equal(key.words(alone, (3, 2))[0], words[row])
        assert torch.equal(key.uniform(alone, (3, 2))[0], uniform[row])
        torch.testing.assert_close(
            key.normal(alone, (3, 2), torch.float64)[0], normal[row], rtol=1e-14, atol=1e-14
        )


@settings(deadline=None)
@given(value=st.integers(), name=st.text() | st.integers())
def test_folding_is_a_function_that_sees_only_the_low_64_bits(value: int, name: str | int) -> None:
    child = Key(value).fold(name)
    assert child == Key(value).fold(name) == Key(value + 2**64).fold(name)
    assert 0 <= child.value < 2**64


def test_different_paths_are_different_keys() -> None:
    names: list[str | int] = ["", "1", 1, "int/1", "a", "b", "ab", "a/b", -1, "-1", 0, "0"]
    keys = [Key(0), Key(1), *(Key(seed).fold(name) for seed in (0, 1) for name in names)]
    keys += [Key(0).fold("a").fold("b"), Key(0).fold("b").fold("a")]
    assert len({key.value for key in keys}) == len(keys)
    assert Key(0).fold("1") != Key(0).fold(1)


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_a_permutation_holds_every_place_once(count: int) -> None:
    drawn = Key(4).permutation(count)
    assert drawn.dtype == torch.int64
    assert drawn.sort().values.tolist() == list(range(count))


def test_all_permutations_of_four_are_as_likely() -> None:
    drawn = [tuple(Key(0).fold(draw).permutation(4).tolist()) for draw in range(4800)]
    counts = [drawn.count(order) for order in itertools.permutations(range(4))]
    assert stats.chisquare(counts).pvalue > 1e-4


def test_the_global_generator_is_neither_read_nor_written() -> None:
    before = torch.get_rng_state()
    first = [
        Key(0).uniform(torch.arange(3), (2,)),
        Key(0).normal(torch.arange(3), (2,)),
        Key(0).permutation(5),
    ]
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng():
        torch.rand(7)
        again = [
            Key(0).uniform(torch.arange(3), (2,)),
            Key(0).normal(torch.arange(3), (2,)),
            Key(0).permutation(5),
        ]
    assert all(torch.equal(a, b) for a, b in zip(first, again))

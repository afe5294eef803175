"""Card: one line for people, one entry for BibTeX."""

from __future__ import annotations

import pytest

from frenemy.card import Access, Card

FULL = Card(
    authors="Madry, Makelov, Schmidt",
    title="Towards Deep Learning Models",
    year=2018,
    venue="ICLR",
    link="arXiv:1706.06083",
    place="Section 2",
)


@pytest.mark.parametrize(
    ("authors", "who"),
    [
        ("Madry", "Madry"),
        ("Madry, Makelov", "Madry and Makelov"),
        ("Madry, Makelov, Schmidt", "Madry et al."),
    ],
)
def test_a_citation_names_one_two_or_many(authors: str, who: str) -> None:
    assert Card(authors=authors, title="T", year=2018).citation == f'{who} 2018, "T"'


def test_a_full_citation_is_one_line() -> None:
    expected = 'Madry et al. 2018, "Towards Deep Learning Models", ICLR, arXiv:1706.06083, Section 2'
    assert FULL.citation == expected


def test_a_bibtex_entry_has_a_key_of_word_characters_and_balanced_braces() -> None:
    assert FULL.bibtex("PGD-L2") == (
        "@misc{madry2018pgdl2,\n"
        "  author = {Madry and Makelov and Schmidt},\n"
        "  title = {{Towards Deep Learning Models}},\n"
        "  year = {2018},\n"
        "  howpublished = {ICLR},\n"
        "  note = {arXiv:1706.06083},\n"
        "}"
    )


def test_folklore_cites_nobody() -> None:
    assert Card().citation == "folklore"
    assert Card().bibtex("Noise") == "% Noise: folklore, nothing to cite"


def test_access_is_known_by_its_word() -> None:
    assert [Access(word) for word in ("gradients", "scores", "labels")] == list(Access)

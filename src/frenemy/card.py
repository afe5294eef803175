"""Card: what a part is, who thought of it, what it needs, what it promises, where it departs from its source."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import final

__all__ = ["Access", "Card"]


class Access(Enum):
    """What a perturber sees of the model: its gradients, its scores, or only the label it gives."""

    GRADIENTS = "gradients"
    SCORES = "scores"
    LABELS = "labels"

    @property
    def rank(self) -> int:
        """How much is seen: 0 for labels, 1 for scores, 2 for gradients."""
        return (Access.LABELS, Access.SCORES, Access.GRADIENTS).index(self)


@final
@dataclass(frozen=True, slots=True)
class Card:
    """The label on a part; read without importing the part, so every argument is a literal.

    Args:
        authors: surnames, separated by commas; empty for folklore.
        title: full title of the source.
        year: year of the source.
        venue: where it appeared.
        link: arXiv number or address.
        place: section, equation or algorithm number in the source.
        access: the least access the part needs (attacks only).
        reach: share in [0, 1] of the known optimal gain on a linear model that an attack promises with its
            default settings; a law holds it to the promise.
        nearest: an attack of least distance finds, on a linear model and with its default settings, points at most so
            many times as far as the nearest; a law holds it to the promise. 0 for attacks that promise no distance.
        threats: names of the threats an attack can search (`linf`, `l2`, `sphere`, ...); empty for any.
        vicinity: the row of a training method in the table of 004 (Table 5.1, vicinal risk): the inputs and the labels
            that it trains on, the map g of the answers, the map h of the labels, and whether it is made for an attack.
        deviations: one clause each: where the part departs from the paper or from its released code, and why.
    """

    authors: str = ""
    title: str = ""
    year: int = 0
    venue: str = ""
    link: str = ""
    place: str = ""
    access: Access | None = None
    reach: float = 0.0
    nearest: float = 0.0
    threats: tuple[str, ...] = ()
    vicinity: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()

    @property
    def citation(self) -> str:
        """One line for people: `Madry, Makelov et al. 2018, "Towards ...", ICLR (arXiv:1706.06083)`."""
        if not self.authors:
            return "folklore"
        names = [name.strip() for name in self.authors.split(",")]
        who = (
            names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
        )
        parts = [f'{who} {self.year}, "{self.title}"', self.venue, self.link, self.place]
        return ", ".join(part for part in parts if part)

    def bibtex(self, name: str) -> str:
        """Write the source as a BibTeX entry whose key is made from the first author, the year and `name`."""
        if not self.authors:
            return f"% {name}: folklore, nothing to cite"
        names = [who.strip() for who in self.authors.split(",")]
        key = re.sub(r"\W", "", f"{names[0]}{self.year}{name}").lower()
        fields = {"author": " and ".join(names), "title": f"{{{self.title}}}", "year": str(self.year)}
        fields |= {"howpublished": self.venue} if self.venue else {}
        fields |= {"note": self.link} if self.link else {}
        body = "".join(f"  {field} = {{{text}}},\n" for field, text in fields.items())
        return f"@misc{{{key},\n{body}}}"

"""`frenemy pairs`: how near two classes of a data set come, before any model is asked."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

from frenemy.cli.options import read
from frenemy.cli.progress import Bar
from frenemy.cli.subject import Source, folder, words
from frenemy.errors import UsageError, nearest

__all__ = ["PairsOptions", "run"]


@final
@dataclass(frozen=True)
class PairsOptions(Source):
    """Find the nearest examples of different classes, exactly.

    Args:
        norm: l2, l1, linf, or several separated by commas.
        eps: count the examples that a perturber of this size can change into an example of another class; one number
            for each norm, separated by commas.
    """

    norm: str = "l2"
    eps: str | None = None
    split: Literal["test", "train"] = "train"

    @property
    def norms(self) -> list[str]:
        """The norms, one by one."""
        from frenemy.risks.pairs import NORMS

        found = words("norm", self.norm.lower())
        for norm in found:
            if norm not in NORMS:
                raise UsageError(f"unknown norm '{norm}'{nearest(norm, NORMS)}")
        return found

    @property
    def sizes(self) -> list[float | None]:
        """The eps of each norm."""
        norms = self.norms
        if self.eps is None:
            return [None] * len(norms)
        given = [text.strip() for text in self.eps.split(",")]
        if len(given) != len(norms):
            raise UsageError(
                f"expected --eps to be {len(norms)} numbers, one for each norm, got '{self.eps}'; "
                "write such as --norm l2,linf --eps 2.4,0.3"
            )
        from frenemy.threats.spec import parse

        return [float(parse(f"{norm}:{size}").eps) for norm, size in zip(norms, given, strict=True)]

    def place(self) -> Path:
        """The run directory: as asked, or named after data and split."""
        if self.out:
            return Path(self.out)
        parts = ["pairs", Path(self.data.rpartition(":")[2]).stem or self.data, self.split]
        parts += [
            f"{name}-{value}" for name in ("examples", "resize", "target") if (value := getattr(self, name))
        ]
        return folder(parts)


_EPILOG: Final = """\
examples:
  frenemy pairs
  frenemy pairs --data mnist --norm l2,l1,linf --eps 2.4,24,0.3
  frenemy pairs --data cifar10 --split test

The page goes to pairs.html, the numbers to pairs.json; with `pip install "frenemy[plot]"` the figures to pairs.pdf
and .png too. On two cores the 60,000 images of MNIST take a minute in L2, and a few minutes in L1 and in Linf."""


def run(argv: list[str]) -> int:
    """Find the nearest pairs in every norm that was named, and show them."""
    options = read(PairsOptions, argv, "pairs", _EPILOG)
    if options is None:
        return 0
    norms, sizes = options.norms, options.sizes
    from frenemy.cli.prepare import data_of
    from frenemy.ledger import Arrays, open_ledger
    from frenemy.reports.near import near
    from frenemy.risks.pairs import nearest_pairs
    from frenemy.risks.views import Pairs

    examples = data_of(options)
    asked: dict[str, Any] = {"data": examples.name, "examples": len(examples), "checksum": examples.checksum}
    out, bar, seen = options.place(), Bar(quiet=options.quiet), []
    with open_ledger(out, asked) as ledger:
        for norm in norms:
            with bar.task(norm) as told:

                def work(norm: str = norm) -> Arrays:
                    found = nearest_pairs(examples, norm, progress=told)
                    return {name: getattr(found, name) for name in _KEPT}

                kept = ledger.result({**asked, "norm": norm}, work)
            seen.append(Pairs(examples.name, examples.classes, norm, **kept))

        def look(place: int) -> Any:
            return examples.batch((examples.index == place).nonzero()[0]).x[0].numpy()

        sentences, files = near(seen, sizes, look, out, shlex.join(["frenemy", "pairs", *argv]))
    if not options.quiet:
        bar.figures(sentences, files)
    return 0


_KEPT: Final = ("distance", "pair", "index", "gap", "other")
"""What a run keeps of the pairs; the rest is known from the question."""

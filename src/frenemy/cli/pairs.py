"""`frenemy pairs`: how near two classes of a data set come, before any model is asked."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

from frenemy.cli.options import at_least, read
from frenemy.cli.progress import Bar
from frenemy.cli.subject import words
from frenemy.errors import UsageError, nearest

__all__ = ["PairsOptions", "run"]

_NORMS: Final = ("l2", "l1", "linf")


@final
@dataclass(frozen=True)
class PairsOptions:
    """Find the nearest examples of different classes, exactly.

    Args:
        data: digits, mnist, fashion-mnist, cifar10, cifar100, a folder of class folders, a .csv or .npz file,
            idx:IMAGES,LABELS.
        norm: l2, l1, linf, or several separated by commas.
        eps: count the examples that a perturber of this size can change into an example of another class; one number
            for each norm, separated by commas.
        examples: only the first so many examples.
        split: which part of the data, train or test.
        data_dir: where data sets lie; else the environment variable FRENEMY_DATA, else the user's cache.
        resize: side to which pictures of a folder are resized.
        target: name of the label column of a table; the last one by default.
        out: directory for the run and its page; by default one in runs/, named after what is asked.
        quiet: print nothing but errors.
    """

    data: str = "digits"
    norm: str = "l2"
    eps: str | None = None
    examples: int | None = at_least(1, None)
    split: Literal["train", "test"] = "train"
    data_dir: str | None = None
    resize: int | None = at_least(1, None)
    target: str | None = None
    out: str | None = None
    quiet: bool = False

    @property
    def norms(self) -> list[str]:
        """The norms, one by one."""
        found = words("norm", self.norm.lower())
        for norm in found:
            if norm not in _NORMS:
                raise UsageError(f"unknown norm '{norm}'{nearest(norm, _NORMS)}")
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
        return Path("runs", re.sub(r"[^A-Za-z0-9.@-]+", "-", "-".join(parts)).strip("-.")[:100])


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
    from frenemy.data.find import load
    from frenemy.ledger import Arrays, open_ledger
    from frenemy.reports.near import near
    from frenemy.risks.pairs import nearest_pairs
    from frenemy.risks.views import Pairs

    examples = load(
        options.data,
        data_dir=options.data_dir,
        split=options.split,
        examples=options.examples,
        resize=options.resize,
        target=options.target,
    )
    asked: dict[str, Any] = {"data": examples.name, "examples": len(examples), "checksum": examples.checksum}
    out, bar, seen = options.place(), Bar(quiet=options.quiet), []
    with open_ledger(out, asked) as ledger:
        for norm in norms:
            with bar.task(norm) as told:

                def work(norm: str = norm) -> Arrays:
                    found = nearest_pairs(examples, norm, progress=told)
                    return {name: value for name, value in asdict(found).items() if name in _KEPT}

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

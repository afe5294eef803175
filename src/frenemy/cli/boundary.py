"""`frenemy boundary`: the nearest points at which a model changes its answer, and what lies between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

from frenemy.cli.draw import draw
from frenemy.cli.options import at_least, read
from frenemy.cli.subject import Subject

__all__ = ["BoundaryOptions", "run"]

_FAR: Final = "1000000"
"""Beyond any box that has an end."""


@final
@dataclass(frozen=True)
class BoundaryOptions(Subject):
    """Find the nearest points across the decision boundary, and what an input has that they lack.

    Args:
        threat: the norm that is to be least, linf, l2 or l1; a size after it, as in l2:3, is how far to look.
        attack: attacks by name, as for an audit; by default deepfool and fab, hopskipjump where no gradients are to be
            had.
        towards: look for the nearest point with this answer; by default any other than the model's own.
        access: what the searches see of the model.
    """

    verb: ClassVar[str] = "boundary"

    examples: int | None = at_least(1, 50)
    threat: str | None = "l2"
    attack: str | None = None
    towards: str | None = None
    access: str = "gradients"

    @property
    def around(self) -> str:
        """The norm, and how far to look."""
        norm = self.threat or "l2"
        return norm if ":" in norm else f"{norm}:{_FAR}"

    def asked(self) -> dict[str, Any]:
        """Every option that decides the numbers, for the record."""
        return super().asked() | {"threat": self.threat or "l2"}


_EPILOG: Final = """\
examples:
  frenemy boundary
  frenemy boundary --data mnist --model lenet:plain.safetensors,lenet:robust.safetensors --attack ddn
  frenemy boundary --data people.csv --model lightgbm:model.txt --access labels --threat linf

The page goes to boundary.html, the points to boundary.npz, all distances to boundary.json. Distances are upper bounds:
a point is on the boundary, but another may be nearer."""


def run(argv: list[str]) -> int:
    """Look for the boundary of every model that was named, and show where it was found."""
    options = read(BoundaryOptions, argv, "boundary", _EPILOG)
    if options is None:
        return 0
    from frenemy.reports.bordered import bordered
    from frenemy.risks.boundary import boundary

    how = {"attacks": options.attack, "towards": options.towards, "access": options.access}
    return draw(options, argv, boundary, bordered, **how)

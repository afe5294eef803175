"""Memory: what a recipe carries from step to step, by example or shared; all of it is kept with the weights."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from frenemy.errors import DataError, RunError

__all__ = ["Memory"]


@final
class Memory:
    """Tensors by name: some have one entry for each training example, others belong to all.

    Args:
        index: `(n,)` places of the training examples in their data set.
        device: where entries are handed out.

    Attributes:
        epoch: passes over the data that are finished.
        step: batches of the pass under way that are finished; what is drawn for a whole batch is drawn by it.
        shared: tensors that belong to all examples.
        nets: models that answer beside the one that is trained, held still.
    """

    def __init__(self, index: Tensor, device: torch.device | str = "cpu") -> None:
        self._index = index.cpu().sort().values
        self._device = torch.device(device)
        self.nets: dict[str, nn.Module] = {}
        self._rows: dict[str, Tensor] = {}
        self._touched: dict[str, Tensor] = {}
        self.shared: dict[str, Tensor] = {}
        self.epoch, self.step = 0, 0

    def keep(self, name: str, value: float | Tensor) -> None:
        """Let every example carry a number called `name`, or as many as `value` has, which they are at first."""
        first = torch.as_tensor(value, dtype=torch.float32)
        self._rows[name] = first.expand(len(self._index), *first.shape).clone()
        self._touched[name] = torch.zeros(len(self._index), dtype=torch.bool)

    def host(self, name: str, net: nn.Module) -> None:
        """Carry a model called `name`, in evaluation mode and without gradients, where entries are handed out."""
        self.nets[name] = net.to(self._device).eval().requires_grad_(False)

    def of(self, name: str, index: Tensor) -> Tensor:
        """Give the numbers of some examples, `(batch, *shape)` float32."""
        return self._rows[name][self._places(index)].to(self._device)

    def put(self, name: str, index: Tensor, values: Tensor) -> None:
        """Change the numbers of some examples."""
        places = self._places(index)
        self._rows[name][places] = values.detach().to("cpu", torch.float32)
        self._touched[name][places] = True

    def changed(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Hand out the rows by name and which of them were put since; forget the latter.

        Several processes that trained on different examples agree by taking each row from who changed it.
        """
        found = {name: (self._rows[name], self._touched[name].clone()) for name in self._rows}
        for touched in self._touched.values():
            touched.zero_()
        return found

    def state(self) -> dict[str, Tensor]:
        """All tensors by name, as they are."""
        rows = {f"rows.{name}": values for name, values in self._rows.items()}
        nets = {
            f"nets.{name}.{key}": v for name, net in self.nets.items() for key, v in net.state_dict().items()
        }
        return rows | nets | {f"shared.{name}": values for name, values in self.shared.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take the tensors of `state()` back.

        Raises:
            RunError: they are of another recipe or of other examples.
        """
        own = self.state()
        if {n: v.shape for n, v in own.items()} != {n: v.shape for n, v in state.items()}:
            raise RunError(
                f"expected a memory of {', '.join(sorted(own)) or 'nothing'} for {len(self._index)} examples, got "
                f"{', '.join(sorted(state)) or 'nothing'}; go on with the recipe and the data that it began with"
            )
        for name, values in state.items():
            own[name].copy_(values)

    def _places(self, index: Tensor) -> Tensor:
        where = index.cpu()
        places = torch.searchsorted(self._index, where).clamp(max=len(self._index) - 1)
        strange = (self._index[places] != where).nonzero().flatten()
        if len(strange):
            raise DataError(
                f"expected examples that are trained on, got one at place {int(where[strange[0]])}; "
                "give each example its own index"
            )
        return places

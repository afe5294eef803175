"""Engine: where a training runs, and how several processes that train one model agree."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from frenemy.errors import UsageError

__all__ = ["Engine", "Precision", "engine"]

Precision: TypeAlias = Literal["float32", "bfloat16"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """One process among `world`, which sees every `world`-th row of each batch.

    The gradients of the processes are summed in one call after each backward, outside of any wrapper around the model:
    a recipe may ask the model as often as it likes, and attacks see the model itself.

    Args:
        device: where the model stands and the batches go.
        rank, world: number of this process, and of all.
        summed: sums a tensor over all processes.
        cast: context in which the losses of a step are computed.
    """

    device: torch.device
    rank: int = 0
    world: int = 1
    summed: Callable[[Tensor], Tensor] = lambda tensor: tensor
    cast: Callable[[], AbstractContextManager[Any]] = nullcontext

    def mine(self, rows: Tensor) -> Tensor:
        """The rows of a batch that fall to this process."""
        return rows[self.rank :: self.world]

    def gather_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Sum the gradients over all processes; where some process has none, it counts as zero."""
        if self.world == 1:
            return
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = self.summed(torch.cat([gradient.flatten() for gradient in own]))
        for parameter, piece in zip(
            parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True
        ):
            parameter.grad = piece.view_as(parameter).clone()

    def agree(self, rows: Tensor, touched: Tensor) -> None:
        """Take each of `rows` from the process that touched it, in place."""
        if self.world > 1:
            touched = touched.reshape(-1, *(1,) * (rows.ndim - 1))
            mask = self.summed(touched.to(self.device, torch.float32)).cpu() > 0
            mine = torch.where(touched, rows, 0.0).to(self.device)
            rows.copy_(torch.where(mask, self.summed(mine).cpu(), rows))

    def alike(self, model: nn.Module) -> None:
        """Give every process the buffers of the first, such as the running statistics of batch norm."""
        if self.world > 1:
            with torch.no_grad():
                for buffer in model.buffers():
                    theirs = buffer.double() if self.rank == 0 else torch.zeros_like(buffer).double()
                    buffer.copy_(self.summed(theirs))


def engine(
    device: str = "auto", *, devices: int = 1, nodes: int = 1, precision: Precision = "float32"
) -> Engine:
    """Set an engine up by Lightning Fabric: one device, several, or as many as `torchrun` has started.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, ...; `auto` takes a GPU where there is one.
        devices: processes on this machine, one a device.
        nodes: machines.
        precision: `bfloat16` computes the losses of a step under autocast; weights stay in float32.

    Raises:
        UsageError: the device is not there.
    """
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its notices are not ours to give
    kind, _, place = device.partition(":")
    wanted: Any = [int(place)] if place.isdigit() else devices
    try:
        fabric = Fabric(
            accelerator=kind,
            devices=wanted,
            num_nodes=nodes,
            strategy="ddp" if devices * nodes > 1 else "auto",
            precision="bf16-mixed" if precision == "bfloat16" else "32-true",
        )
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().split("\n")[0][:200]
        raise UsageError(
            f"expected {devices} device(s) '{device}' that are here, got: {first}; try cpu"
        ) from error

    def summed(tensor: Tensor) -> Tensor:
        result = fabric.all_reduce(tensor, reduce_op="sum")
        if not isinstance(result, Tensor):
            raise TypeError(f"expected a tensor from all_reduce, got {type(result).__name__}")
        return result

    return Engine(fabric.device, fabric.global_rank, fabric.world_size, summed, fabric.autocast)

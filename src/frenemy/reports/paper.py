"""Paper: the same figures as PDF and PNG, drawn by matplotlib (`pip install frenemy[plot]`)."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from frenemy.files import write_atomic
from frenemy.reports.panel import Panel
from frenemy.reports.relief import RAMP, Relief

__all__ = ["on_paper"]

_COLOURS: Final = {"faint": "#5f666f", "enemy": "#b3400f", "friend": "#0a5f9e", "model": "#1f2328"}
_ACROSS, _DOWN = 3.4, 2.7


def on_paper(figures: Sequence[Panel | Relief], out: Path, name: str, columns: int = 2) -> list[Path]:
    """Write some figures beside and below each other to `name.pdf` and `name.png`.

    Text in the PDF stays text (fonts of type 42), the size of a figure fits a column of a paper, and the same figures
    give the same files.

    Returns:
        The files; none where matplotlib is not installed.

    Raises:
        RunError: a file cannot be written.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return []
    rows = math.ceil(len(figures) / columns)
    with matplotlib.rc_context({"pdf.fonttype": 42, "font.size": 8, "svg.hashsalt": "frenemy"}):
        sheet = Figure(figsize=(_ACROSS * min(columns, len(figures)), _DOWN * rows), layout="constrained")
        FigureCanvasAgg(sheet)
        for place, figure in enumerate(figures, 1):
            solid = {"projection": "3d"} if isinstance(figure, Relief) else {}
            axes: Any = sheet.add_subplot(rows, min(columns, len(figures)), place, **solid)
            axes.set_title(figure.title, fontsize=9)
            _relief(axes, figure) if isinstance(figure, Relief) else _panel(axes, figure)
        files = []
        for kind, more in (("pdf", {"metadata": {"CreationDate": None}}), ("png", {"dpi": 200})):
            memory = io.BytesIO()
            sheet.savefig(memory, format=kind, **more)
            files.append(out / f"{name}.{kind}")
            write_atomic(files[-1], memory.getvalue())
    return files


def _panel(axes: Any, panel: Panel) -> None:
    for one in panel.lines:
        width, alpha = (0.5, 0.35 * one.weight) if one.look == "faint" else (1.2, one.weight)
        axes.plot(one.x, one.y, color=_COLOURS[one.look], linewidth=width, alpha=alpha)
    left, right, low, high = panel.range()
    axes.set(xlabel=panel.x_name, ylabel=panel.y_name, xlim=(left, right), ylim=(low, high))
    axes.grid(alpha=0.3, linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _relief(axes: Any, relief: Relief) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    ramp = LinearSegmentedColormap.from_list("frenemy", RAMP)
    x, y = relief.x[:, None] + 0 * relief.z, relief.y[None, :] + 0 * relief.z
    axes.plot_surface(
        x, y, relief.z, cmap=ramp, vmin=relief.low, vmax=relief.high, rcount=99, ccount=99, linewidth=0
    )
    axes.set(zlim=(relief.low, relief.high))
    for name, text in (("x", relief.x_name), ("y", relief.y_name), ("z", relief.z_name)):
        getattr(axes, f"set_{name}label")(text, fontsize=7, labelpad=-4)
    axes.tick_params(labelsize=5.5, pad=-2)
    axes.locator_params(nbins=5)
    axes.set_box_aspect((1, 1, 0.7), zoom=0.9)

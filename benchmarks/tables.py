"""The figures as a person reads them."""

from __future__ import annotations

from typing import Any

_HEAD = """# Speed

CPU time of PGD as a ratio to its floor: as many forward and backward passes with respect to the input only, parameters
frozen, eager float32. Two threads; contenders take turns within each round; ratios of medians. *Accuracy left* is
judged by the model itself, in float32. *Full run* takes every step on every row; the other cases only ask which rows
survive, so frenemy lets a row leave at its first success. No random start, step eps/10.

Threads and memory stand as the command line sets them for its own process, for all contenders alike: threads wait
asleep after a moment (`OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=400`), so that two runs on one machine do not hold each
other up, and freed memory is kept for the next tensors (`frenemy.heap.keep()`), without which the system clears every
page anew: PGD-20 on 256 pictures of a narrow ResNet-18 takes 95 s of one thread in place of 82. A program of
your own chooses both for itself.

```
make bench
```

"""


def markdown(cases: list[dict[str, Any]], heading: bool = False) -> str:
    """One table a case: ratio to the floor, seconds, accuracy left, and peak memory where it was measured."""
    parts = [_HEAD] if heading else []
    for case in cases:
        parts.append(f"## {case['case']}: {case['rows']} rows, {case['steps']} steps\n")
        peaks = case.get("peak_mb", {})
        parts.append("| | ratio to floor | CPU s | accuracy left |" + (" peak MB |" if peaks else ""))
        parts.append("|---|---|---|---|" + ("---|" if peaks else ""))
        for name, row in case["contenders"].items():
            left = "" if name == "floor" else f"{100 * row['left']:.1f} %"
            memory = f" {peaks[name]:.0f} |" if name in peaks else " |" if peaks else ""
            parts.append(f"| {name} | {row['ratio']:.3f} | {row['seconds']:.3f} | {left} |{memory}")
        parts.append("")
    return "\n".join(parts)

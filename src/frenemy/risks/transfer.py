"""Transfer: attack one model and judge another, for every two of several."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.data.find import load
from frenemy.errors import DataError, UsageError
from frenemy.ledger import Arrays, open_ledger
from frenemy.models.model import Model
from frenemy.objectives.surrogates import surrogate
from frenemy.risks.inquiry import Inquiry, Progress
from frenemy.risks.party import Party, drawn_from, party, points_of, spell_sized
from frenemy.risks.question import access_named, question
from frenemy.risks.views import Transfer
from frenemy.risks.wishes import wish_named
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["RANDOM", "transfer"]

RANDOM: Final = "random points"
"""The source that nobody was attacked for: what a target loses to these it does not lose to transfer."""

_ROWS: Final = 1024
"""Points that a target is asked about in one job."""


def transfer(
    models: Mapping[str, Model | str],
    data: Examples | str,
    *,
    threat: Threat | str = "linf:8/255",
    objectives: Sequence[str] = ("untargeted", "hypocritical"),
    attack: str | None = None,
    loss: str = "ce",
    access: str = "gradients",
    seed: int = 0,
    batch_size: int = 128,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> list[Transfer]:
    """Attack every model, and show every model the points that were found on each.

    Each source is searched on every example, also where it is where the perturber wants it already, and to the last
    step: the point of highest loss is passed on, not the first success, which lies just beyond the source's own border.

    Args:
        models: at least two, by name; each as for `frenemy.audit`.
        data: the examples, or what `frenemy.load` understands.
        threat: what may be done to an input; words take their box from the data.
        objectives: `untargeted` (or `enemy`), `hypocritical` (or `friend`).
        attack: one attack by name, with settings in brackets if need be; by default PGD of 50 steps, Square of 1,000
            queries where no gradients are to be had, HopSkipJump of 1,500 where no scores are. A model that shows less
            than the attack needs is judged, but is no source.
        loss: what the attack climbs, where it takes one and none is said with it.
        access: what the searches see of the sources: `gradients`, `scores` or `labels`.
        seed: root of all randomness.
        batch_size: the most rows in one forward; no number depends on it.
        out: run directory; a run that was killed goes on where it was.
        progress: told `(what, share of all)`.

    Returns:
        Transfer, one for each objective. The last source is `random points`.

    Raises:
        UsageError: there are fewer than two models, no model can be attacked so, or something else cannot be used.
        DataError: no example is left that every model can be judged on.

    Cost: for each source and objective the attack on every example, and one forward more for each target.

    References:
        000, Section 4.2 and A.4, Figures 7 and 8; 001, Table 4; 004, Tables 4.4 and 5.2.
    """
    if len(models) < 2 or RANDOM in models:
        raise UsageError(
            f"expected two models or more, none called '{RANDOM}', got {', '.join(models) or 'none'}; "
            "name several, separated by commas"
        )
    wishes = tuple(dict.fromkeys(wish_named(word) for word in objectives))
    if "reversal" in wishes or not wishes:
        raise UsageError(
            f"expected enemy or friend, got {', '.join(objectives) or 'none'}; leave out the rest"
        )
    surrogate(loss)
    examples, told = load(data) if isinstance(data, str) else data, progress or (lambda what, share: None)
    wanted, key = access_named(access), Key(seed).fold("transfer")
    more = {"objectives": list(wishes), "seed": seed, "access": access}
    parties: dict[str, Party] = {}
    for name, model in models.items():
        asks = question(model, examples, threat, name)
        asks.model.access = wanted
        parties[name] = party(asks, attack, loss, wishes, batch_size, more)
    around = asks.threat
    searches = {name: one.search for name, one in parties.items() if one.search}
    if not searches:
        raise UsageError(
            f"expected a model that {attack} can search, got none: {', '.join(models)} show too little for it; leave "
            "the attack out"
        )
    with ExitStack() as stack:
        inquiries: dict[str, Inquiry] = {}
        for number, (name, one) in enumerate(parties.items()):
            place = None if out is None else Path(out) / "models" / name
            ledger = stack.enter_context(open_ledger(place, one.settings))

            def tell(what: str, share: float, name: str = name, number: int = number) -> None:
                told(f"{name}, {what}", (number + share) / (len(parties) + 1))

            judge, device = one.judge, one.asks.device
            inquiries[name] = inquiry = Inquiry(examples, judge, ledger, one.settings, key, device, tell)
            inquiry.expect(len(wishes))
        found = {
            (name, wish): points_of(inquiries[name], search, around, wish)
            for name, search in searches.items()
            for wish in wishes
        }
        drawn = drawn_from(examples, around, key)
        kept = np.all([rows for _, rows in (drawn, *found.values())], axis=0)
        right: dict[tuple[str, str, str], NDArray[np.bool_]] = {}
        asked_of = [(s, w, *found[s, w]) for s, w in found] + [(RANDOM, "", *drawn)]
        for done, (source, wish, points, held) in enumerate(asked_of):
            for target, inquiry in inquiries.items():
                right[source, wish, target], finite = _judged(inquiry, points, held, around)
                kept &= finite
            told(f"points of {source}", (len(parties) + done / len(asked_of)) / (len(parties) + 1))
        for inquiry in inquiries.values():
            kept[list(inquiry.apart)] = False
    told("done", 1.0)
    if not kept.any():
        raise DataError(
            f"expected an example of {examples.name} that every model can be judged on, got none of {len(examples)}"
        )
    clean = np.stack([inquiry.answers == inquiry.labels for inquiry in inquiries.values()])
    notes = [f"{name} shows too little for {attack}: judged only." for name in models if name not in searches]
    notes += [f"{name}: {note}" for name, one in parties.items() for note in one.asks.model.notes]
    return [
        Transfer(
            models=tuple(models),
            sources=(*searches, RANDOM),
            attacks=(*(search.name for search in searches.values()), "none"),
            data=examples.name,
            threat=spell_sized(around),
            objective=wish,
            index=examples.index.numpy()[kept],
            clean=clean[:, kept],
            right=np.stack(
                [
                    [right[source, "" if source == RANDOM else wish, target][kept] for target in models]
                    for source in (*searches, RANDOM)
                ]
            ),
            apart=int((~kept).sum()),
            notes=tuple(notes),
            settings={"objective": wish, "models": {name: one.settings for name, one in parties.items()}},
        )
        for wish in wishes
    ]


def _judged(
    inquiry: Inquiry, points: NDArray[np.float32], held: NDArray[np.bool_], threat: Threat
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Ask a target about points: where it is right, and where its answer is one."""
    right, finite = np.zeros(len(points), dtype=bool), np.ones(len(points), dtype=bool)
    rows = np.flatnonzero(held)
    for first in range(0, len(rows), _ROWS):
        some = rows[first : first + _ROWS]
        digest = hashlib.sha256(points[some].tobytes()).hexdigest()

        def work(some: NDArray[np.int64] = some) -> Arrays:
            batch = inquiry.examples.batch(torch.as_tensor(some), inquiry.device)
            shown = Batch(torch.as_tensor(points[some], device=inquiry.device), batch.y, batch.index)
            answers = inquiry.judge.clean(shown, inquiry.logits.shape[1])
            return answers | {"forwards": np.array(len(some)), "backwards": np.array(0)}

        what = {"points": digest, "rows": some.tolist()}
        answers = inquiry.kept(what, threat, work)
        finite[some] = np.isfinite(answers["logits"]).all(1)
        right[some] = answers["logits"].argmax(1) == inquiry.labels[some]
    return right, finite

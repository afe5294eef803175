"""Conduct: run the plan of an audit, and lay out what was found."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import frenemy
from frenemy.models.answers import Answers
from frenemy.risks.caveats import about_gradients, about_plan, about_sample, about_search, about_size
from frenemy.risks.curves import Course, grid, trace
from frenemy.risks.fates import columns, fates
from frenemy.risks.headline import seek
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.levels import about_levels
from frenemy.risks.plan import Plan
from frenemy.risks.plausible import about_fit
from frenemy.risks.pool import Pool
from frenemy.risks.result import Audit, Curve, Measurement
from frenemy.risks.ruled import about_rules
from frenemy.risks.scrutiny import STAGES, about_handover, about_risks, scrutinise
from frenemy.risks.shown import extremes, pictures
from frenemy.risks.steady import about_answers
from frenemy.risks.summary import attempts, curve_points, headline_points
from frenemy.risks.trust import checked, gravest_first, verdict
from frenemy.threats.spec import spell
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat

__all__ = ["conduct"]


def conduct(
    inquiry: Inquiry,
    plan: Plan,
    threat: Threat,
    eps: float,
    settings: Mapping[str, Any],
    model: Answers,
    command: str,
) -> Audit:
    """Search, count, and lay out what was found.

    Args:
        eps: the one size of the threat.
        settings: what decides the numbers, as it is kept on record.
    """
    kind, wishes = spell(threat), list(plan.searches)
    sphere = isinstance(threat, Sphere)
    around = not sphere or eps == 0
    sizes = () if hasattr(threat, "count") else grid(eps, settings["curve"])
    ball = threat.ball if isinstance(threat, Sphere) else threat
    rules = inquiry.examples.rules
    drawn = [wish for wish in wishes if wish != "reversal" and sizes]
    courses = {wish: Course.of(plan, wish, ball, exact=rules is None) for wish in drawn}
    inquiry.expect(
        sum(map(len, plan.searches.values()))
        + sum(course.stages(sizes) for course in courses.values())
        + STAGES * len(set(wishes) - {"reversal"})
    )
    classes = len(inquiry.examples.classes)
    before = inquiry.cost
    findings = about_answers(inquiry)
    checking = inquiry.cost - before
    found = seek(inquiry, threat, around, plan, eps, eps if sphere or not sizes else sizes[-1])
    curves: list[Curve] = []
    if courses:
        pool = Pool(inquiry.labels, inquiry.answers) if sphere else found.pool
        rows = inquiry.judged
        done = {w: [s.result["rows"] for s in found.searches[w] if s.search.nearest] for w in courses}
        curves = trace(
            inquiry,
            rows[rows < settings["curve_examples"]],
            sizes,
            ball,
            kind.removeprefix("sphere-"),
            courses,
            pool,
            {eps: found.pool} if sphere else {},
            {wish: np.concatenate(seen) for wish, seen in done.items() if seen},
        )
    rows = inquiry.judged
    count = len(rows)
    ended = fates(inquiry, found, around, eps)
    findings += about_plan(plan, classes)
    findings += about_fit(inquiry.labels[rows], inquiry.answers[rows], inquiry.examples.classes)
    if rules is None:
        findings += about_size(threat, inquiry.examples.batch(torch.as_tensor(rows)).x)
    for wish, searches in found.searches.items():
        findings += about_search(wish, searches, count)
    findings += about_gradients(found.searches, count)
    if rules is not None:
        tried = [s.result for searches in found.searches.values() for s in searches if len(s.result["rows"])]
        lost = sum(int(result["lost"].sum()) for result in tried)
        findings.append(about_rules(rules, threat, lost, sum(len(result["rows"]) for result in tried)))
    before = inquiry.cost
    findings += scrutinise(inquiry, plan, threat, found, eps)
    checking += inquiry.cost - before
    judged = inquiry.possible(inquiry.judged, threat)
    beyond = np.setdiff1d(inquiry.judged, judged).tolist()
    inquiry.apart |= dict.fromkeys(beyond, "the threat allows no input there")
    findings += about_sample(inquiry.apart, inquiry.judge.errors, judged)
    headline = headline_points(found, judged, inquiry, plan, kind, eps)
    numbers: list[Measurement] = []
    levels: dict[str, Any] = {}
    if bits := settings.get("quantise"):
        told, numbers, levels = about_levels(inquiry, found, judged, bits, kind, eps, around)
        findings += told
    findings += about_risks({m.measure: m.estimate for m in headline}, around)
    findings += about_handover(model.notes)
    caveats, table = gravest_first(findings), columns(inquiry, found, ended) | levels
    return Audit(
        model=settings["model"],
        data=settings["data"],
        classes=inquiry.examples.classes,
        threat=settings["threat"],
        settings=settings,
        versions=_versions(inquiry.device),
        checksum=settings["data_sha256"],
        low=float(torch.as_tensor(inquiry.examples.low).min()),
        high=float(torch.as_tensor(inquiry.examples.high).max()),
        measurements=(*headline, *numbers, *curve_points(curves, courses)),
        curves=tuple(curves),
        pictures=(*pictures(inquiry, found, eps), *extremes(inquiry, found, ended, threat)),
        caveats=caveats,
        notes=(*inquiry.examples.notes, *model.notes),
        examples=table,
        cost=inquiry.cost,
        command=command,
        attempts=attempts(found, judged, plan),
        checks=checked(findings),
        checking=checking,
        trust=verdict(caveats),
    )


def _versions(device: str) -> dict[str, str]:
    return {
        "frenemy": frenemy.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": device,
    }

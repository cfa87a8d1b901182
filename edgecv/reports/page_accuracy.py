"""The report's tables of accuracy, of robustness, and of classes."""

from __future__ import annotations

from typing import NamedTuple

from edgecv.reports import classes
from edgecv.reports.facts import valid
from edgecv.reports.schema import Accuracy, ArtifactReport, Report
from edgecv.reports.sheets import Column, Line, Sheet, text_column
from edgecv.reports.table import robustness_columns, robustness_note, sheet
from edgecv.reports.wording import (
    INVALID,
    agreement,
    between,
    lost,
    name,
    optional,
    plain,
    share,
)
from edgecv.statistics import share_interval

CLASSES = 20  # rows of the table of classes, confusions beside it: the others are better
CONFUSIONS = 12


class ByClass(NamedTuple):
    """One artifact's classes, worst first, and what it takes for what."""

    name: str
    mark: str
    classes: Sheet
    confusions: Sheet


def accuracy_sheet(report: Report) -> Sheet | None:
    scored = [a for a in report.artifacts if a.accuracy and a.measured]
    if not scored:
        return None
    return sheet(report, "Accuracy", "", SCORE_COLUMNS, scored)


def _scored(artifact: ArtifactReport) -> Accuracy:
    assert artifact.accuracy is not None
    return artifact.accuracy


def _right(accuracy: Accuracy) -> str:
    """Top-1's interval, in percent."""
    return between(share_interval(round(accuracy.top1 * accuracy.n), accuracy.n), share)


SCORE_COLUMNS = (
    Column("", "Pictures", lambda a, _m: f"{_scored(a).n:,}"),
    Column("Top-1, %", "share", lambda a, _m: share(_scored(a).top1)),
    Column("Top-1, %", "95 % interval", lambda a, _m: _right(_scored(a))),
    Column("", "Top-5, %", lambda a, _m: share(_scored(a).top5)),
    Column("", "Drop (95 % interval)", lambda a, _m: lost(_scored(a))),
    Column("Agreement with float, %", "share", lambda a, _m: agreement(_scored(a))),
    Column(
        "Agreement with float, %",
        "95 % interval",
        lambda a, _m: between(
            None if agreement(_scored(a)) == "float" else _scored(a).agreement_interval, share
        ),
    ),
    Column("", "ECE, %", lambda a, _m: optional(_scored(a).ece, share)),
)


def robustness_sheet(report: Report) -> Sheet | None:
    """Top-1 as the pictures are, at the strongest of each corruption, and over all."""
    shown = [a for a in report.artifacts if a.robustness and a.measured]
    if not shown:
        return None
    rows = shown[0].robustness
    columns = tuple(
        Column(group, heading, lambda a, _m, cell=cell: cell(a.robustness))
        for group, heading, cell in robustness_columns(rows)
    )
    return sheet(report, "Robustness", robustness_note(rows), columns, shown)


def class_sheets(report: Report) -> tuple[ByClass, ...]:
    """Each artifact's classes, worst F1 first; needs scikit-learn, UsageError without."""
    if report.pictures is None:
        return ()
    found, truth = [], report.pictures.truth
    labels = [plain(label) for label in report.labels]
    for a in report.artifacts:
        if a.answers is None or not truth:
            continue
        scores = sorted(classes.per_class(truth, a.answers.best, labels), key=lambda c: (c.f1, -c.n))
        pairs = classes.confusions(truth, a.answers.best, labels, CONFUSIONS)
        shown = min(CLASSES, len(scores))
        by_class = Sheet(
            "Classes, worst first",
            f"{shown} of the {len(scores):,} classes among the pictures.",
            "Class",
            tuple(text_column(text) for text in ("n", "precision %", "recall %", "F1 %")),
            tuple(
                Line(c.label, (f"{c.n:,}", share(c.precision), share(c.recall), share(c.f1)))
                for c in scores[:CLASSES]
            ),
        )
        confused = Sheet(
            "Most often confused",
            "What it is, and what was said.",
            "Is",
            (text_column("Answer", words=True), text_column("Pictures")),
            tuple(Line(pair.truth, (pair.answer, f"{pair.count:,}")) for pair in pairs),
        )
        found.append(ByClass(name(a), "" if valid(report, a) else INVALID, by_class, confused))
    return tuple(found)

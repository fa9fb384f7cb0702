"""Measurements as a Markdown page: times and ratios first, then what optimum they bought, then memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .runner import Measured


@dataclass(frozen=True)
class Goal:
    """Seconds of lme4 and of the best Python peer when the goals were set, and what henderson was to reach there."""

    lme4: float
    peer: str
    peer_seconds: float
    henderson: float


GOALS: dict[str, Goal] = {
    "sleepstudy": Goal(0.017, "glmm", 0.0008, 0.005),
    "slopes-1e4": Goal(0.20, "glmm", 0.0047, 0.010),
    "slopes-1e6": Goal(33, "glmm", 1.38, 0.45),
    "nested": Goal(4.8, "lme-python", 0.077, 0.06),
    "InstEval": Goal(5.5, "glmm", 1.78, 0.6),
    "maximal": Goal(1.20, "mixedlm", 0.19, 0.06),
    "maximal-72": Goal(33, "glmm", 71, 0.6),
    "crossed-slopes": Goal(65, "glmm", 517, 1),
    "ratings-1e5": Goal(20.9, "mixedlm", 11.0, 5),
    "ratings-1e6": Goal(126, "glmm", 133, 18),
}
"""On another machine only their ratios mean anything."""

Cell = Callable[[Measured], str]


def seconds(value: float) -> str:
    """Three significant digits: 0.000812, 0.0121, 1.23, 45.6, 123."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:#.3g}".rstrip(".")


def time_cell(measured: Measured) -> str:
    if measured.status == "ok":
        return seconds(measured.median)
    return {"timeout": f"> {measured.wall[0]:.0f}" if measured.wall else ">", "unsupported": "—"}.get(
        measured.status, "failed"
    )


def markdown(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """A table, its first column left and the others right aligned."""
    widths = [max(len(row[k]) for row in (header, *rows)) for k in range(len(header))]
    aligned = [[row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))] for row in (header, *rows)]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (aligned[0], rule, *aligned[1:]))


def grid(measured: Sequence[Measured], cell: Callable[[Measured, Sequence[Measured]], str]) -> str:
    """Problems down, peers across."""
    peers = list(dict.fromkeys(m.peer for m in measured))
    problems = list(dict.fromkeys(m.problem for m in measured))
    rows = []
    for problem in problems:
        here = [m for m in measured if m.problem == problem]
        found = {m.peer: cell(m, here) for m in here}
        rows.append([problem, *(found.get(peer, "") for peer in peers)])
    return markdown(rows, ["problem", *peers])


def best_criterion(here: Sequence[Measured]) -> float:
    return min(m.criterion for m in here if m.criterion is not None)


def criterion_cell(measured: Measured, here: Sequence[Measured]) -> str:
    """How far above the lowest criterion of the row; the lowest itself is 0."""
    if measured.criterion is None:
        return time_cell(measured) if measured.status != "ok" else ""
    above = measured.criterion - best_criterion(here)
    return "0" if above < 5e-8 else f"+{above:.1e}"


def ratio_cell(measured: Measured, here: Sequence[Measured]) -> str:
    """This peer's time over henderson's."""
    ours = next((m for m in here if m.peer == "henderson" and m.status == "ok"), None)
    if ours is None or measured.status not in ("ok", "timeout"):
        return time_cell(measured)
    return f"{ratio(measured, ours)} ×"


def memory_cell(measured: Measured, here: Sequence[Measured]) -> str:
    return f"{measured.peak_mb:.0f}" if measured.peak_mb else time_cell(measured)


def ratio(measured: Measured | None, ours: Measured) -> str:
    """How many times longer than henderson, at least where the peer was stopped."""
    if measured is None or measured.status not in ("ok", "timeout"):
        return "—"
    ratio = measured.median / ours.median
    return ("> " if measured.status == "timeout" else "") + (seconds(ratio) if ratio < 100 else f"{ratio:.0f}")


def against_goals(measured: Sequence[Measured]) -> str:
    """Henderson's lead over lme4 and over the Python peer that was best when the goals were set, and those goals."""
    rows = []
    for problem, goal in GOALS.items():
        here = {m.peer: m for m in measured if m.problem == problem and m.status in ("ok", "timeout")}
        ours = here.get("henderson")
        if ours is None or ours.status != "ok":
            continue
        over_lme4 = [ratio(here.get("lme4"), ours), seconds(goal.lme4 / goal.henderson)]
        over_peer = [goal.peer, ratio(here.get(goal.peer), ours), seconds(goal.peer_seconds / goal.henderson)]
        rows.append([problem, seconds(ours.median), *over_lme4, *over_peer])
    header = ["problem", "henderson, s", "lme4 ÷ henderson", "goal", "peer", "peer ÷ henderson", "goal"]
    return markdown(rows, header)


def page(measured: Sequence[Measured]) -> str:
    """The whole report."""
    sections = [
        ("Seconds, formula and fit together (median)", grid(measured, lambda m, _: time_cell(m))),
        (
            "−2 log restricted likelihood above the lowest that anybody reached",
            grid(measured, criterion_cell),
        ),
        ("Peak memory of the process, MB", grid(measured, memory_cell)),
    ]
    if any(m.peer == "henderson" and m.status == "ok" for m in measured):
        sections.insert(1, ("Against the goals, as ratios", against_goals(measured)))
        sections.insert(1, ("Time as a multiple of henderson's", grid(measured, ratio_cell)))
    text = "\n\n".join(f"### {title}\n\n{table}" for title, table in sections)
    notes = [f"- {m.peer} on {m.problem}: {m.message}" for m in measured if m.status == "failed"]
    return text + ("\n\nFailed:\n\n" + "\n".join(notes) if notes else "")

"""Draws docs/figures/sleepstudy.png: each subject's own line, alone and in the mixed model.

Run with `python docs/figures/sleepstudy.py` (needs matplotlib).
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from henderson import datasets, lmer

data = datasets.load("sleepstudy")
result = lmer("Reaction ~ Days + (Days | Subject)", data)

own = {subject: np.polyfit(rows["Days"], rows["Reaction"], 1) for subject, rows in data.groupby("Subject")}
shrunk = result.coef["Subject"]
days = np.array([0, 9])

figure = Figure(figsize=(10, 4.4), layout="constrained")
panels = figure.subplots(2, 9, sharex=True, sharey=True).ravel()
for axis, subject in zip(panels, sorted(own, key=lambda subject: own[subject][0])):
    rows = data[data["Subject"] == subject]
    slope, level = own[subject]
    common, mine = result.fixef, shrunk.loc[subject]
    axis.plot(rows["Days"], rows["Reaction"], "o", ms=3, color="0.45")
    axis.plot(days, common["(Intercept)"] + common["Days"] * days, color="0.75", lw=1, label="everyone")
    axis.plot(days, level + slope * days, "--", color="tab:orange", lw=1.4, label="this subject's data alone")
    axis.plot(days, mine["(Intercept)"] + mine["Days"] * days, color="tab:blue", lw=1.8, label="mixed model")
    axis.set_title(f"subject {subject}", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.set_xticks([0, 4, 8])
figure.supxlabel("days of restricted sleep", fontsize=9)
figure.supylabel("reaction time, ms", fontsize=9)
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=9, frameon=False)
figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)

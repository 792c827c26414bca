"""Figures and tables of results: that they show the numbers they were given, whole and told apart."""

import io

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from pfa_edu import errors, figures, published

COLUMNS = ["rule", "seed", "epoch", "layer", "metric", "value"]
PAPER = published.curves("mnist")
LIMITS = {"pfa": 17.55, "pfa-o": 0}


def runs(seeds=5):
    """A frame as training gives it: the published curves plus noise, and what the paper does not show made up."""
    rng = np.random.default_rng(0)
    noise = {"test_accuracy": 0.05, "path_alignment": 0.6, "norm_ratio": 0.01}
    rows = []
    for seed in range(seeds):
        for row in PAPER.itertuples():
            value = row.mean + noise[row.metric] * rng.standard_normal()
            rows.append((row.rule, seed, row.epoch, row.layer, row.metric, value))
        for rule in ("bp", "fa", "dfa", "sf", "pfa", "pfa-o"):
            rows.append((rule, seed, 0, "network", "test_accuracy", 10 + rng.standard_normal()))
            rows.append((rule, seed, 0, "network", "test_loss", 2.3))
            end = {"bp": 0, "fa": 62, "dfa": 66, "sf": 27, "pfa": 17, "pfa-o": 8}[rule]
            for depth, layer in enumerate(["fc1", "fc2", "fc3"]):
                for epoch in range(41):
                    hidden = end + (90 - end) * np.exp(-epoch / 3) - 4 * depth + rng.standard_normal()
                    exact = rule == "bp" or layer == "fc3"  # no feedback weight above the output layer
                    rows.append((rule, seed, epoch, layer, "gradient_angle", 0.0 if exact else hidden))
        for layer in ("fc1", "fc2", "fc3"):
            rows += [("bp", seed, epoch, layer, "path_alignment", 0.0) for epoch in range(41)]
            rows += [("bp", seed, epoch, layer, "norm_ratio", 1.0) for epoch in range(41)]
    return pd.DataFrame(rows, columns=COLUMNS)

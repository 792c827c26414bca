"""Lesson 11: the explorer's angles by hand, a live run at the study's rates, the lowest loss of long runs."""

import pandas as pd
import pytest
import torch
from torch.nn import functional as nnf

import pfa_edu as pe
from pfa_edu.errors import ConfigError
from pfa_edu.lessons import transformer_lesson, transformer_study
from pfa_edu.lessons.explorers import attention
from pfa_edu.lessons.results import committed
from pfa_edu.nn.transformers import Block
from pfa_edu.rules.soft import Soft


def test_without_an_angle_every_update_is_backprops():
    result = attention.compute(angle=0, depth=2)
    assert max(max(angles) for angles in result.by_kind.values()) < 0.05


def test_the_angle_of_v_by_hand():
    """One block without its MLP's part: v's update is (Pᵀ δ F)ᵀ h, and only F turns it."""
    torch.manual_seed(0)
    block = Block(48, 1, causal=False).double()
    x, error = (torch.randn(1, 32, 48, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        block.up.weight.zero_()  # the MLP sends nothing back
    block = pe.convert(block, Soft(30), skip=["up", "down"], verbose=False)
    h = block.norm1(x)[0]
    P = (block.q(h) @ block.k(h).T / 48**0.5).softmax(-1).detach()
    sent = [(P.T @ error[0] @ way).T @ h for way in (block.out.feedback_weight(), block.out.weight)]  # by rule, by BP
    found = pe.gradient_angle(block, lambda out, e: (out * e).sum(), x, error)
    assert found["v"] == pytest.approx(pe.angle(*sent).item(), abs=0.01)
    assert 20 < found["v"] < 40


def test_softmax_is_linear_in_what_comes_back():
    """Lesson 11: for fixed activities, the error of the queries is linear in F."""
    stream = torch.Generator().manual_seed(0)
    q, k, v, delta = (torch.randn(6, 4, generator=stream, dtype=torch.float64) for _ in range(4))
    W, N = (torch.randn(4, 4, generator=stream, dtype=torch.float64) for _ in range(2))
    q.requires_grad_()
    mixed = nnf.scaled_dot_product_attention(q[None], k[None], v[None])[0]
    by = [torch.autograd.grad(mixed, q, delta @ F, retain_graph=True)[0] for F in (W, N, 2 * W - 3 * N)]
    torch.testing.assert_close(by[2], 2 * by[0] - 3 * by[1])


def test_the_explorer_asks_and_leaves_the_readers_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    explorer = attention.explorer()
    assert "°" not in explorer.text
    explorer.set(angle=17.5, depth=4)
    explorer.answer()
    assert torch.equal(torch.rand(1), expected)
    assert explorer.text.startswith("F 17.5° off W, 4 blocks, their mean: the updates are turned by q 20°, k 20°")
    assert [len(line.get_xdata()) for line in explorer.picture._lines] == [6, 6, 6, 6]
    explorer.set(depth=1)
    assert [len(line.get_xdata()) for line in explorer.picture._lines] == [6, 0, 0, 0]
    assert "1 block:" in explorer.text


def test_live_runs_take_the_rates_of_the_search(tmp_path):
    frame = transformer_lesson.live("gpt", ["bp", "pfa-aligned"], scale="smoke", out=tmp_path)
    rates = transformer_study.best_rates(committed("gpt"))
    assert frame.groupby("rule")["lr"].first().to_dict() == {
        "bp": rates["gpt", "bp"],
        "pfa-aligned": rates["gpt", "pfa"],
    }
    assert set(frame["depth"]) == {2}
    pe.plots.loss(frame)
    again = transformer_lesson.live("gpt", ["bp"], scale="smoke", out=tmp_path, minutes=0)  # it is there already
    assert set(again["rule"]) == {"bp"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"network": "rnn", "arms": ["bp"]}, "unknown network 'rnn'"),
        ({"network": "gpt", "arms": ["bp", "pfa-alined"]}, "unknown arm 'pfa-alined': did you mean 'pfa-aligned'"),
        ({"network": "gpt", "arms": ["bp"], "seeds": 0}, "seeds 0"),
        ({"network": "gpt", "arms": ["bp"], "minutes": 0}, "no run is complete yet"),
    ],
)
def test_what_cannot_be_run_live(tmp_path, settings, told):
    with pytest.raises(ConfigError, match=told):
        transformer_lesson.live(**settings, scale="smoke", out=tmp_path)


def test_the_lowest_loss_is_that_of_the_mean_curve():
    rows = [
        {"part": "evening", "depth": 4, "arm": arm, "seed": 0, "epoch": epoch, "layer": "network", "metric": metric,
         "value": value}
        for arm, losses in (("bp", [3.0, 1.0, 2.0]), ("fa", [3.0, 2.5, 2.0]))
        for epoch, loss in enumerate(losses)
        for metric, value in (("validation_loss", loss), ("test_accuracy", 10 * loss))
    ]  # fmt: skip
    table = transformer_lesson.lowest(pd.DataFrame(rows))
    assert table.loc["BP"].tolist() == [1, 1, 2, 20]
    assert table.loc["FA"].tolist() == [2, 2, 2, 20]
    with pytest.raises(ConfigError, match="no validation loss of main"):
        transformer_lesson.lowest(pd.DataFrame(rows), "main")

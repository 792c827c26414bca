"""Transformers: their parts against plain torch, the text, the schedule, alignment, and the study of rules in them."""

import dataclasses
import itertools
import math
import warnings

import pandas as pd
import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

import pfa_edu as pe
from pfa_edu.data import text
from pfa_edu.errors import ConfigError
from pfa_edu.lessons import transformer_study as study
from pfa_edu.nn import transformers
from pfa_edu.nn.models import build
from pfa_edu.rules import decay_to_fade
from pfa_edu.runs import store
from pfa_edu.train import execution
from pfa_edu.train.noise_phase import NoiseAlignment
from pfa_edu.train.recipe import Recipe
from pfa_edu.train.scoring import _class_axis


def smoke(name, rule, **settings):
    return pe.experiment(name, rule, scale="smoke", **{"out": None, **settings})


def started(name, rule, **settings):
    e = smoke(name, rule, **settings)
    return e.trainer(e.load())


# The networks


def test_a_block_is_attention_and_an_mlp_written_out():
    torch.manual_seed(0)
    block, x = transformers.Block(8, 2, causal=True).double(), torch.randn(3, 5, 8, dtype=torch.float64)
    h = block.norm1(x)
    q, k, v = (p(h).view(3, 5, 2, 4) for p in (block.q, block.k, block.v))
    scores = torch.einsum("bihc,bjhc->bhij", q, k) / 2  # a head of 4 neurons
    scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -math.inf)
    mixed = torch.einsum("bhij,bjhc->bihc", scores.softmax(-1), v).reshape(3, 5, 8)
    y = x + block.out(mixed)
    y = y + block.down(nnf.gelu(block.up(block.norm2(y))))
    torch.testing.assert_close(block(x), y)


def test_patches_are_cut_row_by_row():
    x = torch.arange(2 * 3 * 8 * 12.0).view(2, 3, 8, 12)
    found = transformers._patches(x)  # (batch, 2 · 3, 48)
    assert found.shape == (2, 6, 48)
    for token, (row, column) in enumerate([(0, 0), (0, 4), (0, 8), (4, 0), (4, 4), (4, 8)]):
        assert torch.equal(found[:, token], x[:, :, row : row + 4, column : column + 4].flatten(1))


def test_a_gpt_does_not_see_what_follows():
    net = build("gpt-2-48", (16,), 70)
    x = torch.randint(70, (2, 16))
    later = x.clone()
    later[:, 9:] = torch.randint(70, (2, 7))
    assert torch.equal(net(x)[:, :9], net(later)[:, :9])
    assert not torch.equal(net(x)[:, 9:], net(later)[:, 9:])


@pytest.mark.parametrize(("name", "shape", "classes", "size"), [
    ("vit-4", (3, 32, 32), 10, 459_370), ("gpt-4", (128,), 70, 1_041_766), ("vit-8", (3, 32, 32), 10, 906_730),
])  # fmt: skip
def test_sizes(name, shape, classes, size):
    assert sum(p.numel() for p in build(name, shape, classes).parameters()) == size


def test_the_table_is_an_embedding():
    torch.manual_seed(0)
    table, plain, x = transformers.Table(7, 3), nn.Embedding(7, 3), torch.randint(7, (4, 6))
    plain.load_state_dict(table.state_dict())
    error = torch.randn(4, 6, 3)
    for module in (table, plain):
        (module(x) * error).sum().backward()
    assert torch.equal(table(x), plain(x))
    torch.testing.assert_close(table.weight.grad, plain.weight.grad)


@pytest.mark.parametrize(("name", "shape", "told"), [
    ("vit", (3, 32, 32), "its blocks"), ("vit-0", (3, 32, 32), "its blocks"), ("gpt-4", (3, 32, 32), "reads text"),
    ("vit-4", (3, 30, 32), "multiples of 4"), ("vit-4", (128,), "multiples of 4"), ("vit-4-100", (3, 32, 32), "divide"),
])  # fmt: skip
def test_a_network_that_cannot_be(name, shape, told):
    with pytest.raises(ConfigError, match=told):
        build(name, shape, 10)


def test_every_projection_has_a_rule_and_the_rest_is_named_as_what_it_is():
    trainer = started("gpt", "pfa")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x, _ = trainer.data.batch(trainer.data.plan(2, torch.Generator().manual_seed(0))[0])
        audited = pe.audit(trainer.net, x, optimizer=trainer.optimizer)
    assert audited.ok, audited.problems
    learns = audited.frame().set_index("name")["learns"]
    kinds = {name: transformers.part_of(name) for name in pe.layers(trainer.net)}
    assert [kind for _, kind in kinds.values()] == [*transformers.KINDS[1:7] * 2, "head"]
    assert [block for block, _ in kinds.values()] == [0] * 6 + [1] * 6 + [None]
    assert all(learns[f"{name}.weight"] == "pfa form=coupled" for name in kinds)
    assert all(learns[f"{name}.weight"].startswith("below") for name in ("table", "positions", "blocks.0.norm1"))


@pytest.mark.parametrize("network", ["vit", "gpt"])
def test_with_F_set_to_W_every_rule_is_backprop(network):
    trainer = started(network, pe.PFAo(form="coupled"))
    for layer in pe.layers(trainer.net).values():
        layer.feedback.a.zero_()
    angles = pe.gradient_angle(trainer.net, trainer.loss_fn, *trainer.data.probe())
    assert max(angles.values()) < 0.01
    errors = pe.reference_error(trainer.net, trainer.loss_fn, *trainer.data.probe())
    assert max(errors.values()) < 0.01  # and the reference is one


# The text


def test_topics_are_split_whole_and_no_validation_text_is_in_training():
    topics = text._topics.topics
    found = text.split(topics)
    sizes = {part: len(t) for part, t in found.items()}
    assert 0.06 < sizes["validation"] / sum(sizes.values()) < 0.13
    assert 0.06 < sizes["test"] / sum(sizes.values()) < 0.13
    flat = {part: " ".join(t.split()) for part, t in found.items()}
    windows = {part: {t[i : i + 60] for i in range(len(t) - 59)} for part, t in flat.items()}
    for part in ("validation", "test"):
        assert len(windows[part] & windows["train"]) < 0.01 * len(windows[part])
    for name in text.distinct(topics):
        assert topics[name] in found[text.part_of_topic(name)]


def test_a_topic_within_a_longer_one_is_left_out():
    long, other = "".join(f"{i} and more, " for i in range(200)), "".join(f"{i} or less; " for i in range(50))
    assert text.distinct({"section": long[300:900], "all": long, "other": other}) == ["all", "other"]


def few(**settings):
    letters = "the quick brown fox jumps over the lazy dog. " * 8
    return pe.data.Text.of("few", letters, letters[:99], letters[50:200], **{"context": 16, "crops": 24, **settings})


def test_a_batch_is_crops_and_what_follows():
    data = few()
    plan = data.plan(8, torch.Generator().manual_seed(3))
    assert plan.shape == (3, 8, 1)
    assert torch.equal(plan, data.plan(8, torch.Generator().manual_seed(3)))
    x, y = data.batch(plan[1])
    for row, start in enumerate(plan[1, :, 0].tolist()):
        assert torch.equal(x[row], data.train[start : start + 16].long())
        assert torch.equal(y[row], data.train[start + 1 : start + 17].long())


def test_every_place_can_be_drawn_and_none_beyond_the_end():
    data = few(crops=40_000)
    starts = data.plan(40_000, torch.Generator().manual_seed(0)).unique()
    assert starts.tolist() == list(range(len(data.train) - 16))


@pytest.mark.parametrize("size", [1, 3])
def test_pieces_read_a_part_once_from_beginning_to_end(size):
    data = few()
    rows = [torch.cat([x for x, _ in data.pieces("test", rank, size)]) for rank in range(size)]
    assert sum(map(len, rows)) == (len(data.test) - 1) // 16
    assert torch.equal(rows[0][0], data.test[:16].long())
    (x, y), *_ = data.pieces("test")
    assert torch.equal(x.flatten()[1:], y.flatten()[:-1])


def test_text_in_other_letters():
    data = pe.data.Text.of("few", "É “Quoted” — so…" * 9, "a" * 30, "b" * 30, context=8)
    assert data.decode(data.train[:18].tolist()) == '? "quoted" - so...'


def test_a_text_that_is_too_short_and_a_batch_that_is_too_large():
    with pytest.raises(ConfigError, match="validation part of few has 9 characters"):
        pe.data.Text.of("few", "a" * 99, "b" * 9, "c" * 99, context=16)
    with pytest.raises(ConfigError, match="batch_size 25"):
        few().plan(25, torch.Generator())


def test_a_run_on_a_text_is_known_by_the_text():
    assert smoke("gpt", "bp").identity["data"] == pe.data.load("pydoc-topics").fingerprint
    assert few().fingerprint != few(crops=25).fingerprint
    assert "data" not in smoke("vit", "bp").identity


def test_the_score_is_per_character():
    trainer = started("gpt", "bp")
    trainer._score("validation")
    right, loss, count = 0, 0.0, 0
    for x, y in trainer.data.pieces("validation"):
        with torch.no_grad():
            out = trainer.net(x)
        right += (out.argmax(-1) == y).sum().item()
        loss += nnf.cross_entropy(out.transpose(1, 2), y, reduction="sum").item()
        count += y.numel()
    assert trainer.last("validation_accuracy") == pytest.approx(100 * right / count)
    assert trainer.last("validation_loss") == pytest.approx(loss / count, rel=1e-5)


def test_the_axis_of_classes():
    assert _class_axis(torch.zeros(5, 3), torch.zeros(5)) == 1
    assert _class_axis(torch.zeros(5, 7, 3), torch.zeros(5, 7)) == 2
    assert _class_axis(torch.zeros(5, 3, 7), torch.zeros(5, 7)) == 1  # as torch's cross-entropy has it
    with pytest.raises(ConfigError, match="another length"):
        _class_axis(torch.zeros(5, 7, 7), torch.zeros(5, 7))


# The schedule, and backprop against a plain loop


def test_warm_up_and_cosine():
    recipe = Recipe(epochs=4, batch_size=8, lr=0.1, warm_up=5, cosine=0.1)
    rates = [recipe.lr_in(step, 10) for step in range(40)]
    assert rates[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert rates[5] == pytest.approx(0.1)
    assert rates[22] == pytest.approx(0.055)  # half of the way from 5 to 39
    assert rates[39] == pytest.approx(0.01)
    assert all(a > b for a, b in itertools.pairwise(rates[5:]))


def test_what_came_later_is_not_in_the_identity_of_older_runs():
    assert not {"decay_on", "warm_up", "cosine"} & pe.experiment("mnist", "pfa", scale="smoke").identity.keys()
    assert smoke("gpt", "bp").identity["warm_up"] == 10


@pytest.mark.parametrize("network", ["vit", "gpt"])
def test_backprop_is_a_plain_torch_loop(network):
    trainer = started(network, "bp")
    steps = trainer.steps_per_epoch
    plan = trainer.data.plan(trainer.recipe.batch_size, torch.Generator().manual_seed(trainer.seed))
    net = pe.strip(trainer.net)
    matrices = [m.weight for m in net.modules() if isinstance(m, nn.Linear)]
    rest = [p for p in net.parameters() if all(p is not m for m in matrices)]
    adamw = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], betas=(0.9, 0.95)
    )
    wanted = []
    for i in range(steps):
        for group in adamw.param_groups:
            peak, end = trainer.recipe.lr, 3 * steps - 1
            group["lr"] = peak * (i + 1) / 10 if i < 10 else (
                peak * (0.55 + 0.45 * math.cos(math.pi * (i - 10) / (end - 10)))
            )  # fmt: skip
        x, y = trainer.data.batch(plan[i])
        out = net(x)
        loss = nnf.cross_entropy(out if network == "vit" else out.transpose(1, 2), y)
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        wanted.append(loss.item())
    losses = trainer._one_epoch()
    torch.testing.assert_close(losses, torch.tensor(wanted), rtol=0, atol=2e-4)  # rounding grows from step to step
    torch.testing.assert_close(losses[:5], torch.tensor(wanted[:5]), rtol=0, atol=1e-6)


def test_decay_is_on_matrices_only():
    trainer = started("gpt", "kp")
    (weights, rest) = trainer.optimizer.param_groups
    held = {id(p) for p in weights["params"]}
    layers = pe.layers(trainer.net).values()
    assert held == {id(p) for layer in layers for p in (layer.weight, layer.feedback.F)}
    trainer.recipe = dataclasses.replace(trainer.recipe, epochs=1)
    trainer._one_epoch()
    assert (weights["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)


# Alignment


def test_the_strong_phase_is_the_warm_up_and_fades_the_start():
    trainer = started("gpt", pe.PFA(10))
    assert trainer.recipe.strong_steps == trainer.recipe.warm_up == 10
    trainer._one_epoch()
    rates = [trainer.recipe.lr_in(step, 32) for step in range(32)]
    left = math.prod(1 - r * trainer.recipe.decay_at(step) for step, r in enumerate(rates))
    assert math.prod(1 - r * trainer.recipe.strong_decay for r in rates[:10]) == pytest.approx(0.05, rel=1e-6)
    for layer in pe.layers(trainer.net).values():
        assert layer.feedback.a.item() == pytest.approx(left, rel=1e-5)


def test_rules_that_do_not_align_by_decay_have_no_strong_phase():
    for rule in ("bp", "sf", "fa", "dfa", "soft", pe.PFA(10, init="aligned")):
        assert smoke("vit", rule).recipe.strong_steps == 0
    given = smoke("vit", "bp", strong_decay=5.0, strong_steps=3).recipe
    assert (given.strong_decay, given.strong_steps) == (5, 3)
    assert smoke("vit", "kp").recipe.strong_steps == 10


def test_a_decay_that_fades():
    rates = [0.001 * (i + 1) / 50 for i in range(50)]
    decay = decay_to_fade(0.05, rates)
    assert math.prod(1 - r * decay for r in rates) == pytest.approx(0.05, rel=1e-9)
    with pytest.raises(ConfigError, match="nothing fades"):
        decay_to_fade(0.05, [0.0, 0.0])


@pytest.mark.parametrize("form", ["explicit", "closed", "coupled", "deferred"])
def test_a_start_that_is_aligned(form):
    torch.manual_seed(0)
    layer = pe.Linear(400, 300, rule=pe.PFA(10, init="aligned", form=form))
    assert pe.path_alignment(layer)["linear"] == pytest.approx(pe.alignment_limit(10), abs=0.5)
    F = layer.feedback_weight()
    if form in ("closed", "coupled"):
        assert layer.feedback.a == 0
        torch.testing.assert_close(F, layer.feedback.G @ layer.weight, atol=1e-6, rtol=0)
    else:
        torch.testing.assert_close(F, layer.feedback.B @ layer.feedback.B.t() @ layer.weight, atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", ["explicit", "deferred"])
def test_an_aligned_start_by_the_synapses_that_there_are(form):
    torch.manual_seed(0)
    layer = pe.Linear(60, 50, rule=pe.PFA(4, density=0.3, init="aligned", form=form))
    B, mask = layer.feedback.B, layer.feedback.R_mask
    torch.testing.assert_close(layer.feedback_weight(), B @ (mask * (B.t() @ layer.weight)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rule", [pe.PFA(10), pe.KP(), pe.PFAo()])
def test_noise_aligns_and_leaves_the_rest_alone(rule):
    trainer = started("gpt", rule, strong_steps=0, network="gpt-1-48", batch_size=2)
    before = {n: p.clone() for n, p in trainer.net.named_parameters()}
    phase = NoiseAlignment()
    phase.before_training(trainer)
    assert phase.left == pytest.approx(0.05, abs=0.001)
    layers = pe.layers(trainer.net)
    moved = {f"{n}.weight" for n in layers} | ({f"{n}.feedback.F" for n in layers} if rule == pe.KP() else set())
    assert {n for n, p in trainer.net.named_parameters() if not torch.equal(p, before[n])} == moved
    assert all(p.grad is None for p in trainer.net.parameters())
    angles = pe.path_alignment(trainer.net)
    limit = rule.limit() or 0.0
    assert all(limit - 4 < angle < limit + 9 for angle in angles.values()), angles
    sizes = [layer.weight.std().item() / before[f"{n}.weight"].std().item() for n, layer in layers.items()]
    assert all(0.3 < size < 3 for size in sizes), sizes  # W is about as large as it was


def test_noise_is_part_of_a_runs_identity_and_does_nothing_to_backprop():
    assert smoke("gpt", "pfa", callbacks=(NoiseAlignment(),)).identity["callbacks"] == [
        "NoiseAlignment(steps=148, lr=0.02, decay=1)"
    ]
    trainer = started("vit", "bp")
    before = trainer.net.state_dict()["head.weight"].clone()
    NoiseAlignment(steps=2).before_training(trainer)
    assert torch.equal(before, trainer.net.head.weight)


# The step that a GPU records


class Recorded:
    """A recording, as far as a CPU can have one: a replay meets the numbers that were there when it was made."""

    made = 0

    def __init__(self, step, optimizer, choice, baked):
        type(self).made += 1
        self.step, self.optimizer, self.baked = step, optimizer, baked
        self.groups = [dict(group) for group in optimizer.param_groups]

    def replay(self, choice):
        now = [(group["lr"], group["weight_decay"]) for group in self.optimizer.param_groups]
        for group, was in zip(self.optimizer.param_groups, self.groups, strict=True):
            group["lr"], group["weight_decay"] = was["lr"], was["weight_decay"]
        loss = self.step(choice)
        for group, (lr, decay) in zip(self.optimizer.param_groups, now, strict=True):
            group["lr"], group["weight_decay"] = lr, decay
        return loss


@pytest.mark.parametrize("rule", ["bp", "pfa", "kp"])
def test_a_recorded_step_follows_the_schedule_and_is_recorded_once_for_each_decay(rule, monkeypatch):
    eager = started("gpt", rule)
    eager.net.train()
    wanted = eager._one_epoch()
    monkeypatch.setattr(execution, "_Graph", Recorded)
    monkeypatch.setattr(execution.Execution, "check", lambda self, device: None)
    monkeypatch.setattr(execution.Stepper, "_on_side_stream", execution.Stepper._eager)
    monkeypatch.setattr(Recorded, "made", 0)
    recorded = started("gpt", rule, engine="graph")
    assert recorded.optimizer.param_groups[0]["capturable"]
    losses = recorded._one_epoch()
    assert Recorded.made == (1 if rule == "bp" else 2)  # the strong phase, and after it
    torch.testing.assert_close(losses, wanted, rtol=0, atol=1e-4)
    torch.testing.assert_close(losses[:8], wanted[:8], rtol=0, atol=1e-5)
    assert recorded.optimizer.param_groups[0]["lr"] == eager.optimizer.param_groups[0]["lr"]  # a number again
    if rule == "pfa":
        a = [trainer.net.head.feedback.a.item() for trainer in (eager, recorded)]
        assert a[0] == pytest.approx(a[1], rel=1e-5)


# The study


def test_the_study_gives_every_rule_the_same_search_and_every_run_its_folder():
    grid = [*study.search("gpt"), *study.search("vit")]
    sizes = {(p.about["network"], p.about["arm"]) for p in grid}
    assert len(grid) == len(sizes) * len(study.RATES)
    best = dict.fromkeys(sizes, 1e-3)
    after = study.rest(best)
    assert len({p.run.folder for p in [*grid, *after]}) == len(grid) + len(after)
    alone = study.rest({key: rate for key, rate in best.items() if key[0] == "vit"}, ["vit"])
    assert [p.run.folder for p in alone] == [p.run.folder for p in after if p.about["network"] == "vit"]
    main = [p for p in after if p.about["part"] == "main"]
    assert {(p.about["arm"], p.run.seed) for p in main} == {(arm, seed) for arm in study.MAIN for seed in (0, 1, 2)}
    for p in grid + after:
        steps = p.run.recipe.epochs * {"gpt": 128, "vit": 351}[p.about["network"]]
        assert p.run.recipe.warm_up == steps // 10


def test_the_arms_are_what_they_are_called():
    made = {arm: study.planned("schedule", "gpt", arm, 0, 1e-3).run for arm in study.SCHEDULES}
    pfa = study.planned("main", "gpt", "pfa", 0, 1e-3).run.recipe
    recipes = {arm: run.recipe for arm, run in made.items()}
    assert recipes["pfa-none"].strong_steps == recipes["pfa-noise"].strong_steps == 0
    assert recipes["pfa-slow"].strong_steps == 3 * pfa.strong_steps
    assert recipes["pfa-half"].strong_decay == pfa.strong_decay / 2
    assert recipes["bp-strong"].strong_decay == pfa.strong_decay
    assert made["pfa-aligned"].rule.init == "aligned"
    assert [type(c) for c in made["pfa-noise"].callbacks] == [NoiseAlignment]
    frozen = study.planned("depth", "vit", "frozen", 0, 1e-3, 8).run
    assert frozen.frozen == ("positions", "embed", *(f"blocks.{i}" for i in range(7)))


def test_a_run_whose_time_is_over_is_not_built(tmp_path, monkeypatch):
    run = study.planned("main", "gpt", "bp", 0, 1e-3, scale="smoke", out=tmp_path).run
    monkeypatch.setattr(study.Run, "load", lambda self: pytest.fail("the data were asked for"))
    assert pe.run_grid([run], progress="none", minutes=0).empty
    assert store.read(run.kept_in)["state"] == "cut"


@pytest.mark.slow
def test_the_study_runs_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "SEARCHED", ("bp", "pfa"))
    monkeypatch.setattr(study, "MAIN", ("bp", "pfa"))
    monkeypatch.setattr(study, "NETWORKS", ("gpt",))
    monkeypatch.setattr(study, "RATES", (1e-3, 3e-3))
    monkeypatch.setattr(study, "rest", lambda best, networks, **place: [
        study.planned("main", "gpt", arm, 0, best["gpt", arm], **place) for arm in ("bp", "pfa")
    ])  # fmt: skip
    settings = {"out": tmp_path, "networks": ["gpt"], "scale": "smoke"}
    none = study.study(minutes=0, **settings)
    assert none.empty
    first = study.study(**settings)
    table = study.search_table(first)
    assert list(table["arm"]) == ["bp", "pfa"]
    assert (table["best"] == table[[1e-3, 3e-3]].idxmin(axis=1)).all()
    main = first[(first["part"] == "main") & (first["metric"] == "test_loss")]
    assert list(main["arm"]) == ["bp", "pfa"]
    assert set(main["lr"]) <= {1e-3, 3e-3}
    assert study.study(minutes=0, **settings).equals(first)  # nothing was run again


@pytest.mark.parametrize("rows", [100, 2000])  # two products, and one with the sum
def test_the_error_that_pfa_o_sends(rows):
    torch.manual_seed(0)
    layer = pe.Linear(6, 5, rule=pe.PFAo(form="coupled")).double()
    h = torch.randn(rows, 6, dtype=torch.float64, requires_grad=True)
    delta = torch.randn(rows, 5, dtype=torch.float64)
    layer.feedback.a.fill_(0.3)
    (sent,) = torch.autograd.grad(layer(h), h, delta)
    torch.testing.assert_close(sent, delta @ (layer.weight + 0.3 * layer.feedback.E))


# The figures


def measured(rule, metric, value, seed=0, epoch=1, layer="network"):
    return {"rule": rule, "seed": seed, "epoch": epoch, "layer": layer, "metric": metric, "value": value}


def test_projections_are_panels_by_kind_and_places_by_block():
    layers = [f"blocks.{b}.{kind}" for b in range(3) for kind in transformers.KINDS[1:7]]
    rows = [
        measured(rule, "gradient_angle", 10.0 * i + seed, seed, layer=layer)
        for rule in ("bp", "pfa") for seed in (0, 1) for i, layer in enumerate(["embed", *layers, "head"])
    ]  # fmt: skip
    fig = pe.plots.projections(pd.DataFrame(rows))
    assert [ax.get_title(loc="left") for ax in fig.axes] == list(transformers.KINDS[1:7])
    (line,) = [line for line in fig.axes[2].get_lines() if line.get_label() == "PFA"]  # v, the third of each block
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert line.get_ydata() == pytest.approx([30.5, 90.5, 150.5])
    with pytest.raises(ConfigError, match="no rule but backprop"):
        pe.plots.projections(pd.DataFrame([row for row in rows if row["rule"] == "bp"]))
    with pytest.raises(ConfigError, match="metric of projections"):
        pe.plots.projections(pd.DataFrame(rows), "norm_ratio")


def test_the_loss_is_that_of_the_validation_part_and_the_best_is_on_top():
    rows = [
        measured(rule, metric, low + 1 / (1 + epoch), seed, epoch)
        for rule, low in (("pfa", 2.0), ("bp", 1.0)) for seed in (0, 1) for epoch in (0, 1, 2)
        for metric in ("validation_loss", "test_loss")[: 1 if epoch < 2 else 2]
    ]  # fmt: skip
    left, right = pe.plots.loss(pd.DataFrame(rows)).axes
    assert left.get_ylabel() == "Validation loss in nats"
    assert [text.get_text() for text in right.get_yticklabels()] == ["BP  1.333", "PFA  2.333"]
    assert right.yaxis_inverted()


def test_a_part_of_the_study_as_figures_take_it():
    grid = [study.planned("main", "gpt", arm, 0, 1e-3) for arm in ("bp", "pfa", "frozen", "pfa-3")]
    grid += [study.planned("schedule", "gpt", "pfa-noise", 0, 1e-3)]
    frame = pd.DataFrame([{**p.about, **measured(p.run.rule.label, "test_loss", 1.0)} for p in grid])
    assert list(study.of_part(frame, "gpt")["rule"]) == ["bp", "pfa", "frozen", "pfa ratio=3"]
    assert list(study.of_part(frame, "gpt", "schedule")["rule"]) == ["pfa-noise"]
    assert study.of_part(frame, "vit").empty

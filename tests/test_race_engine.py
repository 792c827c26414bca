"""The race's engine: the same training as a plain loop, measured without being changed, stopped anywhere."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as nnf

import pfa_edu as pe
from pfa_edu import data
from pfa_edu.errors import ConfigError
from pfa_edu.lessons.explorers import toy
from pfa_edu.lessons.explorers.race_engine import BATCH, MOMENTUM, Entry, Race, Settings

EVERY = [Entry(name) for name in pe.known_rules()] + [Entry("pfa", ratio=4, density=0.5), Entry("fa", density=0.3)]
TOY = {"dataset": "spirals", "width": 16}


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: entry.rule().label)
def test_the_race_trains_as_a_plain_loop_does(entry):
    race = Race(Settings((entry,), lr=0.05, weight_decay=0.001, seed=3, **TOY))
    for step in range(20):
        race.step()
        if step % 3 == 0:
            race.measure(moving=step % 2 == 0)

    points = toy.spirals()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = pe.convert(pe.mlp((2, 16, 16, 3)), entry.rule(), init="xavier", verbose=False)
    sgd = torch.optim.SGD(net.parameters(), lr=0.05, momentum=MOMENTUM, weight_decay=0.001)
    order, done = torch.Generator().manual_seed(3), 0
    while done < 20:
        for index in data.batches(len(points.train_y), BATCH, order):
            if done < 20:
                sgd.zero_grad()
                nnf.cross_entropy(net(points.train_x[index]), points.train_y[index]).backward()
                sgd.step()
                done += 1
    ours = race.lanes[0].net.state_dict()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-6)


def test_every_lane_starts_from_the_same_weights_and_sees_the_same_batches():
    race = Race(Settings((Entry("bp"), Entry("pfa"), Entry("bp")), **TOY))
    first, second, third = (lane.net.state_dict() for lane in race.lanes)
    assert all(first[name].equal(second[name]) for name in first)
    for _ in range(10):
        race.step()
    assert all(first[name].equal(third[name]) for name in first)
    assert not all(first[name].equal(second[name]) for name in first)


def test_the_callers_random_stream_and_threads_are_left_alone():
    torch.manual_seed(0)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(0)
    race = Race(Settings(**TOY))
    race.step()
    race.measure()
    assert torch.rand(3).equal(expected)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("ratio", [1, 10])
def test_pfa_ends_at_its_floor(ratio):
    race = Race(Settings((Entry("pfa", ratio=ratio),), dataset="spirals", width=64, lr=0.1, weight_decay=0.02))
    for _ in range(300):
        race.step()
    race.measure()
    assert race.lanes[0].angles[-1].path["fc2"] == pytest.approx(Entry("pfa", ratio=ratio).floor(64), abs=4)
    assert Entry("pfa", ratio=ratio).floor(64) == pytest.approx(pe.alignment_limit(ratio, out=64))


@pytest.mark.parametrize(
    ("name", "floor"), [("bp", 0.0), ("kp", 0.0), ("pfa-o", 0.0), ("fa", None), ("sf", None), ("dfa", None)]
)
def test_floors_of_the_other_rules(name, floor):
    assert Entry(name).floor(100) == floor


def test_a_sparse_path_has_a_higher_floor():
    assert Entry("pfa", density=0.5).floor(100) == pytest.approx(24.3, abs=0.3)  # simulated, W of 100 × 256


def test_angles_are_taken_of_one_lane_in_turn_while_it_moves_and_of_all_at_rest():
    race = Race(Settings(**TOY))
    for _ in range(3):
        race.step()
        race.measure(moving=True)
    assert sorted(lane.angles[-1].step for lane in race.lanes) == [1, 2, 3]
    assert [lane.scores[-1].step for lane in race.lanes] == [3, 3, 3]
    race.measure()
    race.measure()
    assert [[now.step for now in lane.angles][-1] for lane in race.lanes] == [3, 3, 3]
    assert [[score.step for score in lane.scores] for lane in race.lanes] == [[0, 1, 2, 3]] * 3


def test_learning_rate_and_decay_act_from_the_next_step():
    race = Race(Settings((Entry("bp"),), **TOY))
    before = {name: value.clone() for name, value in race.lanes[0].net.state_dict().items()}
    race.set_pace(1e-4, 0.0)
    race.step()
    after = race.lanes[0].net.state_dict()
    assert max((after[name] - before[name]).abs().max() for name in before) < 1e-4
    with pytest.raises(ConfigError, match=r"lr 0\.9"):
        race.set_pace(0.9, 0.0)


def test_a_lane_whose_loss_is_not_finite_stops_alone():
    race = Race(Settings((Entry("bp"), Entry("fa")), **TOY))
    with torch.no_grad():
        race.lanes[1].net.fc2.weight.fill_(torch.inf)
    for _ in range(3):
        race.step()
    race.measure()
    assert [lane.fell_at for lane in race.lanes] == [None, 0]
    assert [lane.scores[-1].step for lane in race.lanes] == [3, 0]
    assert race.running == [race.lanes[0]]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dataset": "spiral"}, "did you mean 'spirals'"),
        ({"entries": ()}, "0 rules"),
        ({"entries": (Entry("bp"),) * 4}, "4 rules"),
        ({"entries": (Entry("pfaa"),)}, "did you mean 'pfa'"),
        ({"entries": (Entry("pfa", ratio=101),)}, "ratio 101: it must be between 1 and 100"),
        ({"entries": (Entry("fa", density=0),)}, "density 0"),
        ({"width": 1000}, "width 1000: it must be between 8 and 512"),
        ({"depth": 0}, "depth 0"),
        ({"lr": float("nan")}, "lr nan"),
        ({"weight_decay": -1}, "weight_decay -1"),
    ],
)
def test_settings_that_cannot_be(changes, told):
    with pytest.raises(ConfigError, match=told):
        Settings(**changes)


def test_a_sparse_pfa_too_large_to_watch_is_made_lighter_and_says_so():
    entries = (Entry("pfa", ratio=100, density=0.5), Entry("pfa", ratio=100))
    light, why = Settings(entries, width=256).lightened()
    assert light.entries[0].ratio < 100
    assert light.entries[1].ratio == 100, "the dense one is held in closed form and costs nothing"
    assert "ratio 100 is too large" in why
    assert Settings().lightened() == (Settings(), "")


def test_spirals_need_a_bent_boundary_and_can_be_learned():
    points = toy.spirals()
    assert points.train_x.shape == (900, 2)
    assert points.train_x.equal(toy.spirals().train_x)
    assert points.train_x.norm(dim=1).max() <= 1
    assert torch.bincount(points.test_y).tolist() == [100, 100, 100]
    straight = torch.linalg.lstsq(
        torch.cat([points.train_x, torch.ones(900, 1)], 1), nnf.one_hot(points.train_y).float()
    )
    guess = torch.cat([points.test_x, torch.ones(300, 1)], 1) @ straight.solution
    assert (guess.argmax(1) == points.test_y).double().mean() < 0.6
    race = Race(Settings((Entry("bp"),), dataset="spirals", width=32, lr=0.1, weight_decay=0))
    for _ in range(300):
        race.step()
    race.measure()
    assert race.lanes[0].scores[-1].accuracy > 90


def test_class_map_puts_a_point_where_it_lies():
    class Right(torch.nn.Module):
        def forward(self, x):  # (N, 2): class 0 to the right of the middle, class 1 in the upper left, 2 below
            return torch.stack([100 * x[:, 0], 100 * x[:, 1], -100 * x[:, 1]], 1) * (x.abs() > 0).float()[:, :1]

    answer = toy.class_map(Right(), side=11).argmax(2)  # (row from below, column)
    assert answer[5, 10] == 0
    assert answer[10, 0] == 1
    assert answer[0, 0] == 2

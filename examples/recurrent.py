"""A recurrent network by a rule, cell by cell: torch's own RNN, GRU and LSTM multiply their weights out of reach.

    python examples/recurrent.py

An Elman network reads the 5,000 embedded digits row by row and answers after the last. Its recurrent matrix is one
pe.Linear that is used 28 times: the same F carries the error back through time. Half a minute on one core.
"""

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

import pfa_edu as pe


class Elman(nn.Module):
    """h_t = tanh(U x_t + W h_(t−1)); the answer is read from the last h."""

    def __init__(self, inputs: int = 28, hidden: int = 64, classes: int = 10):
        super().__init__()
        self.read, self.recur = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden, bias=False)
        self.answer = nn.Linear(hidden, classes)
        nn.init.orthogonal_(self.recur.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: (batch, time, inputs); returns (batch, classes)."""
        h = x.new_zeros(len(x), self.recur.in_features)  # (batch, hidden)
        for t in range(x.shape[1]):
            h = torch.tanh(self.read(x[:, t]) + self.recur(h))
        return self.answer(h)


def train(rule: pe.Rule, epochs: int = 3, seed: int = 0) -> tuple[float, float]:
    """Held-out accuracy in per cent, and the path angle of the recurrent matrix in degrees."""
    torch.manual_seed(seed)
    net = pe.convert(Elman(), rule, verbose=False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1.0)
    data = pe.data.load("mnist-5k")
    x = data.normalised(data.train_x).reshape(-1, 28, 28)  # (4000, rows, columns)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(50):
            pe.train_step(net, optimizer, nnf.cross_entropy, x[batch], data.train_y[batch])
    with torch.no_grad():
        guess = net(data.normalised(data.test_x).reshape(-1, 28, 28)).argmax(1)
    return (guess == data.test_y).float().mean().item() * 100, pe.path_alignment(net)["recur"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    for rule in (pe.BP(), pe.PFA(ratio=10, form="coupled"), pe.FA()):
        accuracy, angle = train(rule)
        print(f"{rule.label:18s} accuracy {accuracy:5.1f} %, recurrent path at {angle:5.1f} degrees", flush=True)

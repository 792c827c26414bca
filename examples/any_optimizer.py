"""Where the feedback path ends under SGD, AdamW and Muon: R with a gradient of its own, and R that follows W's update.

    python examples/any_optimizer.py

784-64-64-10 on the 5,000 embedded digits, PFA at ratio 10: strong weight decay for a few epochs, then little. Prints
the mean path angle over the layers as it falls, and the limit, 17.5°. A minute or two on one core.
"""

import torch
import torch.nn.functional as nnf

import pfa_edu as pe

OPTIMIZERS = {  # class, learning rate, strong and gentle decay
    "SGD": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}, 0.03, 1e-4),
    "AdamW": (torch.optim.AdamW, {"lr": 1e-3}, 20.0, 0.01),
    "Muon": (getattr(torch.optim, "Muon", None), {"lr": 2e-3}, 10.0, 0.01),
}


def train(name: str, form: str, epochs: int = 8, strong: int = 4, seed: int = 0) -> tuple[list[float], float]:
    """Mean path angle after each epoch, degrees, and the accuracy on the held-out digits, per cent."""
    torch.manual_seed(seed)
    net = pe.convert(pe.mlp((784, 64, 64, 10)), pe.PFA(ratio=10, form=form), verbose=False)
    make, settings, much, little = OPTIMIZERS[name]
    matrices = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() <= 1]
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]  # the usual two
    optimizers = (
        [make(groups, **settings)] if name != "Muon" else [make([groups[0]], **settings), torch.optim.SGD(others, 0.05)]
    )
    data = pe.data.load("mnist-5k")
    x, y = data.normalised(data.train_x).flatten(1), data.train_y  # (4000, 784), (4000,)
    angles = []
    for epoch in range(epochs):
        optimizers[0].param_groups[0]["weight_decay"] = much if epoch < strong else little
        for batch in torch.randperm(len(x)).split(64):
            net.zero_grad()
            nnf.cross_entropy(net(x[batch]), y[batch]).backward()
            for optimizer in optimizers:
                optimizer.step()
        every = pe.path_alignment(net).values()
        angles.append(sum(every) / len(every))
    with torch.no_grad():
        guess = net(data.normalised(data.test_x).flatten(1)).argmax(1)
    return angles, (guess == data.test_y).float().mean().item() * 100


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"limit: {pe.alignment_limit(10):.1f} degrees")
    for name in OPTIMIZERS:
        if OPTIMIZERS[name][0] is None:
            print(f"{name}: not in this torch, which is {torch.__version__}; it came with 2.9")
            continue
        for form in ("explicit", "coupled"):
            angles, accuracy = train(name, form)
            print(
                f"{name:16s} {form:9s} {' '.join(f'{a:5.1f}' for a in angles)}   accuracy {accuracy:.1f} %", flush=True
            )

"""transformers' Trainer: a small GPT-2, made from a configuration, learns to continue a text by PFA.

python examples/hf_trainer.py

Needs ``pip install transformers accelerate``. The Trainer's optimiser is AdamW, and it clips gradients unless it is
told not to. PFA's closed form holds under neither and is refused; the coupled form, in which R follows the update that
W gets, is made for both. Its path angle falls from 90° to about the limit of 17.5° by AdamW's weight decay.
"""

from __future__ import annotations

import tempfile
import warnings
from typing import Any

import torch
import transformers

import pfa_edu as pe

TEXT = "the cat sat on the mat and the dog lay on the log. " * 40
LETTERS = sorted(set(TEXT))


class Pieces(torch.utils.data.Dataset):
    """Every piece of 32 letters of the text, as numbers; GPT-2 shifts the labels itself."""

    def __init__(self) -> None:
        self.numbers = torch.tensor([LETTERS.index(letter) for letter in TEXT])  # (letters of the text,)

    def __len__(self) -> int:
        return len(self.numbers) - 32

    def __getitem__(self, start: int) -> dict[str, torch.Tensor]:
        piece = self.numbers[start : start + 32]  # (32,)
        return {"input_ids": piece, "labels": piece}


class Angles(transformers.TrainerCallback):
    """Prints the mean path angle at the start, and with the loss whenever the Trainer logs."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        print(f"step 0: angle {mean_angle(model):.1f}°")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, model: Any = None, **kwargs: Any) -> None:
        if "loss" in (logs or {}):
            print(f"step {state.global_step}: loss {logs['loss']:.2f}, angle {mean_angle(model):.1f}°")


def mean_angle(net: torch.nn.Module) -> float:
    angles = pe.path_alignment(net).values()
    return sum(angles) / len(angles)


def train(form: str, steps: int = 300) -> None:
    torch.manual_seed(0)
    shape = transformers.GPT2Config(
        vocab_size=len(LETTERS), n_positions=32, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0,
        use_cache=False,
    )  # fmt: skip
    # the head's weight is the embedding's as well, so it stays with backprop
    net = pe.convert(transformers.GPT2LMHeadModel(shape), pe.PFA(ratio=10, form=form), skip="lm_head", verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        settings = transformers.TrainingArguments(
            folder, max_steps=steps, per_device_train_batch_size=8, learning_rate=0.01, weight_decay=1.0,
            lr_scheduler_type="constant", logging_steps=100, save_strategy="no", report_to="none", disable_tqdm=True,
            use_cpu=True, seed=0,
        )  # fmt: skip
        trainer = transformers.Trainer(net, settings, train_dataset=Pieces(), callbacks=[Angles()])
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()


def main() -> None:
    warnings.filterwarnings("ignore", message=".*pin_memory")  # torch's, where there is no GPU
    print("closed form:")
    try:
        train("closed", steps=1)
    except pe.ConfigError as error:
        print("refused:", error)
    print("coupled form:")
    train("coupled")


if __name__ == "__main__":
    main()

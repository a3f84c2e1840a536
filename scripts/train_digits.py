"""Train the network that gnnrl ships for the embedded digits, on their training split alone.

python scripts/train_digits.py [FILE]      writes gnnrl/zoo/digits_resnet.safetensors, or FILE
"""

import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from gnnrl.training import evaluator, finetune
from gnnrl.zoo.data import load_data
from gnnrl.zoo.digits import DIGITS_MEAN, DIGITS_STD, DIGITS_WEIGHTS
from gnnrl.zoo.networks import digits_resnet

EPOCHS, SEED = 80, 0


def main(file: Path) -> None:
    """Train, print the accuracy on images that training has not seen, and save the weights."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model, data = digits_resnet(), load_data("digits", image_size=(8, 8), mean=DIGITS_MEAN, std=DIGITS_STD)
    start = time.perf_counter()
    result = finetune(
        model,
        data.train,
        epochs=EPOCHS,
        learning_rate=0.1,
        batch_size=50,
        label_smoothing=0.1,
        augment="crop",
        seed=SEED,
    )
    seconds = time.perf_counter() - start
    save_file(model.state_dict(), file)
    accuracy = {name: evaluator(getattr(data, name))(model) for name in ("train", "reward", "test")}
    print(f"{EPOCHS} epochs in {seconds:.0f} s, last loss {result.history[-1].loss:.3f}")
    print(", ".join(f"{name} {share:.2%}" for name, share in accuracy.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DIGITS_WEIGHTS)

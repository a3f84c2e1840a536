"""What the benchmarks of the search measure on: a trained network with its images, limit and reward, from options."""

import argparse
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import machine
import networks
import numpy as np
import torch
from ledger import Ledger
from pretrain import build
from stopwatch import timed
from torch import nn

import gnnrl.compression.evidence
from gnnrl.compression.goal import Goal
from gnnrl.compression.study import Study
from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from gnnrl.searchers.task import Task
from gnnrl.training import evaluator
from gnnrl.zoo.batches import batched
from gnnrl.zoo.data import DataSplits, load_data
from gnnrl.zoo.models import InputSpec, example_inputs, input_spec, resolve_model
from gnnrl.zoo.weights import load_weights

RESULTS = Path(__file__).parent / "results"
QUICK, QUICK_IMAGES = "digits-resnet", 100
REWARD_IMAGES = 5000


@dataclass(frozen=True)
class Prepared:
    """A study, and what its preparation cost: calibration is its only forward pass."""

    study: Study
    goal: Goal
    seconds: float
    forward: float

    def task(self, budget: int = 1, seed: int = 0) -> Task:
        """Return a search of the limit that has scored nothing yet."""
        return self.study.task(self.goal, budget, seed)


@dataclass
class Subject:
    """A network to prune.

    Attributes:
        name: of the result files: weights and limit.
        reward: top-1, or minus the cross-entropy or the divergence from the dense network, on the reward images.
        read_test: top-1 on the test images.
        reward_top1: top-1 on the reward images.
    """

    name: str
    model: nn.Module
    inputs: Any
    network: Network
    splits: DataSplits
    options: argparse.Namespace
    _prepared: dict[tuple[str, str], Prepared] = field(default_factory=dict)
    _settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        metric, teacher = self.options.metric, self.model if self.options.metric == "kl" else None
        images = self.splits.first_reward(self.options.reward_images)
        self.reward = evaluator(images, metric, teacher=teacher, precision=self.options.precision)
        self.reward_top1 = evaluator(images, precision=self.options.precision)
        self.read_test = evaluator(self.splits.test, precision=self.options.precision)

    @classmethod
    def load(cls, options: argparse.Namespace) -> "Subject":
        """Build the network, read its weights and images, trace it."""
        torch.set_num_threads(options.threads)
        if options.quick:
            options.calibration_images = QUICK_IMAGES
            model, spec, data = resolve_model(QUICK, pretrained=True).eval(), input_spec(QUICK), "digits"
        else:
            if not options.data or not options.weights:
                raise SystemExit("give --data and --weights, or --quick")
            model, spec, data = build(options.model).eval(), specification(options.model), options.data
            load_weights(model, options.weights)
        splits = load_data(data, image_size=(spec.shape[2], spec.shape[3]), mean=spec.mean, std=spec.std)
        inputs = example_inputs(spec)
        return cls(subject_name(options), model, inputs, trace(model, inputs), splits, options)

    def prepared(self, importance: str = "curves", repair: str = "ls") -> Prepared:
        """The study with this criterion and repair, prepared once in each process."""
        key = importance, repair
        if key not in self._prepared:
            start = perf_counter()
            with (
                timed(gnnrl.compression.evidence, "calibrate") as calibration,
                timed(gnnrl.compression.evidence, "score_network") as dense,
            ):
                study = Study(
                    self.model,
                    self.inputs,
                    evaluate=self.reward,
                    calibration=batched(self.splits.calibration, 125),
                    importance=importance,
                    repair=repair,
                    rules=machine.EVERY_WIDTH,
                    network=self.network,
                    calibration_images=self.options.calibration_images,
                )
                goal = study.goal(self.options.constraint)
                assert study.evidence
            seconds = perf_counter() - start - sum(dense)
            self._prepared[key] = Prepared(study, goal, seconds, sum(calibration))
        return self._prepared[key]

    def settings(self) -> dict[str, Any]:
        """What must be equal for rows to be compared.

        The reward of the closed-form plan is among them: it changes when the engine does.
        """
        if self._settings:
            return dict(self._settings)
        prepared = self.prepared()
        task = prepared.task()
        self._settings = {
            "model": QUICK if self.options.quick else self.options.model,
            "weights": digest(self.model),
            "network": self.network.fingerprint,
            "constraint": self.options.constraint,
            "metric": self.options.metric,
            "precision": self.options.precision,
            "calibration_images": self.options.calibration_images,
            **({} if self.options.reward_images == REWARD_IMAGES else {"reward_images": self.options.reward_images}),
            "threads": self.options.threads,
            "dense_reward": prepared.study.evidence.dense,
            "closed_form_reward": float(task.score(task.prior(task.projection))),
        }
        return dict(self._settings)

    def ledger(self, folder: str, settings: dict[str, Any] | None = None, name: str | None = None) -> Ledger:
        """The file of a benchmark for this network."""
        path = Path(self.options.results) / folder / f"{name or self.name}.json"
        facts = {**machine.describe(), "dense_macs": self.macs(self.network.widths)}
        if not path.exists():
            facts["dense_test"] = self.read_test(self.model)
        return Ledger(path, self.settings() | (settings or {}), facts)

    def macs(self, widths: Any) -> int:
        """Multiply-accumulates of one image at these widths."""
        return self.network.cost.measure(np.asarray(widths)).macs


def specification(model: str) -> InputSpec:
    """What a network of the benchmarks is fed with."""
    if hasattr(networks, model):
        return InputSpec((1, 3, 32, 32), networks.MEAN, networks.STD)
    return input_spec(model)


def subject_name(options: argparse.Namespace) -> str:
    """Weights, limit and metric, as they are called in result files."""
    if options.name:
        return str(options.name)
    weights = QUICK if options.quick else Path(options.weights).stem
    limit = re.sub(r"[^a-z0-9.]", "", options.constraint)
    return "-".join([weights, limit] + ([options.metric] if options.metric != "top1" else []))


def digest(model: nn.Module) -> str:
    """A short name of a network's weights."""
    found = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        found.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks of the search share."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = found.add_argument
    add("--data", help="folder with train and test archives of class folders")
    add("--weights", help="safetensors of the dense network")
    add("--model", default="cifar-resnet20", help="cifar-resnetN, or one of benchmarks/networks.py")
    add("--constraint", default="macs<=50%")
    add("--metric", choices=("top1", "loss", "kl"), default="top1", help="of the reward")
    add("--precision", choices=("float32", "bfloat16"), default="bfloat16", help="of the forward passes")
    add("--calibration-images", type=int, default=500)
    add("--reward-images", type=int, default=REWARD_IMAGES, help="the first ones of the reward split")
    add("--threads", type=int, default=1)
    add("--seeds", type=int, help="runs of each row, with the seeds 0, 1, ...")
    add("--name", help="name of the result file; by default that of weights and limit")
    add("--results", default=str(RESULTS), help="folder of the result files")
    add("--quick", action="store_true", help="the embedded digits and next to nothing else: does the script run?")
    return found


def printed(options: argparse.Namespace, kind: str, report: Callable[[Path], None]) -> bool:
    """Print the tables of all files of a benchmark where only they are asked for; tell whether they were."""
    if options.report:
        for path in sorted((Path(options.results) / kind).glob("*.json")):
            report(path)
    return bool(options.report)


def announce(ledger: Ledger) -> None:
    """Print what the benchmark runs on and with."""
    document = ledger.document
    for name, value in {**document["facts"], **document["settings"]}.items():
        print(f"{name}: {value}")
    print(f"results: {ledger.path.name}", flush=True)

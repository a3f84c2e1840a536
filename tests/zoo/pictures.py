"""Small image collections, made on the spot. Pixels tell where an image comes from: red the class, green the number."""

import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image

from gnnrl.zoo.data import DataSplits, ImageDataset, load_data


def encode(colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> bytes:
    """Encode an image of one colour; PNG keeps its pixels exactly."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def make_pictures(per_class: int, classes: tuple[str, ...] = ("cat", "dog"), under: str = "") -> dict[str, bytes]:
    return {
        f"{under}{name}/{i:04}.png": encode((50 * (number + 1), i, 0))
        for number, name in enumerate(classes)
        for i in range(per_class)
    }


def write_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    content = file.getvalue()
    if path.suffix == ".xz":
        content = lzma.compress(content)
    elif path.suffix in (".gz", ".tgz"):
        content = gzip.compress(content)
    path.write_bytes(content)
    return path


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def load(path: Path, image_size: tuple[int, int] = (8, 8), seed: int = 0) -> DataSplits:
    """Load images so that batches hold plain pixels."""
    return load_data(path, image_size=image_size, seed=seed, mean=(0.0,) * 3, std=(1 / 255,) * 3)


def origins_green(data: ImageDataset) -> int:
    return int(data.pixels(data.positions[:1])[0, 1, 0, 0])


def origins(data: ImageDataset) -> list[tuple[int, int]]:
    """Read class and number of every image off its pixels; the label must say the same."""
    images, labels = data.batch(torch.arange(len(data)))
    found = [(round(x[0].mean().item() / 50) - 1, round(x[1].mean().item())) for x in images]
    assert [c for c, _ in found] == labels.tolist()
    return found

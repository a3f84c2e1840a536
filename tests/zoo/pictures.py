"""Small image collections, made on the spot. Pixels tell where an image comes from: red the class, green the number."""

import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image


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

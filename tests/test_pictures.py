"""Pictures as they come: 16 bits deep, far too big, linked in circles, unreadable; each right or refused by name."""

from __future__ import annotations

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

import pfa_edu as pe
from pfa_edu import data
from pfa_edu.data.listing import listed
from pfa_edu.data.reader import read_picture

# Every value that 8 bits can hold, as 16 bits: 0, 257, ..., 65535.
DEEP = np.arange(0, 65_536, 257, dtype=np.uint16).reshape(16, 16)
WANTED = np.arange(256).reshape(16, 16)


def png(path, pixels, colour):
    """A PNG of 16 bits a channel, which Pillow cannot write: ``pixels`` (H, W) or (H, W, channels)."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def tiff(path, pixels, bits, white_is_zero=False):
    """A grey TIFF of 12 or 16 bits, little-endian, uncompressed."""
    if bits == 12:  # two values in three bytes
        flat = pixels.astype(np.uint32).reshape(-1, 2)
        both = flat[:, 0] << 12 | flat[:, 1]
        content = np.stack([both >> 16, both >> 8 & 255, both & 255], axis=1).astype(np.uint8).tobytes()
    else:
        content = pixels.astype("<u2").tobytes()
    height, width = pixels.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, int(not white_is_zero)), (273, 8), (277, 1),
            (278, height), (279, len(content))]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(content)) + content + directory + b"\0\0\0\0")


def pgm(path, pixels, most):
    height, width = pixels.shape
    path.write_bytes(f"P5 {width} {height} {most}\n".encode() + pixels.astype(">u2").tobytes())


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("grey.png", lambda path: png(path, DEEP, 0)),
        ("grey and alpha.png", lambda path: png(path, np.stack([DEEP, DEEP], axis=-1), 4)),
        ("colour.png", lambda path: png(path, np.stack([DEEP] * 3, axis=-1), 2)),
        ("grey.tif", lambda path: Image.fromarray(DEEP).save(path)),
        (
            "grey, big-endian.tif",
            lambda path: Image.frombytes("I;16B", (16, 16), DEEP.astype(">u2").tobytes()).save(path),
        ),
        ("grey, little-endian.tif", lambda path: tiff(path, DEEP, 16)),
        ("grey, 12 bits.tif", lambda path: tiff(path, DEEP >> 4, 12)),
        ("grey, white is 0.tif", lambda path: tiff(path, 65_535 - DEEP, 16, white_is_zero=True)),
        ("grey.pgm", lambda path: pgm(path, DEEP, 65_535)),
        ("grey, 10 bits.pgm", lambda path: pgm(path, DEEP >> 6, 1023)),
        ("8 bits.png", lambda path: Image.fromarray(WANTED.astype(np.uint8)).save(path)),
        ("8 bits and alpha.png", lambda path: Image.fromarray(WANTED.astype(np.uint8)).convert("LA").save(path)),
    ],
)
def test_every_depth_keeps_its_shades(name, write, tmp_path):
    write(tmp_path / name)
    picture = read_picture(str(tmp_path / name))
    assert (picture.mode, picture.size) == ("RGB", (16, 16))
    grey = np.asarray(picture).astype(int)
    # 10 bits a channel have lost what tells some neighbours among 256 apart: at most one shade off.
    assert np.abs(grey - WANTED[..., None]).max() <= ("10 bits" in name)


def test_one_bit_is_black_and_white(tmp_path):
    Image.fromarray((WANTED > 99).astype(np.uint8) * 255).convert("1").save(tmp_path / "1.png")
    grey = np.asarray(read_picture(str(tmp_path / "1.png")))[..., 0]
    assert np.array_equal(grey, (WANTED > 99) * 255)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_numbers_of_which_none_is_white_are_refused(kind, tmp_path):
    Image.fromarray(DEEP.astype(kind)).save(tmp_path / "deep.tif")
    with pytest.raises(pe.DataError, match=r"deep\.tif holds 32-bit numbers \(TIFF\), .*save it with 8 bits or 16"):
        read_picture(str(tmp_path / "deep.tif"))


def test_a_picture_beyond_pillows_limit_is_named(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 999)  # twice as many are an error, more than it a warning
    with pytest.raises(pe.DataError, match=r"huge\.png is no picture that can be read .*2000 pixels"):
        read_picture(str(tmp_path / "huge.png"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_picture(str(tmp_path / "huge.png")).size == (50, 40)


@pytest.mark.parametrize("size", [0, 3, 40, 200])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.bmp", "a.ppm"])
def test_truncated_pictures(name, size, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:size])
    with pytest.raises(pe.DataError, match=rf"{name} is no picture that can be read"):
        read_picture(str(tmp_path / name))


@pytest.fixture
def root(tmp_path):
    """Two classes, 3 pictures each to train on, one of them in a folder of its own, and one each to validate."""
    for part, files in (("train", ["0.png", "1.png", "deeper/2.png"]), ("val", ["0.png"])):
        for i, name in enumerate(("apples", "pears")):
            for file in files:
                path = tmp_path / "pictures" / part / name / file
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((16, 16, 3), 100 * i, np.uint8)).save(path)
    listed.cache_clear()
    return tmp_path / "pictures"


def folder(root, **how):
    listed.cache_clear()
    return data.PictureFolder("pictures", root, **{"side": 16, **how})


def test_pictures_are_listed_as_torchvision_does(root):
    from torchvision.datasets import ImageFolder

    (root / "train" / "apples" / "A.PNG").write_bytes((root / "train" / "apples" / "0.png").read_bytes())
    (root / "train" / "apples" / "notes.txt").write_text("no picture")
    classes, found = listed(root)
    theirs = ImageFolder(root / "train")
    assert found["train"] == theirs.samples
    assert classes == theirs.classes
    assert len(found["train"]) == 7


@pytest.mark.parametrize("to", ["..", ".", "../..", "../../..", "../pears", "../../../pictures/train/apples", "deeper"])
def test_folders_that_links_lead_to_twice(to, root):
    (root / "train" / "apples" / "link").symlink_to(to, target_is_directory=True)
    with pytest.raises(pe.DataError, match=r"is the same folder as .*, by a link: .* counted twice\. Remove the link"):
        folder(root)


def test_links_that_lead_anywhere_once_are_followed(root, tmp_path):
    """A choice of classes by links is a usual way to make a smaller ImageNet."""
    chosen = tmp_path / "chosen"
    for part in ("train", "val"):
        (chosen / part).mkdir(parents=True)
        for name in ("apples", "pears"):
            (chosen / part / name).symlink_to(root / part / name, target_is_directory=True)
    (chosen / "val" / "pears" / "again.png").symlink_to(chosen / "train" / "pears" / "0.png")
    assert [len(files) for files in folder(chosen).files.values()] == [6, 3]
    (tmp_path / "link").symlink_to(chosen, target_is_directory=True)
    assert folder(tmp_path / "link").train_size == 6


def test_a_folder_that_may_not_be_entered_is_not_passed_over(root, monkeypatch):
    scandir = os.scandir

    def refuse(place):  # chmod would not stop a superuser
        if str(place).endswith("deeper"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(pe.DataError, match=r"train cannot be listed .*Permission denied.*deeper"):
        folder(root)


def test_the_fingerprint_is_that_of_names_classes_and_side(root, tmp_path):
    first = folder(root).fingerprint
    assert len(first) == 16
    moved = root.rename(tmp_path / "moved")
    assert folder(moved).fingerprint == first
    assert folder(moved, side=17).fingerprint != first
    (moved / "val" / "pears" / "0.png").rename(moved / "val" / "pears" / "1.png")
    assert folder(moved).fingerprint != first


def test_a_folder_of_pictures_is_data_for_an_experiment(root):
    def network(shape, classes):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, classes))

    pictures = folder(root)
    assert isinstance(pictures, data.Data)
    assert pictures.to("cpu") is pictures
    recipe = pe.Recipe(epochs=1, batch_size=2, lr=0.1)
    e = pe.Experiment(network, pictures, pe.FA(), recipe, out=None).run(progress="none")
    assert "validation_accuracy" in set(e.frame["metric"])
    assert e.identity["data"] == pictures.fingerprint


def test_a_dataset_of_another_name_is_not_counted_as_a_folder(tmp_path):
    with pytest.raises(pe.ConfigError, match="unknown dataset 'minst': did you mean 'mnist'"):
        data.train_size("minst", tmp_path)

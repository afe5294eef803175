"""Pictures: pixels are kept exactly, and what cannot be read is counted or refused."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frenemy.data.folder import Folder
from frenemy.errors import DataError


def picture(path: Path, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return array


def pattern(seed: int, *shape: int) -> NDArray[np.uint8]:
    return (np.arange(np.prod(shape)) * (2 * seed + 3) % 256).astype(np.uint8).reshape(shape)


def test_colour_pictures_keep_their_pixels_and_order(tmp_path: Path) -> None:
    cat = picture(tmp_path / "cat" / "b.png", pattern(1, 4, 5, 3))
    deep = picture(tmp_path / "cat" / "a" / "z.bmp", pattern(2, 4, 5, 3))
    dog = picture(tmp_path / "dog" / "a.PNG", pattern(3, 4, 5, 3))
    examples = Folder(str(tmp_path))()
    assert np.array_equal(examples.x.numpy(), np.stack([deep, cat, dog]).transpose(0, 3, 1, 2))
    assert examples.y.tolist() == [0, 0, 1]
    assert examples.classes == ("cat", "dog")
    assert examples.notes == ()


def test_grey_pictures_have_one_channel_and_become_colour_in_colourful_company(tmp_path: Path) -> None:
    grey = picture(tmp_path / "a" / "1.png", pattern(1, 4, 5))
    assert np.array_equal(Folder(str(tmp_path))().x.numpy(), grey[None, None])
    colour = picture(tmp_path / "b" / "1.png", pattern(2, 4, 5, 3))
    both = Folder(str(tmp_path))().x.numpy()
    assert np.array_equal(both[0], np.stack([grey] * 3))
    assert np.array_equal(both[1], colour.transpose(2, 0, 1))


def test_transparency_is_dropped(tmp_path: Path) -> None:
    array = picture(tmp_path / "a" / "1.png", pattern(1, 4, 5, 4))
    assert np.array_equal(Folder(str(tmp_path))().x.numpy()[0], array[..., :3].transpose(2, 0, 1))


def test_the_split_is_a_folder_if_there_is_one(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "a" / "1.png", pattern(1, 2, 2))
    test = picture(tmp_path / "test" / "a" / "1.png", pattern(2, 2, 2))
    examples = Folder(str(tmp_path))()
    assert examples.classes == ("a",)
    assert np.array_equal(examples.x.numpy(), test[None, None])


def test_sizes_that_differ_are_named_with_their_files(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", pattern(1, 4, 5))
    picture(tmp_path / "a" / "2.png", pattern(1, 4, 6))
    with pytest.raises(DataError, match=r"one size, got 5x4 in .*1.png and 6x4 in .*2.png; .*--resize 32"):
        Folder(str(tmp_path))()
    examples = Folder(str(tmp_path), resize=3)()
    assert examples.x.shape == (2, 1, 3, 3)
    assert examples.notes == ("pictures were brought to 3x3",)


def test_resizing_cuts_out_the_middle(tmp_path: Path) -> None:
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 4:8] = pattern(1, 4, 4)
    picture(tmp_path / "a" / "1.png", wide)
    assert np.array_equal(Folder(str(tmp_path), resize=4)().x.numpy()[0, 0], pattern(1, 4, 4))
    flat = np.full((12, 4), 200, np.uint8)
    picture(tmp_path / "a" / "1.png", flat)
    assert np.array_equal(Folder(str(tmp_path), resize=2)().x.numpy()[0, 0], np.full((2, 2), 200))


@pytest.mark.parametrize("side", [0, -1, 10_000])
def test_a_strange_side_is_refused(tmp_path: Path, side: int) -> None:
    with pytest.raises(DataError, match=f"expected --resize from 1 to 4096, got {side}"):
        Folder(str(tmp_path), resize=side)()


def test_damaged_pictures_are_skipped_and_counted(tmp_path: Path) -> None:
    good = picture(tmp_path / "a" / "1.png", pattern(1, 30, 30))
    whole = (tmp_path / "a" / "1.png").read_bytes()
    (tmp_path / "a" / "2.png").write_bytes(whole[:60])
    (tmp_path / "a" / "3.jpg").write_bytes(b"<html>")
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    (tmp_path / "a" / ".4.png").write_bytes(b"hidden")
    examples = Folder(str(tmp_path))()
    assert np.array_equal(examples.x.numpy(), good[None, None])
    assert examples.notes == ("2 pictures could not be decoded and were skipped",)


def test_links_out_of_the_folder_are_skipped_and_links_within_followed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    picture(data / "a" / "1.png", pattern(1, 4, 5))
    picture(tmp_path / "outside" / "2.png", pattern(2, 4, 5))
    os.symlink(tmp_path / "outside" / "2.png", data / "a" / "2.png")
    os.symlink(data / "a" / "1.png", data / "a" / "3.png")
    os.symlink(data / "a" / "loop.png", data / "a" / "loop.png")
    os.symlink(tmp_path / "outside", data / "b")
    examples = Folder(str(data))()
    assert len(examples) == 2
    assert examples.notes == (
        "1 pictures could not be decoded and were skipped",
        "2 links lead out of the folder and were skipped",
    )


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    (tmp_path / "a").mkdir()
    for side, got in ((8_000, "64,000,000"), (30_000, "far more")):
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        content = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (tmp_path / "a" / "1.png").write_bytes(content)
        with pytest.raises(
            DataError, match=f"expected at most 50,000,000 pixels in a picture, got {got} in .*1.png"
        ):
            Folder(str(tmp_path))()


def test_the_sum_of_all_pictures_is_limited(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", pattern(1, 4, 5))
    picture(tmp_path / "a" / "2.png", pattern(1, 4, 5))
    with pytest.raises(DataError, match="expected at most 100 bytes of pictures"):
        Folder(str(tmp_path), limit=100)()


def test_deep_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "a" / "1.png")
    with pytest.raises(DataError, match=r"expected at most 8 bits a channel, got mode I;16 in .*1.png"):
        Folder(str(tmp_path))()


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected one sub-folder a class in .*, got none; put the pictures"):
        Folder(str(tmp_path))()
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match=r"expected pictures .* in the class folders of .*, got none"):
        Folder(str(tmp_path))()
    with pytest.raises(DataError, match=r"got no folder at .*nowhere"):
        Folder(str(tmp_path / "nowhere"))()

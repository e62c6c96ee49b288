"""Photographs to cut textures from: packed into one file, cut at random on the device."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dff.formats.safe_write import atomic_path, check_output
from dff.simulator.draws import Draws

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")
PACKED = ".safetensors"
FORMAT = "dff photographs 1"
TILE_PX = 384
MOST_MB = 40.0
MOST_TILES = 400
QUALITY = 90
MOST_SIDES = 3  # tiles across the shorter side of a photograph: larger ones are softer pixel by pixel


@dataclass(frozen=True)
class PhotoPack:
    """Square tiles of photographs.

    Args:
        tiles: (T,3,S,S) uint8, display values.
        credits: which photograph each tile is from, T names.
    """

    tiles: Tensor
    credits: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = self.tiles.shape
        square = len(shape) == 4 and shape[0] > 0 and shape[1] == 3 and shape[2] == shape[3]
        if self.tiles.dtype != torch.uint8 or not square or len(self.credits) != shape[0]:
            raise ValueError(
                f"PhotoPack: tiles {tuple(shape)} {self.tiles.dtype} with {len(self.credits)} credits must "
                "be (T,3,S,S) uint8 with T credits"
            )

    def __len__(self) -> int:
        return self.tiles.shape[0]

    def to(self, device: torch.device | str) -> PhotoPack:
        return replace(self, tiles=self.tiles.to(device))

    def crops(self, draws: Draws, count: int, height: int, width: int) -> Tensor:
        """(count,3,height,width) display values in [0,1]: parts of random tiles, turned, zoomed, mirrored.

        Half of them are about upright. What would lie outside of its tile is mirrored at the border.
        """
        side = self.tiles.shape[-1]
        tiles = self.tiles[draws.integer((count,), 0, len(self) - 1)].float().div_(255)
        # beyond this a mirrored tile would show more than once or be sampled too coarsely
        coarsest = min(1.15, 1.3 * side / max(height, width))
        pixel = draws.log_uniform((count, 1), 0.35 * coarsest, coarsest)
        angle = torch.where(
            draws.chance((count, 1), 0.5), draws.normal((count, 1), 0.15), draws.angle((count, 1))
        )
        mirror = torch.where(draws.chance((count, 1), 0.5), 1.0, -1.0)
        half = pixel * torch.tensor([width, height], device=draws.device) / side  # of the crop, in half tiles
        middle = draws.uniform((count, 2), -1, 1) * (1 - half.amax(1, keepdim=True)).clamp_min(0)
        cos, sin = angle.cos(), angle.sin()
        rows = [
            torch.cat([mirror * cos * half[:, :1], -sin * half[:, 1:], middle[:, :1]], dim=1),
            torch.cat([mirror * sin * half[:, :1], cos * half[:, 1:], middle[:, 1:]], dim=1),
        ]
        grid = F.affine_grid(torch.stack(rows, dim=1), [count, 3, height, width], align_corners=False)
        return F.grid_sample(tiles, grid, padding_mode="reflection", align_corners=False)


# --- from pictures to tiles --------------------------------------------------------------------------------


def _pictures(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise FileNotFoundError(
            f"{folder}: no photograph ({', '.join(SUFFIXES)}) in this folder or below; give another one"
        )
    return found


def _read(path: Path, side: int) -> Image.Image:
    """The picture, upright, RGB; a large one shrunk to what is cut into tiles of ``side``."""
    most = MOST_SIDES * side
    try:
        with Image.open(path) as file:
            file.draft("RGB", (most, most))  # decodes large JPEG files at a fraction of their size
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path}: cannot be read as a picture ({reason}); remove it or repair it") from None
    if min(picture.size) > most:
        shrink = most / min(picture.size)
        size = round(picture.width * shrink), round(picture.height * shrink)
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return picture


def _tile(picture: Image.Image, side: int, turn: int) -> Image.Image | None:
    """First as much as a square holds, scaled to ``side``; then squares at full resolution, side by side."""
    width, height = picture.size
    if turn == 0:
        return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
    rows, columns = height // side, width // side
    if min(width, height) < 1.25 * side or turn > rows * columns:
        return None
    row, column = divmod(turn - 1, columns)
    x, y = (width - columns * side) // 2 + column * side, (height - rows * side) // 2 + row * side
    return picture.crop((x, y, x + side, y + side))


def _spread(folder: Path, side: int) -> Iterator[tuple[Image.Image, str]]:
    """Tiles of all pictures with their credits: one of every picture, then a second, and so on."""
    if side < 32:
        raise ValueError(f"photographs: tiles of {side} px are too small; take 32 px or more")
    paths = _pictures(folder)
    turn = 0
    while paths:
        left = []
        for path in paths:
            # read again on every turn: the pictures of a folder may not fit into memory
            tile = _tile(_read(path, side), side, turn)
            if tile is not None:
                yield tile, path.relative_to(folder).as_posix()
                left.append(path)
        paths = left
        turn += 1


def _stacked(tiles: list[Image.Image], credits: list[str]) -> PhotoPack:
    pixels = torch.from_numpy(np.stack([np.asarray(tile) for tile in tiles]))
    return PhotoPack(pixels.permute(0, 3, 1, 2).contiguous(), tuple(credits))


# --- files -------------------------------------------------------------------------------------------------


def pack_photos(
    folder: str | Path,
    out: str | Path,
    *,
    size: int = TILE_PX,
    most_mb: float = MOST_MB,
    overwrite: bool = False,
) -> Path:
    """Pack a folder of photographs and all folders below it into one file.

    Of every photograph there is one tile that shows as much of it as a square can, and, where it is larger
    than that, tiles at its full resolution (three across its shorter side at most), until the file is full.
    Tiles are JPEG (quality 90, 4:4:4), which holds several times more of them than plain pixels. The name of
    its photograph, relative to ``folder``, is kept with every tile.

    Args:
        folder: pictures of any size; the smaller ones are enlarged to ``size``.
        out: the file to write, ``.safetensors``.
        size: side of the tiles in pixels, at least 32.
        most_mb: upper bound of the file, in 10^6 bytes.
        overwrite: replace an existing file.

    Raises:
        FileNotFoundError: no such folder, or no pictures in it.
        ValueError: a picture that cannot be read, no room for a single tile, or ``out`` cannot be written.
    """
    out, folder = check_output(out, (PACKED,), overwrite), Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of photographs; give another one")
    coded: list[bytes] = []
    credits: list[str] = []
    room = most_mb * 1e6 - 4096  # the header
    for tile, credit in _spread(folder, size):
        stream = io.BytesIO()
        tile.save(stream, "JPEG", quality=QUALITY, subsampling=0)
        room -= stream.getbuffer().nbytes + len(json.dumps(credit)) + 24
        if room < 0:
            break
        coded.append(stream.getvalue())
        credits.append(credit)
    if not coded:
        raise ValueError(
            f"{out}: {most_mb} MB hold not one tile of {size} px; allow more or take smaller ones"
        )
    tensors = {
        "jpeg": torch.from_numpy(np.frombuffer(b"".join(coded), dtype=np.uint8).copy()),
        "bytes": torch.tensor([len(one) for one in coded]),
    }
    with atomic_path(out) as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT, "credits": json.dumps(credits)})
    return out


def _unpack(path: Path) -> PhotoPack:
    remedy = "give a folder of photographs or a file made by pack_photos"
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"{path}: holds no photographs; {remedy}")
            coded, lengths = file.get_tensor("jpeg").numpy().tobytes(), file.get_tensor("bytes").tolist()
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); {remedy}") from None
    tiles, start = [], 0
    for length in lengths:
        with Image.open(io.BytesIO(coded[start : start + length])) as tile:
            tiles.append(tile.convert("RGB"))
        start += length
    return _stacked(tiles, json.loads(metadata["credits"]))


def load_photos(path: str | Path, *, size: int = TILE_PX, most_tiles: int = MOST_TILES) -> PhotoPack:
    """Photographs from a packed file, or straight from a folder.

    Args:
        path: a file made by `pack_photos`, or a folder of pictures (with those below it).
        size: side of the tiles of a folder in pixels; a file has its own.
        most_tiles: that many tiles of a folder at most, from as many photographs as possible.

    Raises:
        FileNotFoundError: no such file or folder, or a folder without pictures.
        ValueError: a file of another kind, or a picture that cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        tiles: list[Image.Image] = []
        credits: list[str] = []
        for tile, credit in _spread(path, size):
            if len(tiles) == most_tiles:
                break
            tiles.append(tile)
            credits.append(credit)
        return _stacked(tiles, credits)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such photographs; give a folder or a file made by pack_photos")
    return _unpack(path)

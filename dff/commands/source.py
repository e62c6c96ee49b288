"""The stack a command is given: its files, its name, its slices."""

from __future__ import annotations

from pathlib import Path

from dff.commands.options import Reading
from dff.formats.read import read_stack, slice_files
from dff.stack import FocalStack


def _given(options: Reading) -> tuple[str, ...]:
    if not options.stack:
        raise ValueError("no stack given; name a folder, two or more pictures, a multi-page TIFF or a video")
    return options.stack


def stack_files(options: Reading) -> list[Path]:
    """The picture files of the stack and its stack.toml: what must not be written over.

    Raises:
        FileNotFoundError, ValueError: as `read_stack`.
    """
    files, _, _ = slice_files(_given(options), series=not options.all_pictures)
    return files + [path for path in {file.parent / "stack.toml" for file in files} if path.is_file()]


def open_stack(options: Reading) -> FocalStack:
    """Read the stack as the options say."""
    return read_stack(
        _given(options),
        focus=options.focus,
        focus_unit=options.focus_unit,
        focus_from_names=options.focus_from_names,
        series=not options.all_pictures,
        every=options.every,
    )


def half_files(halves: tuple[str, str]) -> list[Path]:
    """The picture files of two halves.

    Raises:
        FileNotFoundError, ValueError: as `read_stack`.
    """
    return [file for half in halves for file in slice_files(half, series=True)[0]]


def open_halves(halves: tuple[str, str], stack: FocalStack) -> tuple[FocalStack, FocalStack]:
    """What the left and the right half of a dual-pixel sensor saw, far first, at the positions of ``stack``.

    Args:
        halves: of each, a folder or a glob, in the order of the stack's pictures.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: as `read_stack`; or another number or size of pictures than the stack's.
    """

    def opened(half: str) -> FocalStack:
        found = read_stack(half)
        if (len(found), found.width, found.height) != (len(stack), stack.width, stack.height):
            raise ValueError(
                f"--halves {half}: {len(found)} pictures of {found.width}x{found.height} px, and the stack "
                f"has {len(stack)} of {stack.width}x{stack.height}; give one of every slice, at its size"
            )
        return FocalStack(found.slices, stack.focus, z_um=stack.z_um, names=found.names).far_first()

    left, right = halves
    return opened(left), opened(right)


def stack_name(options: Reading, files: list[Path]) -> str:
    """A name for results that were given none: that of the folder, or of the one file."""
    first = Path(options.stack[0]).expanduser()
    whole = first.is_dir() or len(files) > 1
    place = (first if first.is_dir() else files[0].parent if whole else files[0]).resolve()
    return (place.name if whole else place.stem) or "stack"

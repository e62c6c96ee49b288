"""`dff info`: what is known of a stack before any work."""

from __future__ import annotations

from typing import Any

import numpy as np

from dff.commands.options import Info
from dff.commands.outputs import json_text
from dff.commands.source import open_stack
from dff.commands.telling import INDEX_NOTE, focus_m, position
from dff.commands.terminal import Terminal, table
from dff.stack import UNIT_WORDS, FocalStack


def info(options: Info) -> None:
    """Print what is known of the stack."""
    with Terminal(quiet=False, json=options.json).working() as terminal:
        stack = open_stack(options)
        told = describe(stack)
        told["warnings"] = list(terminal.warnings)
        if options.json:
            print(json_text(told), end="")
        else:
            terminal.say(*_lines(stack, told))


def describe(stack: FocalStack) -> dict[str, Any]:
    """JSON-able facts; ``breathing`` is the field of view of the widest slice over the narrowest."""
    pixels = stack.slices[0]
    bits = {"uint8": 8, "uint16": 16}.get(pixels.dtype.name)
    lens, fov, blur = stack.lens, None, None
    if lens is not None and stack.focus is not None and stack.focus.max() * lens.focal_length_m < 1:
        fov = float(lens.relative_fov(stack.focus).max())
        blur = float(abs(lens.coc_px(stack.focus.min(), stack.focus.max())))
    return {
        "slices": list(stack.names),
        "size": [stack.width, stack.height],
        "bit_depth": bits or "float",
        "colour": "grey" if pixels.ndim == 2 else "RGB",
        "unit": stack.unit,
        "unit_words": UNIT_WORDS[stack.unit],
        "positions": stack.positions,
        "focus_m": None if stack.focus is None else focus_m(stack.focus),
        "positions_from": stack.origin,
        "lens": None if lens is None else vars(lens),
        "breathing": fov,
        "largest_blur_px": blur,
        "exif": stack.exif is not None,
        "icc": stack.icc is not None,
    }


def _lines(stack: FocalStack, told: dict[str, Any]) -> list[str]:
    bits = told["bit_depth"]
    kept = " and ".join(word for word, there in (("EXIF", told["exif"]), ("ICC", told["icc"])) if there)
    lines = [
        f"pictures  {len(stack)} slices, {stack.width}x{stack.height} px, "
        f"{bits if bits == 'float' else f'{bits} bit'} {told['colour']}{', with ' + kept if kept else ''}",
    ]
    if stack.unit == "index":
        lines.append(f"focus     {INDEX_NOTE}")
    else:
        order = "far first" if np.all(np.diff(stack.positions) > 0) else "will be put far first"
        lines.append(f"focus     from {stack.origin}, in {told['unit_words']}; {order}")
    lens = stack.lens
    if lens is None:
        lines.append("lens      unknown: no breathing predicted, meshes come out as reliefs")
    else:
        lines.append(
            f"lens      {lens.focal_length_m * 1e3:.4g} mm f/{lens.f_number:.3g}, pixel pitch "
            f"{lens.pixel_pitch_m * 1e6:.3g} um, breathing {lens.breathing:.3g} of a thin lens"
        )
    if told["breathing"] is not None:
        lines.append(
            f"predicted field of view changes by {100 * (told['breathing'] - 1):.2f} %; blur up to "
            f"{told['largest_blur_px']:.1f} px"
        )
    if stack.unit == "index":
        return [*lines, "", *table(("slice", "index"), [(n, str(k)) for k, n in enumerate(stack.names)])]
    head = ("slice", "dioptre", "distance") if stack.unit == "dioptre" else ("slice", "height")
    rows = []
    for name, value in zip(stack.names, stack.positions.tolist(), strict=True):
        own = (f"{value:.4g}",) if stack.unit == "dioptre" else ()
        rows.append((name, *own, position(value, stack.unit)))
    return [*lines, "", *table(head, rows)]

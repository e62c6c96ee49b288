"""Training: `python -m dff.train --dataset NAME --out FOLDER`, by the recipe train/NAME.toml."""

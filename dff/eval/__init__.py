"""Benchmarks with their rivals, run as ``python -m dff.eval NAME``; the protocols are eval/NAME.toml."""

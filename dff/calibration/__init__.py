"""Measuring a camera: how defocus grows, how the picture breathes and drifts, what it says of distance."""

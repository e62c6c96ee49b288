"""Depth and alignment without learning: always available, and the bar for what is learned."""

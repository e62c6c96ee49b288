"""Closed-loop autofocus: policies that drive a lens, the lens, and reports of how they did."""

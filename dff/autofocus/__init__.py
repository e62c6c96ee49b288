"""Autofocus: which focal index brings a region into focus; losses, metrics, models and classical rivals."""

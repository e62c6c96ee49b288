"""Focal stacks with known truth: layered scenes, their optics, and the camera that takes them.

`layers` blurs and composites layers, `textures` and `procedural` make random scenes, `capture` turns a scene
into a `dff.stack.FocalStack` with every truth kept, `demo` is one scene worth looking at.
"""

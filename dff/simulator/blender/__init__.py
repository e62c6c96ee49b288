"""Path-traced scenes: Blender's Cycles, headless on the CPU, through the optional `bpy` module.

`random_scene` builds a scene, `passes` renders it all in focus or object by object, `thin_lens` slice by
slice through a real aperture, `light_field` from many places of the pupil, `reference` writes all of them
into one file.
Nothing here imports `bpy` before a function that needs it is called; without it a ValueError names the extra.

Blender holds one scene at a time for the whole process: making a scene drops the one before it.
"""

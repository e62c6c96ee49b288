"""Public data sets of focal stacks: one file each, all of them read as `dff.data.sample.DepthSample`.

``dff.data.catalogue.open_dataset(name, folder, split)`` opens any of them.
"""

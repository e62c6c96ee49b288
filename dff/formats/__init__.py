"""Read focal stacks; write depth maps, pictures and meshes."""

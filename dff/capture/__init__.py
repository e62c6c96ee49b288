"""All-in-focus capture: the camera decides which slices to take, in still and in moving scenes."""

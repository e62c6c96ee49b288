"""Networks: tensors in, tensors out. `network` alone knows all sizes."""

"""What is attacked: the model protocol, wrappers that hold, count, scale or speed up, and small architectures."""

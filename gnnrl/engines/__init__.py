"""Runtimes in which networks are built and timed: PyTorch, onnxruntime, OpenVINO, and those of users."""

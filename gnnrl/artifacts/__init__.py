"""Files of a pruned network: the saved result, ONNX, torch.export, and a patch for plain PyTorch."""

"""Networks for programs that know nothing of gnnrl: ONNX, torch.export, and plain PyTorch with a patch of widths."""

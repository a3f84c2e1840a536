"""One rule an operation: labels of the inputs in, labels of the outputs and the work of the operation out."""

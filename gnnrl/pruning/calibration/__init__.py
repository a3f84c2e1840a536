"""Statistics of the dense network on calibration data."""

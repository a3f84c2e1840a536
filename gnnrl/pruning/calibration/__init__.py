"""What the dense network computes on calibration data."""

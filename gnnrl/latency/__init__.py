"""Latency as a limit: layers measured alone as functions of their widths, and plans measured as whole networks."""

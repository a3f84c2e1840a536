"""From a module to a `Network`: export, labels, and probes of narrower copies."""

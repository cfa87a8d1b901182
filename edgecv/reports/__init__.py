"""Measured numbers: latency, memory and accuracy of a bundle's artifacts, and pages to read them on."""

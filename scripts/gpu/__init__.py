"""The parts of scripts/gpu-check, one file each."""

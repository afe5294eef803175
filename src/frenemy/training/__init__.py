"""Training: so far a loop good enough for the demonstration models."""

"""The number and its interval."""

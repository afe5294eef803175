"""The street door: parses, calls, prints."""

"""Toy problems with exact answers: one file a problem; each knows its formulas, its integrals and its own samples."""

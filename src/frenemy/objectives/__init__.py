"""What the perturber wants, seen on outputs only.

Each objective stands in its own file and may import `objective` (the protocol) and `surrogates` (the slopes).
"""

"""The search: from a model, a batch, a threat and an objective to the best points found.

Each attack stands in its own file and may import `attack` (the protocol), `best` (the running best of each example)
`active` (the rows in the forward pass) and `ascent` (the projected-ascent loop).
"""

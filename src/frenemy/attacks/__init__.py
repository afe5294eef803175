"""The search: from a model, a batch, a threat and an objective to the best points found."""

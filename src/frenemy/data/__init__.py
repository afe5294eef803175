"""What flows in: batches whose rows know their place in the data set, and the readers that fill them."""

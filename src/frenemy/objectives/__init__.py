"""What the perturber wants, seen on outputs only."""

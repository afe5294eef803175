"""What may be done to an input: balls and spheres cut by a box."""

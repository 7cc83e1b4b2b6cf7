"""A believable county with known truth."""

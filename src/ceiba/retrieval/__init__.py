"""Search: the beam down the trees."""

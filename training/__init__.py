"""From a store to a model, a map and its scores. The only floor that imports torch."""

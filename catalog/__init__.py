"""What, where, when: products, scenes, grids and matches. No pixels."""

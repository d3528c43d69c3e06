"""The products by family, one literal entry each; `catalog.products` lists them all."""

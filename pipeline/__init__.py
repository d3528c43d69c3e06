"""From a recipe to a published store: search, plan, build."""

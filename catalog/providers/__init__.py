"""Archives that answer a search with scenes."""

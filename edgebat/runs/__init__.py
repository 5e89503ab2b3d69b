"""One experiment: its recipe, its folder, its steps."""

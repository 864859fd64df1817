"""One module for each noun or family of commands; each has `register(root)`, which adds them."""

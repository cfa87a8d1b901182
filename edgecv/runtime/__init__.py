"""Board side: frame sources, engines, and the pipeline between them."""

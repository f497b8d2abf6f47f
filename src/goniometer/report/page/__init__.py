"""The page: composed as a value, then rendered with the templates, style and scripts beside it."""

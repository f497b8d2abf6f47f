"""`compare`: folders in, one report folder out. No training, no model."""

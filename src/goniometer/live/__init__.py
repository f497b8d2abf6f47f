"""An update while it trains: the LoRA of a live model, and its geometry."""

"""What changes do: a base with a delta on it, run and measured."""

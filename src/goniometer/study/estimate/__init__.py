"""What a study will take, before any of it is done: tokens, memory, disk, arithmetic, hours."""

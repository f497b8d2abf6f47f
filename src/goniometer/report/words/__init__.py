"""What a report says in sentences: the answer, what it rests on, and short texts beside a value."""

"""What a report reads out of results: who is who, what is floor and null, what differs.

Nothing here draws or words anything, and nothing loads Altair.
"""

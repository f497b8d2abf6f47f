"""A study's stages, in the order in which `goniometer.pipeline` calls them.

cells, plan: which runs a study makes. preflight, estimate: what cannot work, what it takes. stages,
warm_up: base and rollouts. trained, workers: the cells. scoring, matching, outcome: what they did.
"""

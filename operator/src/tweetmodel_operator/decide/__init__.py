"""Decides the next writes for a TweetModel: pure functions over frozen values, without clock, network and environment.

`next_writes.decide` plans the steps (`planning`), reconciles the first incomplete step with its Jobs (`attempts`,
`diagnosis`), records the result (`record`, `history`) and plans again until a step stays incomplete or all are
complete. Then it builds the status (`status_builder`), and suspends or deletes unneeded Jobs. `schedule` decides about
due times, `deletion` about the deletion of a TweetModel.
"""

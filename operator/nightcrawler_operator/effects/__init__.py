"""What the operator does for runs besides running them, in a queue and with workers of its own.

However slow or broken what they talk to is, no step waits for an effect. Effects do; only reconcilers write
status.
"""

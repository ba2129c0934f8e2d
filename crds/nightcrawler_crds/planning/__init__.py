"""What is expected of a run: what its steps get, where it may go, how long it takes, and what it costs.

Pure. The operator decides by it, and the facade answers with it when somebody asks.
"""

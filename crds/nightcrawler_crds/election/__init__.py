"""Which replica works: the Lease, who holds it, and what can be seen of the holder."""

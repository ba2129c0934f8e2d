"""Where and with what workflows run: Environments and ComputeProfiles; read only."""

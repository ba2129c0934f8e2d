"""Pure builders: what was decided → the objects as Kubernetes wants them."""

"""What a world simulates of OpenShift: each module says how the real thing behaves and does that."""

"""The first journey once, and once more: what every supported ansible-core must be able to do."""

"""Quay: its REST API and its registry, with an SQLite database of its own.

quay = Quay(directory, {"SUPER_USERS": ["quayadmin"], "FEATURE_USER_INITIALIZE": True}, backend="http://127.0.0.1:5001")
await quay.start()                      # as a Backend of the router: quay.handle
await quay.serve("127.0.0.1", 8080)     # or standalone

A kind of resource is a file with a ``Routes`` object; ``server.py`` lists them.
"""

from .server import RECORDED_COSTS, Costs, Quay

__all__ = ["RECORDED_COSTS", "Costs", "Quay"]

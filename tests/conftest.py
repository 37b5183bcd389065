"""Settings that all tests share."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Orders that the user keeps are neither read nor written; tests of the store name a folder of their own.
os.environ["GRAPHAX_ORDER_STORE"] = "off"

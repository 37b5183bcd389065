"""`alphagrad demo`: in a minute from a function to a picture and a comparison of speed."""

from .. import _require_train as _require_train
from .command import DEMO as DEMO

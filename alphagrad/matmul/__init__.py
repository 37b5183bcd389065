"""Fast matrix multiplication: bilinear schemes, exactly verified."""

from alphagrad.matmul._scheme import Scheme as Scheme
from alphagrad.matmul._scheme import SchemeError as SchemeError
from alphagrad.matmul._scheme import matmul_tensor as matmul_tensor
from alphagrad.matmul._scheme import standard as standard
from alphagrad.matmul._scheme import strassen as strassen
from alphagrad.matmul._scheme import winograd as winograd

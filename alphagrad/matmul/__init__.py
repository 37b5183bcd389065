"""Fast matrix multiplication: bilinear schemes, exactly verified."""

from alphagrad.matmul._lift import LiftError as LiftError
from alphagrad.matmul._lift import lift as lift
from alphagrad.matmul._multiply import multiply as multiply
from alphagrad.matmul._scheme import Scheme as Scheme
from alphagrad.matmul._scheme import SchemeError as SchemeError
from alphagrad.matmul._scheme import characteristic as characteristic
from alphagrad.matmul._scheme import matmul_tensor as matmul_tensor
from alphagrad.matmul._scheme import standard as standard
from alphagrad.matmul._scheme import strassen as strassen
from alphagrad.matmul._scheme import winograd as winograd
from alphagrad.matmul._search import FlipProgress as FlipProgress
from alphagrad.matmul._search import flip_search as flip_search
from alphagrad.matmul._search import lift_nearby as lift_nearby
from alphagrad.matmul._transform import canonical as canonical
from alphagrad.matmul._transform import change_basis as change_basis
from alphagrad.matmul._transform import concatenate as concatenate
from alphagrad.matmul._transform import direct_sum as direct_sum
from alphagrad.matmul._transform import equivalent as equivalent
from alphagrad.matmul._transform import extend as extend
from alphagrad.matmul._transform import kronecker as kronecker
from alphagrad.matmul._transform import project as project
from alphagrad.matmul._transform import rank_triples as rank_triples
from alphagrad.matmul._transform import reduce_modulo as reduce_modulo
from alphagrad.matmul._transform import rotate as rotate
from alphagrad.matmul._transform import transpose as transpose

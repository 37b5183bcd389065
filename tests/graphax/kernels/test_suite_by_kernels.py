"""The tests of jacve hold for kernels, wherever there is one.

    pytest -m slow tests/graphax/kernels/test_suite_by_kernels.py

runs files of tests once more with `kernels_everywhere`.
"""

import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
FILES = """
    activity api arguments contexts control custom_rules fallback found_by_programs gradients_alone identity
    jacve loops more_primitives registration returned_slices rules selections signatures
""".split()
#: Tests of what operations on arrays a Jacobian consists of, by file.
OF_ARRAYS = {
    "contexts": {  # names and lines of the user's operations
        "test_the_program_of_a_jacobian_says_what_that_of_the_function_says",
        "test_programs_inside_loops_and_branches_keep_their_surroundings",
        "test_compiled_operations_have_the_scopes_and_lines_of_the_user",
        "test_operations_of_the_package_have_no_lines_but_the_user_s",
    },
    "control": {"test_a_body_is_not_unrolled", "test_an_order_that_does_not_fit_the_body_is_refused"},
    "selections": {  # numbers of products
        "test_a_layer_under_vmap_stays_one_product_of_matrices",
        "test_matrices_are_finite_whatever_they_are_multiplied_by",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_the_tests_of_jacve_hold_for_kernels(name):
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=short", "-p", "kernels_everywhere"]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [*command, f"tests/graphax/test_{name}.py"],
        cwd=HERE.parents[2],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(r"\d+ passed", ran.stdout), ran.stdout + ran.stderr
    failed = set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", ran.stdout, re.MULTILINE))
    assert failed <= OF_ARRAYS.get(name, set()), ran.stdout

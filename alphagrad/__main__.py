"""`python -m alphagrad` is `alphagrad`."""

from .cli import program

if __name__ == "__main__":
    program()

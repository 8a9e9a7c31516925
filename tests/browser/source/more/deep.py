"""
# Deep

What is below the surface.
"""


class Deep:
    """
    ## The deep one

    It goes deeper than the others. This is a second sentence.
    """

    def __init__(self, d_model: int):
        self.d_model = d_model

    def __call__(self, x: float) -> float:
        # Half of it
        return x / 2 / self.d_model

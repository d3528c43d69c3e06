"""A simulated landscape, seen by simulated satellites: the outside world on one machine.

The landscape is vector shapes and smooth fields, so it can be sampled anywhere. Sensors look
at it through their own point spread, noise and misplacement; the truth does not. Nothing
here is ever warped: each scene samples the landscape on its own grid.
"""

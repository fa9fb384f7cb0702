"""Numbers of ours beside statsmodels'."""

import numpy as np

# statsmodels stops its optimiser at a gradient of 1e-9 per parameter; its variances are good to about this.
ESTIMATE = 2e-5


def close(ours, theirs, tolerance=ESTIMATE):
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    assert ours.shape == theirs.shape or ours.size == theirs.size == 0  # JSON has no (0, 0)
    ours = ours.reshape(theirs.shape)
    size = np.nan_to_num(np.abs(theirs)).max(initial=0.0)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * size)

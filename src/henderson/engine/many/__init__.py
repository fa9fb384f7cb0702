"""Many small likelihoods at once: one design, many responses, or many points, as array computations.

1. `components` takes a design apart into groups of effects that share no rows, and adds up those that look alike;
2. `likelihood` evaluates log-determinants, quadratic forms and their two derivatives for a batch of covariances, small
   components by pattern (`patterns`), large ones one by one (`dense`);
3. `numerics.newton` minimises a batch of functions;
4. `fits` puts them together: one design, many responses, each with its own optimum.

Arrays have the batch last, so that each operation on small matrices runs over contiguous memory; in `dense` first.
"""

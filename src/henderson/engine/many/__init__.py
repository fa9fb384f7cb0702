"""Many small likelihoods at once: one design, many responses, or many points, as array computations.

1. `components` takes a design apart into groups of effects that share no rows, and adds up those that look alike;
2. `pieces` evaluates log-determinants, quadratic forms and their two derivatives for a batch of covariances: small
   components by pattern (`small_components`) or, where few are alike, by scores (`unlike_components`), large ones one
   by one (`large_components`); each gives the `sums` of its kind;
3. `numerics.newton` minimises a batch of functions, in `coordinates` of a root of the covariance;
4. `fits` puts them together: one design, many responses, each with its own optimum, and `elsewhere` looks for others;
5. `draws` makes responses and `refits` fits them; `deleted` takes rows out of the sums, `deletions` fits what is left.

Arrays have the batch last, so that each operation on small matrices runs over contiguous memory; those of large
components have it first.
"""

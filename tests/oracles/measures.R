# R^2, intraclass correlations, conditional AIC, effective degrees of freedom for models of common.R: measures.json.gz.
# From performance (Nakagawa, Johnson), cAIC4 (Greven and Kneib) and lme4. See README.md beside this file.

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))

ids <- c("sleepstudy", "sleepstudy-ml", "sleepstudy-uncorrelated", "sleepstudy-intercept", "dyestuff", "dyestuff2", "pastes", "penicillin",
         "cake", "oats", "crossed", "crossed-slope", "machines-nested", "ancova", "flat")

nakagawa <- function(m) attempt({
  r <- performance::r2_nakagawa(m, tolerance = 1e-12)
  list(conditional = one(unname(r$R2_conditional)), marginal = one(unname(r$R2_marginal)))
})
icc <- function(m) attempt({
  a <- performance::icc(m, tolerance = 1e-12)
  by <- attempt(performance::icc(m, by_group = TRUE, tolerance = 1e-12))
  list(adjusted = one(a$ICC_adjusted), unadjusted = one(a$ICC_unadjusted),
       by_group = if (is.null(by$error)) list(group = by$Group, icc = by$ICC) else by)
})
# Nakagawa and Schielzeth with Johnson's slopes, from the definition: the variance of the fixed part, and the mean over the
# rows of diag(Z G Z'). The package leaves a term of `||` out.
definition <- function(m) {
  zl <- t(getME(m, "Lambdat") %*% getME(m, "Zt"))
  random <- sigma(m)^2 * sum(zl^2) / nobs(m)
  fixed <- var(drop(getME(m, "X") %*% fixef(m)))
  total <- fixed + random + sigma(m)^2
  list(fixed = one(fixed), random = one(random), residual = one(sigma(m)^2), marginal = one(fixed / total),
       conditional = one((fixed + random) / total), icc_adjusted = one(random / (random + sigma(m)^2)))
}
conditional_aic <- function(m) attempt({
  a <- cAIC4::cAIC(m, analytic = TRUE)
  list(caic = one(a$caic), df = one(a$df), loglik = one(a$loglikelihood), dropped = one(isTRUE(a$new)))
})

record <- function(case) {
  m <- fitted_model(case)
  plain <- as(m, "lmerMod")
  n <- nobs(m)
  k <- attr(logLik(m), "df")
  list(r2 = nakagawa(plain), icc = icc(plain), caic = conditional_aic(plain), trace_hat = one(sum(hatvalues(m))),
       aic = one(AIC(m)), bic = one(BIC(m)), npar = one(k), aicc = one(AIC(m) + 2 * k * (k + 1) / (n - k - 1)),
       definition = definition(m))
}

write_listing("measures", ids, record, c("lme4", "performance", "insight", "cAIC4"))

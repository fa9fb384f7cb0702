# Reduced rank (rr) and factor-analytic random effects: glmmTMB's rr(), from its two kinds of start, the lower of both.
# fa() is not there: with a row for each trait and occasion it is rr() + diag() of the same factor.
# Rscript factors.R > factors.json
suppressMessages({library(glmmTMB); library(jsonlite)})
set.seed(7)
n_g <- 50; q <- 6; n <- 900
loading <- cbind(c(.9, .8, .7, .2, .5, .4), c(0, .3, -.4, .8, .5, -.6))
b <- matrix(rnorm(n_g * 2), n_g) %*% t(loading) + matrix(rnorm(n_g * q), n_g) %*% diag(c(.5, .6, .4, .5, .5, .6))
d <- data.frame(g = sample(n_g, n, TRUE), k = sample(q, n, TRUE), h = sample(9, n, TRUE))
d$y <- round(0.3 * d$k + b[cbind(d$g, d$k)] + .4 * rnorm(9)[d$h] + .6 * rnorm(n), 4)
d$trait <- paste0("t", d$k); d$k <- NULL
data <- as.list(d)
d$g <- factor(d$g); d$h <- factor(d$h)
best <- function(formula, reml, disp = ~1) {
  fits <- lapply(list("res", NULL), function(start) suppressWarnings(glmmTMB(formula, d, REML = reml, dispformula = disp,
    control = glmmTMBControl(start_method = list(method = start), optCtrl = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-12)))))
  value <- sapply(fits, function(m) as.numeric(logLik(m)))
  fits[[which.max(ifelse(is.na(value), -Inf, value))]]
}
bars <- c("rr(0 + trait | g, 1)", "rr(0 + trait | g, 2)", "rr(0 + trait | g, 3)", "rr(0 + trait | g, 2) + (1 | h)",
          "rr(0 + trait | g, 1) + diag(0 + trait | g)", "rr(0 + trait | g, 2) + diag(0 + trait | g)")
cases <- do.call(c, lapply(bars, function(bar) lapply(c(TRUE, FALSE), function(reml) {
  m <- best(as.formula(paste("y ~ trait +", bar)), reml)
  groups <- VarCorr(m)$cond
  list(bar = bar, reml = reml, deviance = -2 * as.numeric(logLik(m)), df = attr(logLik(m), "df"),
       fixef = unname(fixef(m)$cond), sigma = sigma(m),
       cov = lapply(unname(groups), function(one) matrix(as.numeric(one), nrow(one))))
})))
# a residual variance for each trait: dispformula
strata <- lapply(bars[c(1, 2, 3, 5)], function(bar) {
  m <- best(as.formula(paste("y ~ trait +", bar)), FALSE, ~trait)
  list(bar = bar, deviance = -2 * as.numeric(logLik(m)), df = attr(logLik(m), "df"), fixef = unname(fixef(m)$cond))
})
cat(toJSON(list(versions = list(glmmTMB = as.character(packageVersion("glmmTMB"))), data = data, cases = cases, strata = strata),
           digits = 12, auto_unbox = TRUE))

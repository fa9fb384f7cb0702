# lmerTest's and pbkrtest's tables for the models of common.R: inference.json.gz. See README.md beside this file.
#
#   Rscript inference.R                all cases
#   ORACLE_PARTS=<folder> Rscript inference.R id [id ...]    only these; the others from an earlier run in that folder

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))
source(file.path(here, "definitions.R"))

both <- c(satterthwaite = "Satterthwaite", `kenward-roger` = "Kenward-Roger")
by_ddf <- function(model, f) { # Kenward-Roger only for REML fits: pbkrtest refuses the others
  lapply(both[if (isREML(model)) 1:2 else 1], function(ddf) attempt(f(ddf)))
}

# ---- the fit --------------------------------------------------------------------------------------------------------

fit_section <- function(m) {
  vc <- as.data.frame(VarCorr(m))
  list(deviance = one(if (isREML(m)) REMLcrit(m) else -2 * as.numeric(logLik(m))), loglik = one(as.numeric(logLik(m))),
       theta = unname(getME(m, "theta")), sigma = one(sigma(m)), fixef = named(fixef(m)), vcov = unname(as.matrix(vcov(m))),
       varcorr = as.list(vc), singular = one(isSingular(m, tol = 1e-4)), aic = one(AIC(m)), bic = one(BIC(m)), nobs = one(nobs(m)))
}

# ---- coefficients -----------------------------------------------------------------------------------------------------

coefficient_section <- function(m) {
  by_ddf(m, function(ddf) {
    table <- coef(summary(m, ddf = ddf))
    limits <- if (ddf == "Satterthwaite") confint(m, method = "Wald", parm = "beta_") else NULL
    list(names = rownames(table), estimate = unname(table[, 1]), se = unname(table[, 2]), df = unname(table[, 3]),
         statistic = unname(table[, 4]), p = unname(table[, 5]), wald_z = unname(limits))
  })
}

# What pbkrtest gives: adjusted covariance, and what the definitions give at lme4's optimum (definitions.R).
kenward_roger_section <- function(m) attempt(list(vcov = unname(as.matrix(pbkrtest::vcovAdj(m)))))

contrasts_of <- function(m) { # fixed L matrices: pseudo-random, with one row, two rows, all but the first, dependent rows
  p <- length(fixef(m))
  set.seed(7)
  draw <- function(k) matrix(round(rnorm(k * p), 2), k)
  out <- list(one = draw(1))
  if (p > 1) out$all <- diag(p)[-1, , drop = FALSE]
  if (p > 2) out$two <- draw(2)
  if (p > 3) out$three <- draw(3)
  out
}

contrast_section <- function(m, d) {
  lapply(contrasts_of(m), function(L) {
    tests <- by_ddf(m, function(ddf) {
      t <- contest(m, L, joint = TRUE, ddf = ddf)
      list(num_df = one(t$NumDF), den_df = one(t$DenDF), F = one(t$`F value`), p = one(t$`Pr(>F)`))
    })
    if (nrow(L) == 1) tests$t <- by_ddf(m, function(ddf) {
      t <- contest1D(m, drop(L), ddf = ddf, confint = TRUE)
      list(estimate = one(t$Estimate), se = one(t$`Std. Error`), df = one(t$df), statistic = one(t$`t value`),
           lower = one(t$lower), upper = one(t$upper), p = one(t$`Pr(>|t|)`))
    })
    exact <- if (is.null(d)) NULL else list(satterthwaite = attempt(lapply(satterthwaite_f(d, L), one)),
                                            `kenward-roger` = attempt(lapply(kenward_roger_f(d, L), one)))
    list(L = unname(L), lmerTest = tests, definition = exact)
  })
}

definition_section <- function(m, d) {
  if (is.null(d)) return(NULL)
  p <- length(d$beta)
  rows <- lapply(seq_len(p), function(k) diag(p)[k, ])
  list(s = d$s, observed_information = unname(d$observed), expected_information = unname(d$expected),
       vcov_adjusted = unname(d$adjusted),
       satterthwaite_df = attempt(vapply(rows, function(l) satterthwaite_df(d, l), 0)),
       kenward_roger_df = attempt(vapply(rows, function(l) kenward_roger_f(d, t(l))$den_df, 0)))
}

# ---- analysis of variance -----------------------------------------------------------------------------------------------

anova_section <- function(m) {
  types <- c(`1` = "1", `2` = "2", `3` = "3")
  if (length(fixef(m)) < 2) return(NULL)
  lapply(types, function(type) by_ddf(m, function(ddf) {
    t <- anova(m, type = type, ddf = ddf)
    list(term = rownames(t), sum_sq = t$`Sum Sq`, mean_sq = t$`Mean Sq`, num_df = t$NumDF, den_df = t$DenDF,
         F = t$`F value`, p = t$`Pr(>F)`)
  }))
}

drop1_section <- function(m) {
  if (length(fixef(m)) < 2) return(NULL)
  by_ddf(m, function(ddf) {
    t <- as.data.frame(drop1(m, ddf = ddf))
    list(term = rownames(t), num_df = t$NumDF, den_df = t$DenDF, F = t$`F value`, p = t$`Pr(>F)`)
  })
}

ranova_section <- function(m) attempt({
  t <- as.data.frame(ranova(m))
  list(term = rownames(t), npar = t$npar, loglik = t$logLik, aic = t$AIC, lrt = t$LRT, df = t$Df, p = t$`Pr(>Chisq)`)
})

# ---- one case -----------------------------------------------------------------------------------------------------------

record <- function(case) {
  m <- fitted_model(case)
  d <- if (nobs(m) > 1000) NULL else attempt(definition(m))
  if (!is.null(d$error)) d <- NULL
  list(fit = fit_section(m), coefficients = coefficient_section(m), kenward_roger = kenward_roger_section(m),
       definition = definition_section(m, d), contrasts = contrast_section(m, d), anova = anova_section(m),
       drop1 = drop1_section(m), ranova = ranova_section(m))
}

write_listing("inference", names(cases), record, c("lme4", "lmerTest", "pbkrtest", "numDeriv", "nlme", "mlmRev"))

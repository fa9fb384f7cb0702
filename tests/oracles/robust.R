# Cluster-robust covariances and tests of clubSandwich for models of common.R: robust.json.gz. See README.md beside this file.

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(clubSandwich))

ids <- c("sleepstudy", "sleepstudy-uncorrelated", "sleepstudy-intercept", "cake", "cake-temp", "oats", "oats-linear", "machines-slope",
         "machines-nested", "weighted", "weighted-intercept", "ancova", "quadratic", "factorial-main", "crossed", "flat", "sleepstudy-ml")

one_kind <- function(m, kind) attempt({
  v <- vcovCR(m, type = kind)
  t <- lapply(c(satterthwaite = "Satterthwaite", z = "z", naive = "naive-t"), function(test) attempt({
    d <- as.data.frame(coef_test(m, vcov = v, test = test))
    list(names = rownames(d), estimate = d$beta, se = d$SE, statistic = d$tstat,
         df = if (is.null(d$df_Satt)) d$df else d$df_Satt, p = d[[ncol(d)]])
  }))
  p <- length(fixef(m))
  wald <- if (p < 3) NULL else attempt({
    w <- as.data.frame(Wald_test(m, constraints = constrain_zero(2:p), vcov = v, test = "HTZ"))
    list(F = one(w$Fstat), num_df = one(w$df_num), den_df = one(w$df_denom), p = one(w$p_val))
  })
  list(vcov = unname(as.matrix(v)), tests = t, wald_all_but_first = wald)
})

record <- function(case) {
  m <- as(fitted_model(case), "lmerMod")
  lapply(setNames(nm = c("CR0", "CR1", "CR1S", "CR2", "CR3")), function(kind) one_kind(m, kind))
}

write_listing("robust", ids, record, c("lme4", "clubSandwich"))

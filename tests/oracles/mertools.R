# Intervals of merTools' predictInterval by 20,000 simulations: mertools.json. See README.md beside this file.
#
#   Rscript mertools.R

suppressPackageStartupMessages({
  library(lme4)
  library(merTools)
  library(jsonlite)
})
options(warn = -1) # "sequentially: no parallel backend"
here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))))
tight <- lmerControl(optCtrl = list(xtol_abs = 1e-12, ftol_abs = 1e-12))
models <- list(
  list("sleepstudy", sleepstudy, "Reaction ~ Days + (Days | Subject)", c(1, 5, 34, 100, 180)),
  list("Penicillin", Penicillin, "diameter ~ 1 + (1 | plate) + (1 | sample)", c(1, 20, 77, 144)),
  list("Dyestuff", Dyestuff, "Yield ~ 1 + (1 | Batch)", c(1, 8, 15, 30))
)
cases <- lapply(models, function(one) {
  m <- lmer(as.formula(one[[3]]), one[[2]], control = tight)
  at <- one[[2]][one[[4]], ]
  asked <- function(residual) {
    as.list(predictInterval(m, at, level = 0.95, n.sims = 2e4, stat = "mean", which = "full", include.resid.var = residual, seed = 1))
  }
  list(data = one[[1]], formula = one[[3]], rows = one[[4]] - 1, mean = asked(FALSE), observation = asked(TRUE))
})
versions <- list(R = R.version.string, lme4 = as.character(packageVersion("lme4")), merTools = as.character(packageVersion("merTools")))
writeLines(toJSON(list(versions = versions, cases = cases), digits = 8, auto_unbox = TRUE), file.path(here, "mertools.json"))

# What broom.mixed says of three fits: broom.json. See README.md beside this file.
#
#   Rscript broom.R

suppressPackageStartupMessages({
  library(lme4)
  library(lmerTest)
  library(broom.mixed)
  library(jsonlite)
})
here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))))
models <- list(
  list("sleepstudy", "Reaction ~ Days + (Days | Subject)", TRUE),
  list("sleepstudy", "Reaction ~ Days + (Days || Subject)", TRUE),
  list("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", FALSE)
)
tight <- lmerControl(optCtrl = list(xtol_abs = 1e-12, ftol_abs = 1e-12))
cases <- lapply(models, function(one) {
  fit <- suppressMessages(lmerTest::lmer(as.formula(one[[2]]), get(one[[1]]), REML = one[[3]], control = tight))
  values <- as.data.frame(tidy(fit, effects = "ran_vals", conf.int = TRUE))
  coefs <- as.data.frame(tidy(fit, effects = "ran_coefs"))
  list(data = one[[1]], formula = one[[2]], reml = one[[3]], tidy = as.data.frame(tidy(fit, conf.int = TRUE)),
       ran_vals = values[order(values$group, values$term, values$level), ],
       ran_coefs = coefs[order(coefs$group, coefs$term, coefs$level), ],
       glance = as.data.frame(glance(fit)), augment = as.data.frame(augment(fit))[1:5, ])
})
versions <- c(R = R.version.string, lme4 = as.character(packageVersion("lme4")), broom.mixed = as.character(packageVersion("broom.mixed")))
writeLines(toJSON(list(versions = as.list(versions), cases = cases), digits = 10, na = "null", dataframe = "columns",
                  auto_unbox = TRUE), file.path(here, "broom.json"))

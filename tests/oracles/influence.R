# Models of common.R fitted again without each level of a factor, or without each of some rows: influence.json.gz.
# Also lme4's leverages, its scaled Pearson residuals, and its influence() measures. See README.md beside this file.

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))

# case -> what is left out: factors whose levels are, one by one; "rows": every fifth row
deleted <- list(
  sleepstudy = c("Subject", "rows"), `sleepstudy-ml` = "Subject", `sleepstudy-uncorrelated` = "Subject",
  dyestuff = c("Batch", "rows"), pastes = c("batch", "rows"), penicillin = c("sample", "plate", "rows"),
  cake = "temperature", oats = "Block", crossed = c("subj", "item", "rows"), `crossed-slope` = "item",
  `weighted-intercept` = c("g", "rows"), weighted = "g", flat = "g"
)

estimates <- function(m) {
  vc <- as.data.frame(VarCorr(m))
  list(fixef = named(fixef(m)), vcov = unname(as.matrix(vcov(m))), sigma = one(sigma(m)),
       varcov = list(group = vc$grp, var1 = vc$var1, var2 = vc$var2, value = vc$vcov),
       deviance = one(if (isREML(m)) REMLcrit(m) else -2 * as.numeric(logLik(m))), nobs = one(nobs(m)))
}

without <- function(case, keep) {
  d <- tables[[case$data]][keep, ]
  assign(case$data, d, globalenv())
  arguments <- list(formula = as.formula(case$formula, env = globalenv()), data = as.name(case$data), REML = case$reml,
                    control = quote(control))
  if (!is.null(case$weights)) arguments$weights <- as.name(case$weights)
  estimates(suppressMessages(tight_fit(arguments, c("nlopt", "bobyqa"))$model))
}

one_by_one <- function(case, by) {
  d <- tables[[case$data]]
  if (by == "rows") {
    rows <- seq(1, nrow(d), by = 5)
    return(list(by = one("rows"), rows = rows - 1, fits = lapply(rows, function(i) without(case, -i))))
  }
  levels <- levels(factor(d[[by]]))
  list(by = one(by), levels = levels, fits = lapply(levels, function(l) without(case, d[[by]] != l)))
}

lme4_measures <- function(m, by) attempt({ # its refits stop at 1e-4 or so
  i <- influence(as(m, "lmerMod"), groups = by)
  list(by = one(by), cooks = unname(cooks.distance(i)), dfbetas = unname(as.matrix(dfbetas(i))))
})

record <- function(case) {
  m <- fitted_model(case)
  plain <- as(m, "lmerMod")
  by <- deleted[[case$id]]
  out <- list(whole = estimates(m), hat = unname(hatvalues(plain)),
              pearson = unname(residuals(plain, type = "pearson", scaled = TRUE)),
              lme4 = if (case$id == "sleepstudy") lme4_measures(m, "Subject") else NULL)
  c(out, list(without = lapply(by, function(b) one_by_one(case, b))))
}

write_listing("influence", names(deleted), record, c("lme4"))

# nlme's Oxboys and ergoStool, whose residual variance beside correlated effects, one to a row, is zero: the
# models without it, fitted by gls: vanishing.json. See README.md.
#
#   Rscript vanishing.R > vanishing.json

suppressPackageStartupMessages({ library(nlme); library(jsonlite) })

of <- function(name) {
  d <- as.data.frame(get(data(list = name, package = "nlme", envir = environment()), envir = environment()))
  for (v in names(d)) if (is.factor(d[[v]])) d[[v]] <- factor(as.character(d[[v]]))
  d
}
tables <- list(Oxboys = of("Oxboys"), ergoStool = of("ergoStool"))
tables$Oxboys$visit <- as.integer(tables$Oxboys$Occasion)
tables$ergoStool$visit <- as.integer(substr(tables$ergoStool$Type, 2, 2))
tight <- glsControl(maxIter = 500, msMaxIter = 500, tolerance = 1e-12, msTol = 1e-13, opt = "nlminb")

case <- function(data, fixed, bars, correlation, weights, reml) {
  m <- gls(as.formula(fixed), tables[[data]], correlation = correlation, weights = weights,
           method = if (reml) "REML" else "ML", control = tight)
  s <- summary(m)$tTable
  list(data = data, formula = paste(fixed, "+", bars), reml = reml, deviance = -2 * as.numeric(logLik(m)), sd = m$sigma,
       correlation = as.numeric(coef(m$modelStruct$corStruct, unconstrained = FALSE)),
       estimate = unname(s[, 1]), se = unname(s[, 2]))
}
cases <- list()
for (reml in c(TRUE, FALSE)) cases <- c(cases, list(
  case("Oxboys", "height ~ age", "ar1(0 + visit | Subject)", corAR1(0.9, ~ visit | Subject), NULL, reml),
  case("Oxboys", "height ~ age", "cs(0 + visit | Subject)", corCompSymm(0.9, ~ visit | Subject),
       varIdent(form = ~ 1 | visit), reml),
  case("ergoStool", "effort ~ Type", "ar1(0 + visit | Subject)", corAR1(0.2, ~ visit | Subject), NULL, reml)))
cat(toJSON(list(versions = list(R = paste(R.version$major, R.version$minor, sep = "."), nlme = as.character(packageVersion("nlme"))),
                levels = setNames(list(), character(0)), data = tables, cases = cases), auto_unbox = TRUE, digits = NA, null = "null", dataframe = "columns"), "\n")

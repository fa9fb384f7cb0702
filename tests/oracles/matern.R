# Matern's covariance of the residuals of a series: glmmTMB's mat() with dispformula = ~ 0. -> matern.json
# glmmTMB's theta are log sd, log range, log smoothness, those of henderson's sp_mat.

suppressPackageStartupMessages({
  library(glmmTMB)
  library(jsonlite)
})
options(digits = 17, contrasts = c("contr.treatment", "contr.treatment"), warn = 1)
script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
here <- dirname(normalizePath(script))

set.seed(19)
matern <- function(d, range, nu) ifelse(d == 0, 1, 2^(1 - nu) / gamma(nu) * (d / range)^nu * besselK(d / range, nu))
plots <- do.call(rbind, lapply(1:16, function(field) {
  east <- round(runif(8, 0, 6), 2)
  north <- round(runif(8, 0, 6), 2)
  S <- 4 * matern(as.matrix(dist(cbind(east, north))), 1.5, 0.8)
  x <- round(rnorm(8), 3)
  data.frame(field = sprintf("f%02d", field), east, north, x, y = round(5 + 0.4 * x + drop(crossprod(chol(S), rnorm(8))), 3))
}))
plots$field <- factor(plots$field)
plots$where <- numFactor(plots$east, plots$north)

cases <- lapply(c(TRUE, FALSE), function(reml) {
  m <- glmmTMB(y ~ x + mat(where + 0 | field), dispformula = ~ 0, data = plots, REML = reml,
               start = list(theta = c(0.7, 0.4, -0.2)),
               control = glmmTMBControl(optCtrl = list(iter.max = 2000, eval.max = 3000, rel.tol = 1e-11)))
  stopifnot(m$fit$convergence == 0)
  list(id = if (reml) "reml" else "ml", formula = "y ~ x", residual = "sp_mat(east, north | field)", reml = reml,
       deviance = -2 * as.numeric(logLik(m)), fixef = as.list(fixef(m)$cond), theta = exp(getME(m, "theta")))
})
versions <- list(R = as.character(getRversion()), glmmTMB = as.character(packageVersion("glmmTMB")))
plots$where <- NULL
plots$field <- as.character(plots$field)
write_json(list(versions = versions, data = list(plots = as.list(plots)), cases = cases),
           file.path(here, "matern.json"), digits = NA, auto_unbox = TRUE)
for (case in cases) cat(case$id, format(case$deviance, digits = 12), format(case$theta, digits = 8), "\n")

# Profiles and intervals of lme4, rePCA and likelihood-ratio tests for models of common.R: intervals.json.gz. See README.md.
#
#   Rscript intervals.R                all cases
#   ORACLE_PARTS=<folder> Rscript intervals.R id [id ...]    only these; the others from an earlier run in that folder
#
# lme4 profiles the ML deviance, also of a model fitted by REML. `zeta` holds points of the profile itself: free of the
# spline that turns them into limits. lme4's profile of a fixed effect is wrong under prior weights (its spline fails): for
# those cases `fixed_limits` refits lme4 by ML with one coefficient held, and finds the limits as roots.

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))

limits <- function(ci) list(names = rownames(ci), lower = unname(ci[, 1]), upper = unname(ci[, 2]))

zeta_points <- function(profile) { # per parameter: its values and the signed root of the deviance difference
  lapply(split(as.data.frame(profile), profile$.par), function(d) {
    d <- d[is.finite(d$.zeta), ]
    list(value = d[[as.character(d$.par[1])]], zeta = d$.zeta)
  })
}

profile_section <- function(m) attempt({
  p <- suppressWarnings(profile(m, signames = FALSE, delta.cutoff = 1 / 16))
  signed <- attempt(suppressWarnings(rownames(confint(m, method = "Wald", signames = TRUE))))
  list(levels = lapply(c(`0.95` = 0.95, `0.99` = 0.99, `0.8` = 0.8), function(level) attempt(limits(confint(p, level = level)))),
       signed_names = signed, zeta = zeta_points(p))
})

fixed_limits <- function(case, m, level = 0.95) {
  X <- getME(m, "X")
  bars <- Reduce(function(a, b) call("+", a, b), lapply(findbars(as.formula(case$formula)), function(b) call("(", b)))
  data <- tables[[case$data]]
  criterion <- function(y, columns) {
    data$.y <- y
    data$.X <- columns
    formula <- as.formula(call("~", quote(.y), call("+", quote(0 + .X), bars)))
    arguments <- list(formula = formula, data = data, REML = FALSE, control = control)
    if (!is.null(case$weights)) arguments$weights <- as.name(case$weights)
    -2 * as.numeric(logLik(suppressMessages(tight_fit(arguments, "nlopt")$model)))
  }
  y <- getME(m, "y")
  best <- criterion(y, X)
  reach <- qchisq(level, 1)
  side <- function(j, sign) {
    width <- sqrt(vcov(m)[j, j])
    excess <- function(t) criterion(y - (fixef(m)[[j]] + sign * t) * X[, j], X[, -j, drop = FALSE]) - best - reach
    fixef(m)[[j]] + sign * uniroot(excess, c(width, 4 * width), extendInt = "upX", tol = 1e-9)$root
  }
  list(names = colnames(X), lower = vapply(seq_len(ncol(X)), side, 0, sign = -1), upper = vapply(seq_len(ncol(X)), side, 0, sign = 1))
}

pca_section <- function(m) attempt(lapply(summary(rePCA(m)), function(s) {
  list(sdev = unname(s$sdev), proportion = unname(s$sdev^2 / sum(s$sdev^2)))
}))

ids <- c("sleepstudy", "sleepstudy-ml", "sleepstudy-uncorrelated", "sleepstudy-intercept", "dyestuff", "dyestuff2", "pastes",
         "penicillin", "cake-temp", "oats-linear", "flat", "machines-nested", "weighted", "weighted-intercept", "crossed-slope", "ancova",
         "machines-slope")
record <- function(case) {
  m <- fitted_model(case)
  held <- if (length(fixef(m)) > 1 && nobs(m) < 200) attempt(fixed_limits(case, m)) else NULL
  profile <- if (is.null(case$weights)) profile_section(m) else NULL
  list(wald = limits(confint(m, method = "Wald")), profile = profile, fixed_limits = held, repca = pca_section(m))
}

write_listing("intervals", ids, record, c("lme4", "nlme"))

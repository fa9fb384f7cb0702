# Comparisons of models: likelihood ratios (lme4), Kenward-Roger and parametric bootstrap (pbkrtest), exact restricted
# likelihood ratio (RLRsim): comparisons.json.gz. See README.md beside this file.

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))

# small and large: formulas; fixed: they differ in fixed effects only (Kenward-Roger applies).
pair <- function(id, data, small, large, fixed, weights = NULL) {
  list(id = id, data = data, small = small, large = large, fixed = fixed, weights = weights)
}
pairs <- list(
  pair("sleepstudy-slope", "sleepstudy", "Reaction ~ Days + (1 | Subject)", "Reaction ~ Days + (Days | Subject)", FALSE),
  pair("sleepstudy-correlation", "sleepstudy", "Reaction ~ Days + (Days || Subject)", "Reaction ~ Days + (Days | Subject)", FALSE),
  pair("sleepstudy-days", "sleepstudy", "Reaction ~ 1 + (Days | Subject)", "Reaction ~ Days + (Days | Subject)", TRUE),
  pair("cake-temperature", "cake", "angle ~ recipe + temp + (1 | recipe:replicate)", "angle ~ recipe + temperature + (1 | recipe:replicate)", TRUE),
  pair("cake-interaction", "cake", "angle ~ recipe + temperature + (1 | recipe:replicate)", "angle ~ recipe * temperature + (1 | recipe:replicate)", TRUE),
  pair("oats-variety", "oats", "yield ~ N + (1 | Block/Variety)", "yield ~ N * Variety + (1 | Block/Variety)", TRUE),
  pair("crossed-interaction", "crossed", "y ~ A + B + (1 | subj) + (1 | item)", "y ~ A * B + (1 | subj) + (1 | item)", TRUE),
  pair("pastes-batch", "Pastes", "strength ~ 1 + (1 | batch:cask)", "strength ~ 1 + (1 | batch/cask)", FALSE),
  pair("weighted-f", "weighted", "y ~ x + (1 | g)", "y ~ f + x + (1 | g)", TRUE, "w")
)

likelihood_ratio <- function(a, b, refit) {
  t <- as.data.frame(suppressMessages(anova(a, b, refit = refit)))
  list(npar = t$npar, aic = t$AIC, bic = t$BIC, loglik = t$logLik, deviance = t$deviance, chisq = t$Chisq, df = t$Df, p = t$`Pr(>Chisq)`)
}

record <- function(p) {
  as_case <- function(formula) list(data = p$data, formula = formula, reml = TRUE, weights = p$weights)
  a <- fitted_model(as_case(p$small))
  b <- fitted_model(as_case(p$large))
  out <- list(id = one(p$id), data = one(p$data), small = one(p$small), large = one(p$large),
              weights = if (is.null(p$weights)) NULL else one(p$weights),
              ml = likelihood_ratio(a, b, TRUE), reml = if (p$fixed) NULL else likelihood_ratio(a, b, FALSE))
  if (p$fixed && is.null(p$weights)) {
    out$kenward_roger <- lapply(as.list(pbkrtest::KRmodcomp(b, a)$test["Ftest", c("stat", "ndf", "ddf", "F.scaling", "p.value")]), one)
    set.seed(1)
    boot <- pbkrtest::PBmodcomp(b, a, nsim = 1000)
    out$bootstrap <- list(p = one(boot$test["PBtest", "p.value"]), nsim = one(1000))
  }
  out
}

make_weak <- function() { # a variance that is hardly there
  set.seed(41)
  k <- rep(1:8, times = c(3, 4, 5, 5, 6, 7, 8, 9))
  x <- round(rnorm(length(k)), 3)
  factors(data.frame(y = round(2 + x + rnorm(8, 0, 0.55)[k] + rnorm(length(k)), 4), x = x, g = label("g", k)), "g")
}
tables$weak <- make_weak()

# Exact test of one variance: statistic, and p by simulation from its exact null distribution (standard error below 0.0016).
exact_tests <- function() {
  m <- function(id) fitted_model(cases[[id]])
  tight <- function(data, formula, reml = TRUE) fitted_model(list(data = data, formula = formula, reml = reml, weights = NULL))
  run <- function(id, test) {
    r <- test
    list(id = one(id), statistic = one(unname(r$statistic)), p = one(r$p.value), nsim = one(100000))
  }
  nsim <- 100000
  slope <- tight("sleepstudy", "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)")
  list(
    run("sleepstudy-intercept", RLRsim::exactRLRT(m("sleepstudy-intercept"), nsim = nsim, seed = 1)),
    run("dyestuff", RLRsim::exactRLRT(m("dyestuff"), nsim = nsim, seed = 1)),
    run("weak", RLRsim::exactRLRT(tight("weak", "y ~ x + (1 | g)"), nsim = nsim, seed = 1)),
    run("weak, exactLRT under ML", RLRsim::exactLRT(tight("weak", "y ~ x + (1 | g)", FALSE), lm(y ~ x, tables$weak), nsim = nsim, seed = 1)),
    run("cake-temp", RLRsim::exactRLRT(m("cake-temp"), nsim = nsim, seed = 1)),
    run("sleepstudy-uncorrelated: (0 + Days | Subject)",
        RLRsim::exactRLRT(tight("sleepstudy", "Reaction ~ Days + (0 + Days | Subject)"), slope,
                          m("sleepstudy-intercept"), nsim = nsim, seed = 1)),
    run("sleepstudy-intercept, exactLRT under ML",
        RLRsim::exactLRT(tight("sleepstudy", "Reaction ~ Days + (1 | Subject)", FALSE), lm(Reaction ~ Days, sleepstudy), nsim = nsim, seed = 1))
  )
}

used <- c(inline[names(inline) %in% vapply(pairs, `[[`, "", "data")], list(weak = tables$weak))
versions <- lapply(setNames(nm = c("lme4", "pbkrtest", "RLRsim")), function(p) one(as.character(packageVersion(p))))
records <- lapply(pairs, function(p) { message(p$id); record(p) })
target <- gzfile(file.path(here, "comparisons.json.gz"), "w")
writeLines(text(list(versions = versions, data = used, cases = records, exact = attempt(exact_tests()))), target)
close(target)

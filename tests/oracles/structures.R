# Random effects with structured covariances: glmmTMB's (ar1, cs, toep, diag, ou) and nlme's (pdCompSymm, pdDiag,
# pdIdent). Rscript structures.R | gzip -9n > structures.json.gz
suppressMessages({library(glmmTMB); library(nlme); library(jsonlite)})
set.seed(4)
n_g <- 60; times <- c(0, 1, 2, 3, 4); when <- c(0, 0.7, 1.1, 3, 4.2)
d <- do.call(rbind, lapply(seq_len(n_g), function(g) {
  effects <- drop(t(chol(0.8^2 * 0.7^abs(outer(times, times, "-")))) %*% rnorm(5)) * c(0.6, 0.8, 1, 1.2, 1.5)
  own <- data.frame(g = g, t = times, u = when, e = effects)
  own[rep(seq_len(5), sample(1:3, 5, replace = TRUE)), ]
}))
d$h <- sample(8, nrow(d), replace = TRUE); d$x <- rnorm(nrow(d))
d$y <- round(1 + (0.4 + 0.5 * rnorm(n_g)[d$g]) * d$x + d$e + 0.6 * rnorm(8)[d$h] + 0.6 * rnorm(nrow(d)), 4)
d$x <- round(d$x, 4); d$e <- NULL
data <- as.list(d)
d$f <- factor(d$t); d$g <- factor(d$g); d$h <- factor(d$h); d$w <- numFactor(d$u)
tight <- glmmTMBControl(optCtrl = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-12))
bars <- list(
  c("ar1(0 + t | g)", "ar1(0 + f | g)"), c("cs(0 + f | g)", "cs(0 + f | g)"), c("cs(1 + x | g)", "cs(1 + x | g)"),
  c("toep(0 + t | g)", "toep(0 + f | g)"), c("diag(0 + f | g)", "diag(0 + f | g)"),
  c("ou(0 + u | g)", "ou(0 + w | g)"), c("(f || g)", "diag(f | g)"), c("(0 + f || g)", "diag(0 + f | g)"),
  c("ar1(0 + t | g) + (1 | h)", "ar1(0 + f | g) + (1 | h)"),
  c("ou(0 + u | g) + (1 | h)", "ou(0 + w | g) + (1 | h)"))
fits <- lapply(bars, function(bar) lapply(c(TRUE, FALSE), function(reml) {
  m <- glmmTMB(as.formula(paste("y ~ x +", bar[2])), d, REML = reml, control = tight)
  groups <- VarCorr(m)$cond
  list(bar = bar[1], program = "glmmTMB", reml = reml, deviance = -2 * as.numeric(logLik(m)), fixef = unname(fixef(m)$cond),
       sigma = sigma(m), groups = names(groups),
       cov = lapply(unname(groups), function(one) matrix(as.numeric(one), nrow(one))),
       ranef = lapply(unname(ranef(m)$cond), function(one) unname(as.matrix(one))[1:3, , drop = FALSE]))
}))
pds <- list(homcs = c("cs(0 + f | g, hom=True)", "pdCompSymm"), diag = c("diag(0 + f | g)", "pdDiag"),
            ident = c("homdiag(0 + f | g)", "pdIdent"))
nlmes <- lapply(pds, function(pd) lapply(c(TRUE, FALSE), function(reml) {
  random <- list(g = do.call(pd[2], list(~ f - 1)))
  m <- lme(y ~ x, d, random, method = if (reml) "REML" else "ML",
           control = lmeControl(opt = "nlminb", msMaxIter = 500, tolerance = 1e-10, msTol = 1e-12, returnObject = TRUE))
  list(bar = pd[1], program = "nlme", reml = reml, deviance = -2 * as.numeric(logLik(m)), fixef = unname(fixef(m)),
       se = unname(sqrt(diag(m$varFix))), sigma = sigma(m), groups = "g",
       cov = list(matrix(as.numeric(getVarCov(m)), 5)), ranef = list(unname(as.matrix(ranef(m)))[order(as.integer(rownames(ranef(m)))), ][1:3, ]))
}))
versions <- lapply(c(glmmTMB = "glmmTMB", nlme = "nlme"), function(p) as.character(packageVersion(p)))
cases <- c(do.call(c, unname(fits)), do.call(c, unname(nlmes)))
cat(toJSON(list(versions = versions, data = data, cases = cases), digits = 12, auto_unbox = TRUE))

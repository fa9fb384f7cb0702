# Studentized range, multivariate t, and emmeans' adjustments for families whose df differ: adjust.json.gz.
#
#   Rscript adjust.R
#
# emmobj makes an emmGrid from estimates, their covariance and df, so no model is needed.

suppressPackageStartupMessages({
  library(emmeans)
  library(mvtnorm)
  library(jsonlite)
})
script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
here <- dirname(normalizePath(script))

ranges <- expand.grid(q = c(0.5, 2, 3.5, 5, 10), k = c(2, 3, 5, 16, 50), df = c(5, 7.5, 12.3, 40, 200, Inf))
ranges$p <- mapply(ptukey, ranges$q, ranges$k, ranges$df, MoreArgs = list(lower.tail = FALSE))
quantiles <- expand.grid(level = c(0.9, 0.95, 0.99), k = c(2, 3, 5, 16), df = c(5, 7.5, 12.3, 40, 200, Inf))
quantiles$q <- mapply(qtukey, quantiles$level, quantiles$k, quantiles$df)

# ---- the largest of correlated t statistics, to 1e-6 ------------------------------------------------------------------

set.seed(3)
largest <- lapply(list(c(3, 8), c(4, 12), c(5, 20), c(7, 40)), function(size) {
  k <- size[1]
  A <- matrix(rnorm(k * k), k)
  L <- diff(diag(k))
  R <- cov2cor(L %*% (crossprod(A) / k + diag(k) * 0.3) %*% t(L))
  t <- c(0.7, 1.5, 2.2, 3, 4)
  control <- GenzBretz(maxpts = 5e7, abseps = 2e-6)
  m <- k - 1
  two <- vapply(t, function(x) 1 - pmvt(rep(-x, m), rep(x, m), df = size[2], corr = R, algorithm = control)[1], 0)
  one <- vapply(t, function(x) 1 - pmvt(rep(-Inf, m), rep(x, m), df = size[2], corr = R, algorithm = control)[1], 0)
  list(correlation = R, df = unbox(size[2]), t = t, two_sided = two, one_sided = one)
})

# ---- emmeans' adjustments --------------------------------------------------------------------------------------------

set.seed(4)
estimate <- c(1, 2.2, 3.1, 4.3, 2.9)
A <- matrix(rnorm(25), 5)
V <- crossprod(A) / 10 + diag(5) * 0.15
of_row <- c(3.1, 1.7, 2.4, 4.9, 2.2)
means <- emmobj(estimate, V, levels = list(trt = letters[1:5]), linfct = diag(5))
means@dffun <- function(k, dfargs) {
  if (is.matrix(k)) return(apply(k, 1, function(z) 3 + sum(abs(z) * dfargs$of_row)))
  3 + sum(abs(k) * dfargs$of_row)
}
means@dfargs <- list(of_row = of_row)
adjusts <- c("none", "tukey", "sidak", "bonferroni", "holm", "hochberg", "fdr", "BY", "dunnettx", "scheffe")
answers <- list()
for (method in c("pairwise", "trt.vs.ctrl", "consec", "eff", "mean_chg", "del.eff", "poly")) {
  for (adjust in adjusts) {
    for (case in list(list(0, 0), list(1, 0), list(-1, 0), list(0, 0.8), list(-1, 0.8), list(1, 0.8))) {
      d <- suppressMessages(as.data.frame(summary(contrast(means, method), adjust = adjust, side = case[[1]],
                                                  delta = case[[2]], infer = TRUE)))
      text <- function(x) ifelse(is.finite(x), x, NA)
      answers[[length(answers) + 1]] <- list(
        method = unbox(method), adjust = unbox(adjust), side = unbox(case[[1]]), delta = unbox(case[[2]]),
        contrast = as.character(d$contrast), estimate = d$estimate, se = d$SE, df = d$df, lower = text(d$lower.CL),
        upper = text(d$upper.CL), statistic = d$t.ratio, p = d$p.value)
    }
  }
}
joint <- as.data.frame(test(contrast(means, "consec"), joint = TRUE))

out <- list(versions = list(R = unbox(R.version.string), emmeans = unbox(as.character(packageVersion("emmeans"))),
                            mvtnorm = unbox(as.character(packageVersion("mvtnorm")))),
            ranges = ranges, quantiles = quantiles, largest = largest,
            family = list(estimate = estimate, V = V, of_row = of_row, answers = answers,
                          joint = list(F = unbox(joint$F.ratio), num_df = unbox(joint$df1), den_df = unbox(joint$df2))),
            poly = lapply(2:9, function(k) t(as.matrix(getFromNamespace("poly.emmc", "emmeans")(seq_len(k))))))
target <- gzfile(file.path(here, "adjust.json.gz"), "w")
writeLines(toJSON(out, digits = NA, na = "null", dataframe = "columns", auto_unbox = FALSE), target)
close(target)

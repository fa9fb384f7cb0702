# Fits of lme4, for tests/oracles/test_lmer_oracle.py. See README.md beside this file.
#
#   Rscript lmer_fits.R                all cases, and lmer_fits.json.gz
#   Rscript lmer_fits.R id [id ...]    only these; with LMER_PARTS=<folder> the others are taken from an earlier run
#
# 1. A case is a data set, a formula, and perhaps columns of weights and offset. Each is fitted by REML and by ML.
# 2. tight.R takes lme4 to its lowest criterion, and what lme4 reports at that theta is written down.

suppressPackageStartupMessages({
  library(lme4)
  library(jsonlite)
})
options(digits = 17, contrasts = c("contr.treatment", "contr.treatment")) # ordered factors too, as in Python
script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
here <- dirname(normalizePath(script))
parts <- Sys.getenv("LMER_PARTS", file.path(tempdir(), "parts"))
source(file.path(here, "tight.R"))
dir.create(parts, showWarnings = FALSE, recursive = TRUE)

# ---- data -----------------------------------------------------------------------------------------------------------

data(Machines, package = "nlme")
tables <- lapply(list(
  sleepstudy = sleepstudy, Dyestuff = Dyestuff, Dyestuff2 = Dyestuff2, Pastes = Pastes, Penicillin = Penicillin,
  cake = cake, InstEval = InstEval, VerbAgg = VerbAgg, Machines = Machines
), as.data.frame)
tables$VerbAgg$r2y <- as.numeric(tables$VerbAgg$r2 == "Y")
packaged <- names(tables)

label <- function(prefix, k) sprintf("%s%02d", prefix, k)
correlated <- function(n, root) matrix(rnorm(n * nrow(root)), n) %*% t(root) # rows with covariance root root'

simulate_weighted <- function() { # unbalanced: 15 groups, 120 rows
  set.seed(20)
  k <- sample(rep(1:15, times = c(1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18)))
  x <- round(rnorm(120), 4)
  w <- round(exp(rnorm(120, 0, 0.7)), 4)
  o <- round(runif(120, -3, 3), 4)
  b <- correlated(15, matrix(c(1.2, 0.3, 0, 0.6), 2))
  y <- 2 + 0.5 * x + b[k, 1] + b[k, 2] * x + rnorm(120) / sqrt(w)
  data.frame(y = round(y, 5), x = x, w = w, o = o, yo = round(y + o, 5), g = label("g", k))
}

simulate_crossed <- function() { # slopes on both sides; a third of the cells missing, some seen more often
  set.seed(21)
  cells <- expand.grid(subj = 1:20, item = 1:12)
  cells <- cells[sample(nrow(cells), 400, replace = TRUE, prob = rexp(nrow(cells)) + 0.2), ]
  x <- round(rnorm(400), 4)
  z <- round(runif(400), 4)
  s <- correlated(20, matrix(c(1, 0.4, 0, 0.5), 2))
  i <- correlated(12, matrix(c(0.8, -0.3, 0, 0.4), 2))
  y <- 1 + x - z + s[cells$subj, 1] + s[cells$subj, 2] * x + i[cells$item, 1] + i[cells$item, 2] * z + rnorm(400)
  data.frame(y = round(y, 5), x = x, z = z, subj = label("s", cells$subj), item = label("i", cells$item))
}

simulate_years <- function() { # a covariate far from zero: the intercept is at year 0
  set.seed(22)
  d <- expand.grid(year = 1990:2005, g = 1:18)
  d <- d[runif(nrow(d)) < 0.8, ]
  b <- correlated(18, matrix(c(3, 0.1, 0, 0.25), 2))
  y <- 40 + 0.3 * (d$year - 1998) + b[d$g, 1] + b[d$g, 2] * (d$year - 1998) + rnorm(nrow(d), 0, 1.5)
  data.frame(y = round(y, 4), year = d$year, g = d$g)
}

simulate_factorial <- function() { # 12 x 16, one row per pair, 2 x 2 x 2 within both: a maximal model is singular
  set.seed(23)
  d <- expand.grid(subj = 1:12, item = 1:16)
  cell <- (d$subj + d$item) %% 8
  f <- data.frame(A = bitwAnd(cell, 1), B = bitwAnd(cell, 2) / 2, C = bitwAnd(cell, 4) / 4) - 0.5
  s <- correlated(12, matrix(c(1, 0.5, 0, 0.4), 2))
  i <- correlated(16, matrix(c(0.7, 0.2, 0, 0.3), 2))
  y <- 5 + f$A - 0.5 * f$B + 0.4 * f$A * f$C +
    s[d$subj, 1] + s[d$subj, 2] * f$A + i[d$item, 1] + i[d$item, 2] * f$B + rnorm(nrow(d))
  cbind(data.frame(y = round(y, 5)), f, subj = label("s", d$subj), item = label("i", d$item))
}

simulate_dozen <- function() { # twelve correlated effects on 16 items
  set.seed(24)
  d <- expand.grid(subj = 1:20, item = 1:16)
  x <- round(matrix(rnorm(nrow(d) * 11), nrow(d), dimnames = list(NULL, paste0("x", 1:11))), 3)
  b <- matrix(rnorm(16 * 3), 16) %*% matrix(rnorm(3 * 12), 3) * 0.35 # rank three
  y <- 1 + x[, 1] + rnorm(20)[d$subj] + rowSums(b[d$item, ] * cbind(1, x)) + rnorm(nrow(d))
  cbind(data.frame(y = round(y, 5)), x, subj = label("s", d$subj), item = label("i", d$item))
}

simulate_schools <- function() { # pupils in classes in schools; class labels are used again in each school
  set.seed(25)
  school <- rep(1:24, times = sample(15:35, 24, replace = TRUE))
  class <- sample(1:4, length(school), replace = TRUE, prob = c(4, 3, 2, 1))
  ses <- round(rnorm(length(school)), 3)
  y <- 50 + 2 * ses + rnorm(24, 0, 3)[school] + rnorm(96, 0, 2)[(school - 1) * 4 + class] + rnorm(length(school), 0, 5)
  data.frame(y = round(y, 4), ses = ses, school = label("sch", school), class = letters[class])
}

simulate_bar_interaction <- function() {
  set.seed(26)
  k <- rep(1:30, each = 14)
  x <- round(rnorm(420), 4)
  z <- round(runif(420, -1, 1), 4)
  root <- rbind(c(1, 0, 0, 0), c(0.3, 0.6, 0, 0), c(-0.2, 0.1, 0.7, 0), c(0.1, 0.2, -0.1, 0.5))
  b <- correlated(30, root)
  y <- 1 + x + 0.5 * z - 0.3 * x * z + rowSums(b[k, ] * cbind(1, x, z, x * z)) + rnorm(420)
  data.frame(y = round(y, 5), x = x, z = z, g = label("g", k))
}

simulate_pairs <- function() { # a x b with replicates, unbalanced
  set.seed(27)
  d <- expand.grid(a = 1:10, b = 1:7, r = 1:4)
  d <- d[runif(nrow(d)) < 0.75, ]
  x <- round(rnorm(nrow(d)), 4)
  y <- 3 + x + rnorm(10)[d$a] + rnorm(7, 0, 0.7)[d$b] + matrix(rnorm(70, 0, 0.9), 10)[cbind(d$a, d$b)] + rnorm(nrow(d))
  data.frame(y = round(y, 5), x = x, a = label("a", d$a), b = d$b)
}

inline <- list(
  weighted = simulate_weighted(), crossed = simulate_crossed(), years = simulate_years(),
  factorial = simulate_factorial(), dozen = simulate_dozen(), schools = simulate_schools(),
  bar_interaction = simulate_bar_interaction(), pairs = simulate_pairs()
)
groupings <- c("g", "subj", "item", "school", "class", "a", "b")
tables <- c(tables, lapply(inline, function(d) {
  d[names(d) %in% groupings] <- lapply(d[names(d) %in% groupings], factor)
  d
}))

# ---- cases ----------------------------------------------------------------------------------------------------------

case <- function(id, data, formula, weights = NULL, offset = NULL, size = "small") {
  list(id = id, data = data, formula = formula, weights = weights, offset = offset, size = size)
}
dozen <- paste0("x", 1:11, collapse = " + ")
cases <- list(
  case("sleepstudy-slope", "sleepstudy", "Reaction ~ Days + (Days | Subject)"),
  case("sleepstudy-uncorrelated", "sleepstudy", "Reaction ~ Days + (Days || Subject)"),
  case("sleepstudy-intercept", "sleepstudy", "Reaction ~ Days + (1 | Subject)"),
  case("sleepstudy-two-terms", "sleepstudy", "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)"),
  case("dyestuff", "Dyestuff", "Yield ~ 1 + (1 | Batch)"),
  case("dyestuff2", "Dyestuff2", "Yield ~ 1 + (1 | Batch)"),
  case("pastes-nested", "Pastes", "strength ~ 1 + (1 | batch/cask)"),
  case("pastes-sample", "Pastes", "strength ~ 1 + (1 | sample) + (1 | batch)"),
  case("penicillin", "Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
  case("cake-factor", "cake", "angle ~ recipe * temperature + (1 | recipe:replicate)"),
  case("cake-temp", "cake", "angle ~ recipe * temp + (1 | recipe:replicate)"),
  case("insteval", "InstEval", "y ~ service + (1 | s) + (1 | d) + (1 | dept)", size = "large"),
  case("insteval-slope", "InstEval", "y ~ 1 + service + (service | d) + (1 | s)", size = "large"),
  case("verbagg", "VerbAgg", "r2y ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)"),
  case("verbagg-slopes", "VerbAgg", "r2y ~ Anger + Gender + btype + situ + (btype | id) + (1 | item)"),
  case("machines-cell", "Machines", "score ~ Machine + (0 + Machine | Worker)"),
  case("machines-nested", "Machines", "score ~ Machine + (1 | Worker/Machine)"),
  case("machines-slopes", "Machines", "score ~ Machine + (Machine | Worker)"),
  case("weighted", "weighted", "y ~ x + (x | g)", weights = "w"),
  case("offset", "weighted", "yo ~ x + (x | g)", offset = "o"),
  case("weighted-offset", "weighted", "yo ~ x + (1 | g)", weights = "w", offset = "o"),
  case("crossed-slopes", "crossed", "y ~ x + z + (x | subj) + (z | item)"),
  case("years", "years", "y ~ year + (year | g)", size = "stiff"),
  case("factorial-main", "factorial", "y ~ A * B * C + (A + B + C | subj) + (A + B + C | item)", size = "many"),
  case("factorial-full", "factorial", "y ~ A * B * C + (A * B * C | subj) + (A * B * C | item)", size = "many"),
  case("dozen", "dozen", sprintf("y ~ %s + (%s | item) + (1 | subj)", dozen, dozen), size = "many"),
  case("schools", "schools", "y ~ ses + (1 | school/class)"),
  case("bar-interaction", "bar_interaction", "y ~ x * z + (x * z | g)"),
  case("pairs", "pairs", "y ~ x + (1 | a:b)"),
  case("pairs-crossed", "pairs", "y ~ x + (1 | a) + (1 | b) + (1 | a:b)")
)

# ---- fitting --------------------------------------------------------------------------------------------------------

plans <- list( # which optimizers, for which size of model
  small = c("nlopt", "bobyqa", "neldermead"), stiff = c("nlopt", "bobyqa", "neldermead", "bobyqa", "nlopt"),
  large = "nlopt", many = c("nlopt", "bobyqa", "nlopt")
)

fit <- function(case, reml) {
  arguments <- list(formula = as.formula(case$formula), data = tables[[case$data]], REML = reml,
                    control = lmerControl(check.nobs.vs.nRE = "ignore", check.scaleX = "ignore"))
  if (!is.null(case$weights)) arguments$weights <- as.name(case$weights)
  if (!is.null(case$offset)) arguments$offset <- as.name(case$offset)
  tight_fit(arguments, plans[[case$size]], again = case$size != "many")
}

# ---- writing down ---------------------------------------------------------------------------------------------------

named <- function(x) list(names = names(x), values = unname(x))

modes <- function(model, keep) { # per factor: levels, columns, values (J, q), variances: blocks of (J, q, q)
  lapply(ranef(model, condVar = TRUE), function(r) {
    variance <- attr(r, "postVar")
    if (!is.list(variance)) variance <- list(variance)
    rows <- seq_len(min(nrow(r), keep))
    list(levels = rownames(r)[rows], columns = colnames(r), values = unname(as.matrix(r))[rows, , drop = FALSE],
         variances = unname(lapply(variance, function(v) aperm(v, c(3, 1, 2))[rows, , , drop = FALSE])))
  })
}

record <- function(case, reml) {
  started <- proc.time()[["elapsed"]]
  result <- fit(case, reml)
  m <- result$model
  vc <- as.data.frame(VarCorr(m))
  out <- list(
    id = unbox(paste0(case$id, if (reml) "-reml" else "-ml")), data = unbox(case$data), formula = unbox(case$formula),
    reml = unbox(reml), weights = unbox(case$weights), offset = unbox(case$offset), size = unbox(case$size),
    expected = list(
      deviance = unbox(if (reml) REMLcrit(m) else -2 * as.numeric(logLik(m))), reached = lapply(result$reached, unbox),
      loglik = unbox(as.numeric(logLik(m))), aic = unbox(AIC(m)), bic = unbox(BIC(m)), nobs = unbox(nobs(m)),
      fixef = named(fixef(m)), vcov = unname(as.matrix(vcov(m))), sigma = unbox(sigma(m)), theta = unname(getME(m, "theta")),
      varcorr = as.list(vc), ranef = modes(m, if (case$size == "large") 50 else Inf),
      fitted = unname(head(fitted(m), 20)), residuals = unname(head(residuals(m), 20)),
      scaled_residuals = unname(quantile(residuals(m, type = "pearson", scaled = TRUE))),
      singular = unbox(isSingular(m, tol = 1e-4)), ngrps = lapply(as.list(ngrps(m)), unbox)
    )
  )
  message(sprintf("%-28s %6.1f s  %.10f  singular %s  %s", out$id, proc.time()[["elapsed"]] - started,
                  out$expected$deviance, out$expected$singular,
                  paste(names(result$reached), sprintf("%+.1e", unlist(result$reached) - out$expected$deviance), collapse = " ")))
  out
}

text <- function(x) toJSON(x, digits = NA, na = "null", null = "null")
wanted <- commandArgs(trailingOnly = TRUE)
for (one in cases) {
  if (length(wanted) && !(one$id %in% wanted)) next
  for (reml in c(TRUE, FALSE)) {
    out <- record(one, reml)
    writeLines(text(out), file.path(parts, paste0(out$id, ".json")))
  }
}

ids <- unlist(lapply(cases, function(one) paste0(one$id, c("-reml", "-ml"))))
files <- file.path(parts, paste0(ids, ".json"))
if (all(file.exists(files))) {
  versions <- list(R = unbox(R.version.string))
  for (p in c("lme4", "nlme", "Matrix", "nloptr", "minqa", "numDeriv", "jsonlite")) {
    versions[[p]] <- unbox(as.character(packageVersion(p)))
  }
  target <- gzfile(file.path(here, "lmer_fits.json.gz"), "w")
  writeLines(c('{"versions":', text(versions), ',"data":', text(lapply(inline, as.list)), ',"cases":[',
               paste(vapply(files, function(f) paste(readLines(f), collapse = ""), ""), collapse = ",\n"), "]}"), target)
  close(target)
} else {
  message("not written, still to run: ", paste(ids[!file.exists(files)], collapse = " "))
}

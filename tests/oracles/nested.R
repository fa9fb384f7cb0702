# Marginal means, contrasts, trends and joint tests of models with nested factors, covariates of two values, offsets and
# empty cells: nested.json.gz. See README.md beside this file.
#
#   Rscript nested.R

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(emmeans))
emm_options(lmerTest.limit = 1e6, msg.interaction = FALSE, msg.nesting = FALSE)

# ---- data: n rows drawn from cells that are not equally likely, in 8 blocks -----------------------------------------

drawn <- function(seed, cells, n) {
  set.seed(seed)
  d <- cells[sample(nrow(cells), n, TRUE, prob = runif(nrow(cells), 0.5, 1.5)), , drop = FALSE]
  effects <- lapply(d, function(f) rnorm(20)[as.integer(factor(f))])
  d$blk <- label("b", sample(8, n, TRUE))
  d$x <- round(rnorm(n, 2), 3)
  d$z <- round(rnorm(n), 3)
  d$dose <- sample(c(1, 10), n, TRUE, prob = c(0.3, 0.7))
  d$y <- round(Reduce(`+`, effects) + 0.3 * d$x + 0.5 * log(d$dose) + rnorm(8)[as.integer(factor(d$blk))] + rnorm(n), 4)
  names <- setdiff(names(d), c("x", "z", "dose", "y"))
  d[names] <- lapply(d[names], function(f) factor(as.character(f)))
  rownames(d) <- NULL
  d
}
gl <- data.frame(g = c("g1", "g1", "g2", "g2", "g2"), l = c("u1", "u2", "v1", "v2", "v3"))
single <- data.frame(g = c("g1", "g2", "g2", "g2", "g3", "g3"), l = c("u1", "v1", "v2", "v3", "w1", "w2"))
chain <- data.frame(a = rep(c("a1", "a2"), c(4, 5)), b = rep(c("b1", "b2", "b3", "b4"), c(2, 2, 2, 3)), c = paste0("c", 1:9))
reused <- data.frame(g = rep(c("g1", "g2"), each = 3), l = c("k1", "k2", "k3", "k1", "k2", "k3"))
partly <- data.frame(g = rep(c("g1", "g2"), c(2, 4)), l = c("k1", "k2", "k1", "k2", "k3", "k4"))
both <- data.frame(g = c("g1", "g1", "g2", "g2", "g1", "g1", "g2", "g2", "g2"), h = rep(c("h1", "h2"), c(4, 5)), l = paste0("l", 1:9))
holes <- subset(expand.grid(A = c("a", "b", "c"), B = c("d", "e", "f", "g")), !(A == "a" & B == "e") & !(A == "b" & B == "f"))
inline <- tables <- list(
  unequal = drawn(1, merge(gl, data.frame(C = c("p", "q", "r"))), 160), single = drawn(2, single, 120), chain = drawn(3, chain, 200),
  reused = drawn(4, reused, 140), partly = drawn(5, partly, 140), both = drawn(6, both, 180),
  two = drawn(7, merge(gl, data.frame(h = c("h1", "h1", "h2", "h2", "h2"), m = paste0("m", 1:5))), 260), holes = drawn(8, holes, 150)
)

# ---- models ---------------------------------------------------------------------------------------------------------

nested_cases <- list(
  case("formula", "unequal", "y ~ g/l + C + (1 | blk)"), case("data", "unequal", "y ~ g + l + C + (1 | blk)"),
  case("crossed", "unequal", "y ~ g/l * C + (1 | blk)"), case("beside", "unequal", "y ~ g * C + g:l + (1 | blk)"),
  case("covariate", "unequal", "y ~ g/l + C * x + (1 | blk)"), case("slopes", "unequal", "y ~ g/l/x + (1 | blk)"),
  case("slopes-of-outer", "unequal", "y ~ g/x + (1 | blk)"), case("offset", "unequal", "y ~ g/l + offset(z) + (1 | blk)"),
  case("single", "single", "y ~ g/l + (1 | blk)"), case("chain", "chain", "y ~ a/b/c + (1 | blk)"),
  case("chain-in-data", "chain", "y ~ a + b + c + x + (1 | blk)"), case("reused", "reused", "y ~ g/l + x + (1 | blk)"),
  case("partly", "partly", "y ~ g/l + (1 | blk)"), case("both", "both", "y ~ (g * h)/l + (1 | blk)"),
  case("two", "two", "y ~ g/l + h/m + (1 | blk)"), case("dose", "unequal", "y ~ C * dose + (1 | blk)"),
  case("log-dose", "unequal", "y ~ C * log(dose) + (1 | blk)"), case("dose-within", "unequal", "y ~ C + C:dose + (1 | blk)"),
  case("holes", "holes", "y ~ A * B + x + (1 | blk)")
)
names(nested_cases) <- vapply(nested_cases, `[[`, "", "id")
cases <- nested_cases

# ---- answers --------------------------------------------------------------------------------------------------------

renames <- c(emmean = "estimate", SE = "se", lower.CL = "lower", upper.CL = "upper", t.ratio = "statistic", p.value = "p",
             F.ratio = "F", df1 = "num_df", df2 = "den_df", `model term` = "term", x.trend = "estimate")
as_columns <- function(table) {
  d <- as.data.frame(table)
  names(d) <- ifelse(names(d) %in% names(renames), renames[names(d)], names(d))
  d[] <- lapply(d, function(x) if (is.factor(x)) as.character(x) else x)
  as.list(d)
}

factors_of <- function(case) {
  used <- all.vars(as.formula(case$formula))
  Filter(function(v) is.factor(tables[[case$data]][[v]]) && v != "blk" || v == "dose", used)
}

record <- function(case) {
  m <- fitted_model(case)
  data <- tables[[case$data]]
  factors <- factors_of(case)
  means <- lapply(c("1", factors), function(f) {
    c(list(specs = one(f)), setNames(lapply(c("equal", "proportional", "cells", "outer", "flat"), function(w) attempt({
      as_columns(summary(emmeans(m, as.formula(paste("~", f)), weights = w, lmer.df = "satterthwaite", data = data), infer = TRUE))
    })), c("equal", "proportional", "cells", "outer", "flat")))
  })
  pairs <- lapply(factors, function(f) c(list(specs = one(f)), list(table = attempt({
    as_columns(summary(contrast(emmeans(m, as.formula(paste("~", f)), lmer.df = "satterthwaite", data = data), "pairwise"), infer = TRUE))
  }))))
  trends <- if (!grepl("\\bx\\b", case$formula)) list() else lapply(c("1", factors), function(f) c(list(specs = one(f)), list(table = attempt({
    as_columns(summary(emtrends(m, as.formula(paste("~", f)), var = "x", delta.var = 1e-5, lmer.df = "satterthwaite", data = data), infer = TRUE))
  }))))
  list(means = means, pairs = pairs, trends = trends,
       joint_tests = attempt(as_columns(joint_tests(m, lmer.df = "satterthwaite", data = data))))
}

write_listing("nested", names(nested_cases), record, c("lme4", "lmerTest", "emmeans"))

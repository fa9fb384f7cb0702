# What lme4 makes of bars: grouping factors, number of columns, levels. Rscript bars.R | gzip -9n > bars.json.gz
suppressMessages({library(lme4); library(jsonlite)})
options(digits = 17)
n <- 120
d <- data.frame(
  y = sin(1:n) * 3, x = cos(1:n * 1.3), z = (1:n * 7) %% 5,
  a = paste0("a", (1:n * 3) %% 4), b = paste0("b", (1:n) %% 3), c = paste0("c", (1:n * 5) %/% 2 %% 5),
  f = c("u", "v", "w")[(1:n * 11) %% 7 %% 3 + 1], k = (1:n) %% 12, stringsAsFactors = FALSE)
d$l <- d$x > 0
bars <- c("(1 | a)", "(x | a)", "(0 + x | a)", "(x - 1 | a)", "(-1 + x | a)", "(x || a)", "(x * z || a)", "(x + z | a)",
  "(1 | a / b)", "(1 | a / b / c)", "(1 | a:b)", "(1 | a / (b:c))", "(x | a / b)", "(x || a / b)", "(f | a)", "(0 + f | a)",
  "(f || a)", "(0 + f || a)", "(f:x | a)", "(0 + f:x | a)", "(f * x | a)", "(f * x || a)", "(l | a)", "(0 + l | a)",
  "(poly(x, 2) | a)", "(I(x^2) | a)", "(1 | a) + (0 + x | a)", "(1 | a) + (1 | b) + (1 | c)", "(1 | k)",
  "((1 | a))", "(1 | (a:b))")
control <- lmerControl(check.nobs.vs.nRE = "ignore", check.nobs.vs.nlev = "ignore")
out <- lapply(bars, function(bar) {
  terms <- lFormula(as.formula(paste("y ~ x +", bar)), d, control = control)$reTrms
  list(bar = bar, groups = names(terms$cnms), columns = unname(lengths(terms$cnms)),
       levels = lapply(terms$flist, levels), codes = lapply(terms$flist, function(one) as.integer(one) - 1L))
})
cat(toJSON(list(data = as.list(d), models = out), digits = 17, auto_unbox = FALSE))

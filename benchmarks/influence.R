# lme4 fitted without each of the first subjects of a slope model: influence.py's other half.
#
#   Rscript influence.R DATA.csv REFITS
#
# One line of JSON: CPU seconds of a refit, and DFBETAS without each subject.
suppressPackageStartupMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
refits <- as.integer(arguments[2])
control <- lmerControl(calc.derivs = FALSE)
formula <- y ~ x + (x | g)
whole <- lmer(formula, data, control = control)
started <- proc.time()
without <- lapply(unique(data$g)[seq_len(refits)], function(g) lmer(formula, data[data$g != g, ], control = control))
seconds <- sum((proc.time() - started)[c("user.self", "sys.self")]) / refits
dfbetas <- vapply(without, function(m) (fixef(whole) - fixef(m)) / sqrt(diag(as.matrix(vcov(m)))), numeric(2))
pairs <- apply(dfbetas, 2, function(column) sprintf("[%.10g, %.10g]", column[1], column[2]))
cat(sprintf('{"seconds": %.6f, "dfbetas": [%s]}\n', seconds, paste(pairs, collapse = ", ")))

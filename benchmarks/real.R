# Fits lme4 to real data sets of R's packages, and writes each table for Python: real.py's other half.
#
#   Rscript real.R MODELS FOLDER SECONDS
#
# MODELS is real_models.csv (name, package, formula). FOLDER gets NAME.csv and, for each factor, its levels in
# NAME.levels.json; each model is fitted until SECONDS are spent. One line of JSON a model.
suppressPackageStartupMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
models <- read.csv(arguments[1], stringsAsFactors = FALSE)
folder <- arguments[2]
limit <- as.numeric(arguments[3])
control <- lmerControl(calc.derivs = FALSE, check.nobs.vs.nRE = "ignore", check.nobs.vs.nlev = "ignore")

table_of <- function(name, package, formula) {
  data(list = name, package = package, envir = environment())
  data <- as.data.frame(get(name))[all.vars(formula)]
  data <- data[complete.cases(data), , drop = FALSE]
  for (column in names(data)) {
    values <- data[[column]]
    if (is.character(values) || is.ordered(values)) values <- factor(as.character(values), levels = unique(as.character(values)))
    if (is.factor(values)) values <- factor(values, ordered = FALSE)
    data[[column]] <- values
  }
  row.names(data) <- NULL
  data
}

quoted <- function(text) paste0('"', gsub('"', '\\\\"', text), '"')

for (k in seq_len(nrow(models))) {
  formula <- as.formula(models$formula[k])
  answer <- tryCatch({
    data <- table_of(models$data[k], models$package[k], formula)
    write.csv(data, file.path(folder, paste0(k, ".csv")), row.names = FALSE)
    factors <- names(data)[vapply(data, is.factor, TRUE)]
    levels <- vapply(factors, function(f) {
      paste0(quoted(f), ": [", paste(quoted(levels(droplevels(data[[f]]))), collapse = ", "), "]")
    }, "")
    writeLines(paste0("{", paste(levels, collapse = ", "), "}"), file.path(folder, paste0(k, ".levels.json")))
    fit <- function() suppressMessages(suppressWarnings(lmer(formula, data, control = control)))
    model <- fit()
    spent <- 0; times <- 0
    while (spent < limit) {
      spent <- spent + sum(system.time(fit())[1:2]); times <- times + 1
    }
    sprintf('{"k": %d, "seconds": %.6g, "criterion": %.10g, "singular": %s}',
            k, spent / times, REMLcrit(model), tolower(isSingular(model)))
  }, error = function(problem) sprintf('{"k": %d, "message": %s}', k, quoted(substr(conditionMessage(problem), 1, 80))))
  cat(answer, "\n", sep = "")
}

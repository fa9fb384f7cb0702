# Fits one problem with lme4, and prints one line of JSON: worker.py in R.
#
#   Rscript lme4.R HERE FOLDER FORMULA FACTORS REPEAT BUDGET SLEEPSTUDY
#
# HERE is this file's folder; FOLDER holds the table; FACTORS are names joined by commas.
suppressPackageStartupMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
source(file.path(arguments[1], "table.R"))

data <- read_table(arguments[2], strsplit(arguments[4], ",")[[1]])
control <- lmerControl(calc.derivs = FALSE)
fit <- function(formula, data) suppressMessages(suppressWarnings(lmer(as.formula(formula), data, control = control)))
invisible(fit("Reaction ~ Days + (Days | Subject)", read_table(arguments[7], "Subject")))

before <- peak_mb()
timed <- time_repeatedly(function() fit(arguments[3], data), as.integer(arguments[5]), as.numeric(arguments[6]))
cat(sprintf('{"status": "ok", "wall": %s, "cpu": %s, "criterion": %s, "peak_mb": %s, "before_mb": %s}\n',
            numbers(timed$wall), numbers(timed$cpu), number(REMLcrit(timed$value)), number(peak_mb()), number(before)))

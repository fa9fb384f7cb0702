# Does one piece of inference in R, and prints one line of JSON: inference.py's child in R.
#
#   Rscript inference.R HERE FOLDER FORMULA FACTORS WORK REPEAT BUDGET
#
# The fit is timed once and apart. WORK is a name of `works` below.
suppressPackageStartupMessages({library(lme4); library(lmerTest); library(pbkrtest); library(emmeans)})
arguments <- commandArgs(trailingOnly = TRUE)
source(file.path(arguments[1], "table.R"))

quietly <- function(x) suppressMessages(suppressWarnings(x))
control <- lmerControl(calc.derivs = FALSE)
statistic <- function(model) c(fixef(model), sigma(model), getME(model, "theta"))

# Each takes lme4's fit and returns the check: one number to compare across packages.
works <- list(
  `kenward-roger` = function(model) {
    table <- coef(summary(as_lmerModLmerTest(model), ddf = "Kenward-Roger"))
    table[2, "df"]
  },
  satterthwaite = function(model) coef(summary(as_lmerModLmerTest(model)))[2, "df"],
  bootstrap = function(model) sd(bootMer(model, statistic, nsim = 1000, seed = 1)$t[, 2]),
  profile = function(model) confint(profile(model))[1, 1],
  emmeans = function(model) {
    pairs <- contrast(emmeans(model, ~ A * B * C), "pairwise", adjust = "tukey")
    as.data.frame(pairs)$p.value[1]
  }
)

data <- read_table(arguments[2], strsplit(arguments[4], ",")[[1]])
begin <- clock()
model <- quietly(lme4::lmer(as.formula(arguments[3]), data, control = control))
fit_seconds <- (clock() - begin)[2]

work <- works[[arguments[5]]]
timed <- time_repeatedly(function() quietly(work(model)), as.integer(arguments[6]), as.numeric(arguments[7]))
cat(sprintf('{"status": "ok", "wall": %s, "cpu": %s, "fit_seconds": %.6f, "check": %s, "peak_mb": %s}\n',
            numbers(timed$wall), numbers(timed$cpu), fit_seconds, number(timed$value), number(peak_mb())))

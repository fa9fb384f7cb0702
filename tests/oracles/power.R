# p-values of one hypothesis in many simulated data sets, by lmerTest (Satterthwaite) and pbkrtest (Kenward-Roger):
# power.json.gz. Data are drawn by lme4's simulate at the parameters listed. See README.md beside this file.
#
#   Rscript power.R

suppressPackageStartupMessages({
  library(lme4)
  library(lmerTest)
  library(jsonlite)
})
options(digits = 17, contrasts = c("contr.treatment", "contr.treatment"))
here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))))
source(file.path(here, "tight.R"))
one <- unbox

slopes <- expand.grid(x = 0:4, g = sprintf("g%02d", 1:12), stringsAsFactors = FALSE)
arms <- expand.grid(time = c("t1", "t2", "t3"), s = sprintf("s%02d", 1:15), stringsAsFactors = FALSE)
arms$arm <- c("a", "b", "c")[as.integer(factor(arms$s)) %% 3 + 1]
crossed <- expand.grid(s = sprintf("s%02d", 1:10), i = sprintf("i%02d", 1:8), stringsAsFactors = FALSE)
crossed$c <- c(-0.5, 0.5)[(as.integer(factor(crossed$s)) + as.integer(factor(crossed$i))) %% 2 + 1]
larger <- expand.grid(s = sprintf("s%02d", 1:24), i = sprintf("i%02d", 1:16), stringsAsFactors = FALSE)
larger$c <- c(-0.5, 0.5)[(as.integer(factor(larger$s)) + as.integer(factor(larger$i))) %% 2 + 1]

cases <- list(
  list(id = "slopes", data = slopes, formula = y ~ x + (x | g), effect = "x", beta = c(10, 0.5),
       theta = c(1, 0.2, 0.6), sigma = 1),
  list(id = "arms", data = arms, formula = y ~ arm * time + (1 | s), effect = "arm", beta = c(5, 0.6, 0.9, 0.2, 0.3, 0, 0, 0, 0.4),
       theta = 0.8, sigma = 1),
  list(id = "crossed", data = crossed, formula = y ~ c + (1 | s) + (1 | i), effect = "c", beta = c(0, 0.5),
       theta = c(0.7, 0.5), sigma = 1),
  list(id = "larger", data = larger, formula = y ~ c + (c | s) + (c | i), effect = "c", beta = c(0, 0.5),
       theta = c(1, 0.1, 0.7, 0.8, -0.1, 0.6), sigma = 1)
)

record <- function(case) {
  d <- case$data
  d$y <- 0
  set.seed(42)
  drawn <- simulate(case$formula[-2], nsim = 15, newdata = d, family = gaussian,
                    newparams = list(beta = case$beta, theta = case$theta, sigma = case$sigma))
  drawn <- round(as.matrix(drawn), 6)
  control <- lmerControl(optimizer = "nloptwrap", calc.derivs = FALSE, optCtrl = optimizers$nlopt[[2]],
                         check.conv.singular = "ignore")
  found <- apply(drawn, 2, function(y) {
    d$y <- y
    assign("d", d, globalenv())
    fit <- suppressMessages(eval(substitute(lmerTest::lmer(f, d, control = control), list(f = case$formula, control = control))))
    p <- function(ddf) anova(fit, type = 3, ddf = ddf)[case$effect, "Pr(>F)"]
    c(p("Satterthwaite"), p("Kenward-Roger"), isSingular(fit))
  })
  list(id = one(case$id), formula = one(deparse(case$formula)), effect = one(case$effect), beta = case$beta,
       theta = case$theta, sigma = one(case$sigma), design = case$data, y = t(drawn), satterthwaite = found[1, ],
       kenward_roger = found[2, ], singular = as.logical(found[3, ]))
}

versions <- list(R = one(R.version.string))
for (p in c("lme4", "lmerTest", "pbkrtest")) versions[[p]] <- one(as.character(packageVersion(p)))
out <- list(versions = versions, cases = lapply(cases, record))
target <- gzfile(file.path(here, "power.json.gz"), "w")
writeLines(toJSON(out, digits = NA, na = "null", dataframe = "columns", auto_unbox = FALSE), target)
close(target)

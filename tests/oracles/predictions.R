# Predictions with standard errors of glmmTMB, which carry what estimated variances add, and back-transformed marginal means of
# emmeans: predictions.json.gz. See README.md beside this file.
#
# `conditional`: predict(se.fit = TRUE) at every seventh row of the data; `new`: the same rows with levels that the fit does not have.

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))
suppressPackageStartupMessages({
  library(glmmTMB)
  library(emmeans)
})
emm_options(lmer.df = "satterthwaite", msg.interaction = FALSE)

ids <- c("sleepstudy", "sleepstudy-uncorrelated", "sleepstudy-ml", "oats", "machines-slope", "machines-nested", "crossed", "crossed-slope",
         "ancova")
responses <- c("log(angle)", "log10(angle)", "log2(angle)", "log1p(angle)", "sqrt(angle)", "log(angle + 5)", "log(angle/10)", "logit(share)")
logit <- function(p) log(p / (1 - p))
cake$share <- cake$angle / 80
cake$temp <- as.numeric(as.character(cake$temperature))

conditional <- function(case) {
  d <- tables[[case$data]]
  m <- glmmTMB(as.formula(case$formula), d, REML = case$reml,
               control = glmmTMBControl(optCtrl = list(iter.max = 1e4, eval.max = 1e4, rel.tol = 1e-12)))
  rows <- seq(1, nrow(d), 7)
  new <- d[rows, ]
  at <- function(new) {
    p <- predict(m, new, se.fit = TRUE, allow.new.levels = TRUE)
    list(fit = as.numeric(p$fit), se = as.numeric(p$se.fit))
  }
  known <- at(new)
  random <- setdiff(unlist(strsplit(names(ranef(m)$cond), ":")), all.vars(lme4::nobars(as.formula(case$formula))))
  for (g in random) new[[g]] <- factor(paste0("new", as.character(new[[g]])))
  list(rows = rows - 1, conditional = known, new = at(new), deviance = one(-2 * as.numeric(logLik(m))))
}

transformed <- function(response) {
  f <- as.formula(paste(response, "~ recipe + temp + (1 | recipe:replicate)"), env = globalenv())
  m <- eval(bquote(lmer(.(f), cake))) # emmeans reads the call
  s <- sqrt(sum(as.data.frame(VarCorr(m))$vcov))
  e <- emmeans(m, "recipe")
  table <- function(x, ...) as.list(as.data.frame(summary(x, infer = TRUE, type = "response", ...)))
  list(means = table(e), pairs = table(pairs(e, adjust = "none")), adjusted = table(e, bias.adjust = TRUE, sigma = s), sigma = one(s),
       slopes = as.list(as.data.frame(summary(emtrends(m, "recipe", var = "temp", regrid = "response")))))
}

record <- function(case) {
  out <- list(glmmTMB = conditional(case))
  if (case$id == "sleepstudy") out$transformed <- lapply(setNames(nm = responses), transformed)
  out
}

write_listing("predictions", ids, record, c("lme4", "lmerTest", "glmmTMB", "emmeans"))

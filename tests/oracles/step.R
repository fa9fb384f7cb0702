# Backward elimination by lmerTest's step() for models of common.R: step.json.gz. See README.md beside this file.

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))

ids <- c("sleepstudy", "sleepstudy-uncorrelated", "pastes", "penicillin", "cake", "cake-temp", "oats", "oats-linear", "crossed",
         "crossed-slope", "crossed-ml", "flat", "machines-nested", "weighted", "ancova", "quadratic", "factorial", "factorial-main")

table_of <- function(t, columns) {
  if (is.null(t)) return(NULL)
  t <- as.data.frame(t)
  c(list(term = rownames(t)), setNames(lapply(columns, function(name) t[[name]]), names(columns)))
}

record <- function(case) {
  m <- fitted_model(case)
  both <- c(satterthwaite = "Satterthwaite", `kenward-roger` = "Kenward-Roger")[if (isREML(m)) 1:2 else 1]
  lapply(both, function(ddf) attempt({
    s <- step(m, ddf = ddf)
    found <- attr(s, "model")
    list(random = table_of(s$random, c(eliminated = "Eliminated", npar = "npar", loglik = "logLik", aic = "AIC",
                                       statistic = "LRT", df = "Df", p = "Pr(>Chisq)")),
         fixed = table_of(s$fixed, c(eliminated = "Eliminated", num_df = "NumDF", den_df = "DenDF", F = "F value", p = "Pr(>F)")),
         model = one(paste(deparse(formula(found), width.cutoff = 500), collapse = "")))
  }))
}

write_listing("step", ids, record, c("lme4", "lmerTest", "pbkrtest"))

# Intervals of residual covariances: nlme's intervals(), symmetric on its transformed scale, and profiles of glmmTMB.
# -> repeated_intervals.json. FEV_CSV as for repeated.R; its table `orthodont` is nlme's.

suppressPackageStartupMessages({
  library(nlme)
  library(glmmTMB)
  library(jsonlite)
})
options(digits = 17, contrasts = c("contr.treatment", "contr.treatment"), warn = 1)
script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
here <- dirname(normalizePath(script))
fev <- read.csv(Sys.getenv("FEV_CSV"))
fev <- fev[!is.na(fev$FEV1), ]
fev$ARMCD <- factor(fev$ARMCD, levels = c("PBO", "TRT"))
fev$AVISIT <- factor(fev$AVISIT)
fev$USUBJID <- factor(fev$USUBJID, levels = unique(fev$USUBJID))
orthodont <- as.data.frame(nlme::Orthodont)
orthodont$Subject <- factor(as.character(orthodont$Subject))

in_order <- ~ VISITN | USUBJID
control <- function(make) make(tolerance = 1e-11, msTol = 1e-13, msMaxIter = 1000, maxIter = 1000, opt = "nlminb")
trial <- function(method, ...) gls(FEV1 ~ ARMCD * AVISIT, fev, method = method, control = control(glsControl), ...)
growth <- function(method, ...) lme(distance ~ age * Sex, orthodont, method = method, control = control(lmeControl), ...)

# σ's limits squared are those of the variance; residual parameters in nlme's order otherwise
limits <- function(fit) {
  found <- intervals(fit, which = "var-cov")
  rows <- list()
  add <- function(name, one) rows[[name]] <<- as.numeric(one)
  add("Var", found$sigma^2)
  if (!is.null(found$corStruct)) add("Corr", found$corStruct[1, ])
  for (name in rownames(found$varStruct)) add(name, found$varStruct[name, ])
  for (one in found$reStruct) for (name in rownames(one)) add(name, one[name, ])
  rows
}

cases <- list()
for (method in c("REML", "ML")) {
  models <- list(
    ar1 = trial(method, correlation = corAR1(form = in_order)),
    car1 = trial(method, correlation = corCAR1(form = in_order)),
    csh = trial(method, correlation = corCompSymm(form = in_order), weights = varIdent(form = ~ 1 | AVISIT)),
    sp_exp = trial(method, correlation = corExp(form = in_order)),
    ar1_ident = trial(method, correlation = corAR1(form = in_order), weights = varIdent(form = ~ 1 | ARMCD)),
    exp = trial(method, weights = varExp(form = ~ VISITN)),
    slopes = growth(method, random = ~ age | Subject, weights = varIdent(form = ~ 1 | Sex)),
    intercepts = growth(method, random = ~ 1 | Subject, correlation = corCAR1(form = ~ age | Subject),
                        weights = varIdent(form = ~ 1 | Sex))
  )
  for (name in names(models)) cases[[paste(name, method)]] <- limits(models[[name]])
}

# ---- profiles: a residual ar1 by way of a term of the visits and σ held at zero ------------------------------------------

fit <- glmmTMB(FEV1 ~ ARMCD + ar1(0 + AVISIT | USUBJID), fev, dispformula = ~ 0,
               control = glmmTMBControl(optCtrl = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-14)))
# θ = (log σ, ρ/√(1 − ρ²))
profiled <- lapply(1:4, function(k) {
  curve <- as.data.frame(profile(fit, parm = k, precision = 1e-6, stderr = NULL, npts = 12))
  list(names = as.character(curve$.par[1]), value = curve$.focal, deviance = 2 * curve$value)
})
curves <- lapply(profiled, function(one) list(parameter = one$names, limits = NULL, value = one$value,
                                              zeta2 = one$deviance - min(one$deviance)))

versions <- lapply(c(R = "base", nlme = "nlme", glmmTMB = "glmmTMB"), function(p) as.character(packageVersion(p)))
writeLines(toJSON(list(versions = versions, orthodont = orthodont, intervals = cases, profiles = curves),
                  dataframe = "columns", auto_unbox = TRUE, digits = NA, null = "null", na = "null"),
           file.path(here, "repeated_intervals.json"))

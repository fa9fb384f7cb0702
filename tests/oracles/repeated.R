# Residual covariances: nlme's gls and lme, and glmmTMB where nlme has no such structure. -> repeated.json.gz
# A case has the formula and residual as henderson says them, and of one series its covariance as the fit has it.

suppressPackageStartupMessages({
  library(nlme)
  library(glmmTMB)
  library(jsonlite)
})
options(digits = 17, contrasts = c("contr.treatment", "contr.treatment"), warn = 1)
script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
here <- dirname(normalizePath(script))
source_data <- Sys.getenv("FEV_CSV") # mmrm's fev_data as CSV: henderson.datasets.load("fev").to_csv(…, index=False)

# ---- data -----------------------------------------------------------------------------------------------------------

fev <- read.csv(source_data)
fev <- fev[!is.na(fev$FEV1), ]
fev$ARMCD <- factor(fev$ARMCD, levels = c("PBO", "TRT"))
fev$SEX <- factor(fev$SEX, levels = c("Male", "Female"))
fev$RACE <- factor(fev$RACE, levels = c("Asian", "Black or African American", "White"))
fev$AVISIT <- factor(fev$AVISIT)
fev$USUBJID <- factor(fev$USUBJID, levels = unique(fev$USUBJID))

plain <- function(d, names) {
  d <- as.data.frame(d)
  for (name in names) d[[name]] <- factor(as.character(d[[name]]), levels = unique(as.character(d[[name]])))
  d
}
orthodont <- plain(nlme::Orthodont, c("Subject", "Sex"))
ovary <- plain(nlme::Ovary, "Mare")
ovary$k <- ave(seq_along(ovary$Time), ovary$Mare, FUN = seq_along)
body <- plain(nlme::BodyWeight, c("Rat", "Diet"))
dialyzer <- plain(nlme::Dialyzer, c("Subject", "QB"))

set.seed(71)
crossed <- expand.grid(visit = 1:6, patient = 1:60)
crossed$rater <- sample(1:12, nrow(crossed), replace = TRUE)
crossed$x <- round(rnorm(nrow(crossed)), 4)
chain <- function(rho) as.numeric(stats::filter(c(rnorm(1) / sqrt(1 - rho^2), rnorm(5)), rho, method = "recursive"))
crossed$y <- round(2 + 0.5 * crossed$x + rnorm(60, 0, 0.8)[crossed$patient] + rnorm(12, 0, 0.7)[crossed$rater] +
  unlist(lapply(1:60, function(i) chain(0.6))), 4)
crossed <- crossed[runif(nrow(crossed)) < 0.85, ]
crossed$visit <- paste0("v", crossed$visit)
crossed$patient <- sprintf("p%02d", crossed$patient)
crossed$rater <- sprintf("r%02d", crossed$rater)
crossed <- plain(crossed[order(crossed$patient, crossed$visit), ], c("visit", "patient", "rater"))

tables <- list(fev = fev, orthodont = orthodont, ovary = ovary, body = body, dialyzer = dialyzer, crossed = crossed)

# ---- fits -----------------------------------------------------------------------------------------------------------

tight_gls <- glsControl(tolerance = 1e-11, msTol = 1e-13, msMaxIter = 1000, maxIter = 1000, opt = "nlminb", apVar = FALSE)
tight_lme <- lmeControl(tolerance = 1e-11, msTol = 1e-13, msMaxIter = 1000, maxIter = 1000, niterEM = 50,
                        opt = "nlminb", apVar = FALSE)

series_covariance <- function(fit, d, group, label) { # residual covariance of one series, rows in the data's order
  rows <- which(as.character(d[[group]]) == label)
  sd <- rep(fit$sigma, nrow(d))
  if (!is.null(fit$modelStruct$varStruct)) sd <- fit$sigma / varWeights_in_order(fit, d)
  cor <- diag(length(rows))
  if (!is.null(fit$modelStruct$corStruct)) {
    all <- corMatrix(fit$modelStruct$corStruct)
    cor <- if (is.list(all)) all[[grep(paste0("(^|/)", label, "$"), names(all))]] else all
  }
  cor * outer(sd[rows], sd[rows])
}
varWeights_in_order <- function(fit, d) { # lme sorts rows by group: tables here are sorted so already
  varWeights(fit$modelStruct$varStruct)
}

cases <- list()
add <- function(id, data, formula, residual, fit, group = NULL, label = NULL, random = NULL, weights = NULL,
                deviance_only = FALSE) {
  ml <- identical(fit$method, "ML")
  is_lme <- inherits(fit, "lme")
  beta <- if (is_lme) fixef(fit) else coef(fit)
  vcov <- if (is_lme) fit$varFix else fit$varBeta
  case <- list(
    id = id, data = data, formula = formula, residual = residual, weights = weights, reml = !ml,
    deviance = -2 * as.numeric(logLik(fit)), fixef = as.list(beta), se = as.list(sqrt(diag(vcov))), sigma = fit$sigma
  )
  if (!is.null(group)) {
    case$series <- label
    case$series_cov <- series_covariance(fit, tables[[data]], group, label)
  }
  if (is_lme) {
    case$random_cov <- lapply(rev(as.list(as.matrix(fit$modelStruct$reStruct))), function(m) unname(m) * fit$sigma^2)
    case$ranef_first <- as.list(unlist(ranef(fit)[1, , drop = TRUE]))
    case$df <- as.list(fit$fixDF$X)
  }
  cases[[length(cases) + 1]] <<- case
  cat(id, format(case$deviance, digits = 12), "\n")
}

both <- c("REML", "ML")
full <- FEV1 ~ RACE + SEX + ARMCD * AVISIT
full_text <- "FEV1 ~ RACE + SEX + ARMCD * AVISIT"
by_visit <- varIdent(form = ~ 1 | AVISIT)
in_order <- ~ VISITN | USUBJID
structures <- list(
  us = list("us(AVISIT | USUBJID)", corSymm(form = in_order), by_visit),
  cs = list("cs(AVISIT | USUBJID)", corCompSymm(form = in_order), NULL),
  csh = list("csh(AVISIT | USUBJID)", corCompSymm(form = in_order), by_visit),
  ar1 = list("ar1(AVISIT | USUBJID)", corAR1(form = in_order), NULL),
  ar1h = list("ar1h(AVISIT | USUBJID)", corAR1(form = in_order), by_visit),
  car1 = list("car1(VISITN | USUBJID)", corCAR1(form = in_order), NULL),
  sp_exp = list("sp_exp(VISITN2, VISITN | USUBJID)", corExp(form = ~ VISITN2 + VISITN | USUBJID), NULL),
  sp_gau = list("sp_gau(VISITN2, VISITN | USUBJID)", corGaus(form = ~ VISITN2 + VISITN | USUBJID), NULL),
  ident = list("ident(ARMCD)", NULL, varIdent(form = ~ 1 | ARMCD)),
  power = list("power(FEV1_BL)", NULL, varPower(form = ~ FEV1_BL)),
  exp = list("exp(FEV1_BL)", NULL, varExp(form = ~ FEV1_BL)),
  ar1_power = list("ar1(AVISIT | USUBJID) * power(FEV1_BL)", corAR1(form = in_order), varPower(form = ~ FEV1_BL)),
  cs_exp = list("cs(AVISIT | USUBJID) * exp(FEV1_BL)", corCompSymm(form = in_order), varExp(form = ~ FEV1_BL)),
  us_ident = list("us(AVISIT | USUBJID) * ident(ARMCD)", corSymm(form = in_order),
                  varIdent(form = ~ 1 | AVISIT), varIdent(form = ~ 1 | ARMCD)),
  ar1_ident_power = list("ar1(AVISIT | USUBJID) * ident(ARMCD) * power(FEV1_BL)", corAR1(form = in_order),
                         varIdent(form = ~ 1 | ARMCD), varPower(form = ~ FEV1_BL)),
  power_fitted = list("power(fitted)", NULL, varPower()),
  exp_fitted = list("exp(fitted)", NULL, varExp()),
  ar1_power_fitted = list("ar1(AVISIT | USUBJID) * power(fitted)", corAR1(form = in_order), varPower()),
  ar1_weighted = list("ar1(AVISIT | USUBJID)", corAR1(form = in_order), varFixed(~ I(1 / WEIGHT)))
)
for (name in names(structures)) {
  own <- structures[[name]]
  variance <- Filter(Negate(is.null), own[-(1:2)])
  weights <- if (length(variance) == 2) do.call(varComb, variance) else if (length(variance)) variance[[1]]
  for (method in both) {
    fit <- gls(full, fev, correlation = own[[2]], weights = weights, method = method, control = tight_gls)
    grouped <- if (is.null(own[[2]])) NULL else "USUBJID"
    if (name == "ar1_weighted") grouped <- NULL
    add(paste("fev", name, method), "fev", full_text, own[[1]], fit, grouped, "PT11",
        weights = if (name == "ar1_weighted") "WEIGHT")
  }
}

for (method in both) {
  ortho <- function(...) lme(distance ~ age * Sex, orthodont, method = method, control = tight_lme, ...)
  text <- "distance ~ age * Sex + (1 | Subject)"
  first <- levels(orthodont$Subject)[1]
  add(paste("orthodont ar1", method), "orthodont", text, "ar1(age | Subject)",
      ortho(random = ~ 1 | Subject, correlation = corAR1(form = ~ I((age - 6) / 2) | Subject)), "Subject", first)
  add(paste("orthodont car1", method), "orthodont", text, "car1(age | Subject)",
      ortho(random = ~ 1 | Subject, correlation = corCAR1(form = ~ age | Subject)), "Subject", first)
  add(paste("orthodont ident", method), "orthodont", text, "ident(Sex)",
      ortho(random = ~ 1 | Subject, weights = varIdent(form = ~ 1 | Sex)))
  add(paste("orthodont slopes ident", method), "orthodont", "distance ~ age * Sex + (age | Subject)", "ident(Sex)",
      ortho(random = ~ age | Subject, weights = varIdent(form = ~ 1 | Sex)))
  add(paste("orthodont cs ident", method), "orthodont", "distance ~ age * Sex", "cs(age | Subject) * ident(Sex)",
      gls(distance ~ age * Sex, orthodont, correlation = corCompSymm(form = ~ 1 | Subject),
          weights = varIdent(form = ~ 1 | Sex), method = method, control = tight_gls), "Subject", first)
  wave <- follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)
  wave_text <- "follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)"
  mare <- levels(ovary$Mare)[1]
  add(paste("ovary ar1", method), "ovary", paste(wave_text, "+ (1 | Mare)"), "ar1(k | Mare)",
      lme(wave, ovary, random = ~ 1 | Mare, correlation = corAR1(form = ~ k | Mare), method = method,
          control = tight_lme), "Mare", mare)
  add(paste("ovary car1", method), "ovary", paste(wave_text, "+ (1 | Mare)"), "car1(Time | Mare)",
      lme(wave, ovary, random = ~ 1 | Mare, correlation = corCAR1(form = ~ Time | Mare), method = method,
          control = tight_lme), "Mare", mare)
  add(paste("ovary car1 gls", method), "ovary", wave_text, "car1(Time | Mare)",
      gls(wave, ovary, correlation = corCAR1(form = ~ Time | Mare), method = method, control = tight_gls), "Mare", mare)
  rat <- function(...) lme(weight ~ Time * Diet, body, random = ~ Time | Rat, method = method, control = tight_lme, ...)
  rat_text <- "weight ~ Time * Diet + (Time | Rat)"
  add(paste("body exp", method), "body", rat_text, "sp_exp(Time | Rat)", rat(correlation = corExp(form = ~ Time | Rat)),
      "Rat", levels(body$Rat)[1])
  add(paste("body gaus", method), "body", rat_text, "sp_gau(Time | Rat)", rat(correlation = corGaus(form = ~ Time | Rat)),
      "Rat", levels(body$Rat)[1])
  add(paste("body power", method), "body", rat_text, "power(Time)", rat(weights = varPower(form = ~ Time)))
  add(paste("body power fitted", method), "body", rat_text, "power(fitted)", rat(weights = varPower()))
  add(paste("dialyzer power", method), "dialyzer",
      "rate ~ (pressure + I(pressure^2) + I(pressure^3) + I(pressure^4)) * QB + (pressure | Subject)", "power(pressure)",
      lme(rate ~ (pressure + I(pressure^2) + I(pressure^3) + I(pressure^4)) * QB, dialyzer, random = ~ pressure | Subject,
          weights = varPower(form = ~ pressure), method = method, control = tight_lme))
}

# ---- glmmTMB: σ is all but zero (dispformula = ~ 0), so the term is the residuals' --------------------------------------

add_tmb <- function(id, data, formula, residual, fit, labels) {
  group <- names(VarCorr(fit)$cond)[labels]
  cov <- unname(as.matrix(VarCorr(fit)$cond[[group]]))
  cases[[length(cases) + 1]] <<- list(
    id = id, data = data, formula = formula, residual = residual, weights = NULL, reml = fit$modelInfo$REML,
    deviance = -2 * as.numeric(logLik(fit)), fixef = as.list(fixef(fit)$cond),
    se = as.list(sqrt(diag(as.matrix(vcov(fit)$cond)))), engine = "glmmTMB", cov = matrix(as.numeric(cov), nrow(cov)))
  cat(id, format(-2 * as.numeric(logLik(fit)), digits = 12), "\n")
}
tight_tmb <- glmmTMBControl(optCtrl = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-14, x.tol = 1e-12))
for (reml in c(TRUE, FALSE)) {
  tmb <- function(formula, data) glmmTMB(formula, data, dispformula = ~ 0, REML = reml, control = tight_tmb)
  method <- if (reml) "REML" else "ML"
  add_tmb(paste("fev toeph", method), "fev", full_text, "toeph(AVISIT | USUBJID)",
          tmb(FEV1 ~ RACE + SEX + ARMCD * AVISIT + toep(0 + AVISIT | USUBJID), fev), 1)
  add_tmb(paste("crossed ar1 patients raters", method), "crossed", "y ~ x + (1 | patient) + (1 | rater)",
          "ar1(visit | patient)",
          tmb(y ~ x + (1 | rater) + ar1(0 + visit | patient) + (1 | patient), crossed), 2)
  add_tmb(paste("crossed us raters", method), "crossed", "y ~ x + (1 | rater)", "us(visit | patient)",
          tmb(y ~ x + (1 | rater) + us(0 + visit | patient), crossed), 2)
}

versions <- lapply(c(R = "base", nlme = "nlme", glmmTMB = "glmmTMB"), function(p) as.character(packageVersion(p)))
levels_of <- lapply(tables[-1], function(d) lapply(Filter(is.factor, d), levels))
out <- gzfile(file.path(here, "repeated.json.gz"), "w")
writeLines(toJSON(list(versions = versions, levels = levels_of, data = tables[-1], cases = cases),
                  dataframe = "columns", auto_unbox = TRUE, digits = NA, null = "null", na = "null"), out)
close(out)

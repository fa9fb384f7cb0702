# Predictions of models whose residuals correlate, with standard errors, by glmmTMB: the series' own past is in. -> repeated_predictions.json.gz
# σ is all but zero (dispformula = ~ 0), so that the structured term is the residuals'. Rows without FEV1 are visits to be predicted.

suppressPackageStartupMessages({
  library(glmmTMB)
  library(jsonlite)
})
options(digits = 17, contrasts = c("contr.treatment", "contr.treatment"), warn = 1)
here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))))
all_rows <- read.csv(Sys.getenv("FEV_CSV")) # henderson.datasets.load("fev").to_csv(…, index=False)
all_rows$ARMCD <- factor(all_rows$ARMCD, levels = c("PBO", "TRT"))
all_rows$AVISIT <- factor(all_rows$AVISIT)
all_rows$SITE <- factor(as.integer(sub("PT", "", all_rows$USUBJID)) %% 8)
all_rows$FEV1 <- all_rows$FEV1 + 6 * sin(as.integer(as.character(all_rows$SITE)))
fev <- all_rows[!is.na(all_rows$FEV1), ]
missed <- all_rows[is.na(all_rows$FEV1) & all_rows$USUBJID %in% fev$USUBJID, ]
missed <- missed[seq(1, nrow(missed), 4), ]

tight <- glmmTMBControl(optCtrl = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-14, x.tol = 1e-12))
models <- list(
  list(id = "us", formula = "FEV1 ~ ARMCD * AVISIT", residual = "us(AVISIT | USUBJID)",
       tmb = FEV1 ~ ARMCD * AVISIT + us(0 + AVISIT | USUBJID)),
  list(id = "ar1", formula = "FEV1 ~ ARMCD * AVISIT", residual = "ar1(AVISIT | USUBJID)",
       tmb = FEV1 ~ ARMCD * AVISIT + ar1(0 + AVISIT | USUBJID)),
  list(id = "ar1 in sites", formula = "FEV1 ~ ARMCD + (1 | SITE)", residual = "ar1(AVISIT | USUBJID)",
       tmb = FEV1 ~ ARMCD + (1 | SITE) + ar1(0 + AVISIT | USUBJID)),
  list(id = "us in sites", formula = "FEV1 ~ ARMCD + (1 | SITE)", residual = "us(AVISIT | USUBJID)",
       tmb = FEV1 ~ ARMCD + (1 | SITE) + us(0 + AVISIT | USUBJID)))
cases <- list()
for (model in models) for (reml in c(TRUE, FALSE)) {
  fit <- glmmTMB(model$tmb, fev, dispformula = ~ 0, REML = reml, control = tight)
  p <- predict(fit, missed, se.fit = TRUE)
  cases[[length(cases) + 1]] <- list(
    id = paste(model$id, if (reml) "REML" else "ML"), formula = model$formula, residual = model$residual, reml = reml,
    deviance = -2 * as.numeric(logLik(fit)), fit = as.numeric(p$fit), se = as.numeric(p$se.fit))
  cat(cases[[length(cases)]]$id, "\n")
}
rows <- missed[c("USUBJID", "AVISIT")]
rows[] <- lapply(rows, as.character)
out <- gzfile(file.path(here, "repeated_predictions.json.gz"), "w")
writeLines(toJSON(list(versions = list(R = R.version.string, glmmTMB = as.character(packageVersion("glmmTMB"))),
                       data = list(missed = rows), cases = cases),
                  dataframe = "columns", auto_unbox = TRUE, digits = NA), out)
close(out)

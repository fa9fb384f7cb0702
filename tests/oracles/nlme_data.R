# Data of nlme that no other listing uses: nlme_data.json.gz. See README.md beside this file.
#
# For every model lme4's profile limits; where it has several fixed terms lmerTest's drop1() and step(); glmmTMB's predictions with
# standard errors, of the data's levels and of new ones (`predictions.R` says how). Several models end singular.

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(glmmTMB))

of_nlme <- function(name) plain(get(data(list = name, package = "nlme", envir = environment()), envir = environment()))
words <- function(d, names) {
  d[names] <- lapply(d[names], function(x) factor(as.character(x), levels = as.character(levels(factor(x)))))
  d
}
inline <- lapply(setNames(nm = c("ergoStool", "Oxboys", "Rail", "Pixel", "Meat", "Gasoline", "Earthquake", "Milk", "Assay", "Muscle",
                                 "Orthodont", "IGF", "Alfalfa")), of_nlme)
inline$Earthquake$lograte <- round(log(inline$Earthquake$accel), 6)
inline$Milk <- inline$Milk[as.integer(inline$Milk$Cow) %% 3 == 1, ]
inline$Milk$Cow <- droplevels(inline$Milk$Cow)
inline <- lapply(inline, function(d) { rownames(d) <- NULL; words(d, names(Filter(is.factor, d))) })
tables <- inline

cases <- list(
  case("ergoStool", "ergoStool", "effort ~ Type + (1 | Subject)"),
  case("Oxboys", "Oxboys", "height ~ age + (age | Subject)"),
  case("Rail", "Rail", "travel ~ 1 + (1 | Rail)"),
  case("Pixel", "Pixel", "pixel ~ day + I(day^2) + (1 | Dog/Side)", python = "pixel ~ day + I(day**2) + (1 | Dog/Side)"),
  case("Meat", "Meat", "score ~ Storage + (1 | Block)"),
  case("Gasoline", "Gasoline", "yield ~ endpoint + vapor + ASTM + (1 | Sample)"),
  case("Earthquake", "Earthquake", "lograte ~ distance + Richter + soil + (1 | Quake)"),
  case("Milk", "Milk", "protein ~ Diet * Time + (1 | Cow)"),
  case("Assay", "Assay", "logDens ~ sample * dilut + (1 | Block)"),
  case("Muscle", "Muscle", "length ~ conc + (conc || Strip)"),
  case("Orthodont", "Orthodont", "distance ~ age * Sex + (age | Subject)"),
  case("IGF", "IGF", "conc ~ age + (age | Lot)"),
  case("Alfalfa", "Alfalfa", "Yield ~ Variety * Date + (1 | Block/Variety)")
)
names(cases) <- vapply(cases, `[[`, "", "id")

profiled <- function(m) attempt({
  p <- suppressWarnings(profile(m, signames = FALSE, delta.cutoff = 1 / 16))
  ci <- suppressWarnings(confint(p, level = 0.95))
  list(names = rownames(ci), lower = unname(ci[, 1]), upper = unname(ci[, 2]))
})

table_of <- function(t, columns) {
  t <- as.data.frame(t)
  c(list(term = rownames(t)), setNames(lapply(columns, function(name) t[[name]]), names(columns)))
}
tests <- c(num_df = "NumDF", den_df = "DenDF", F = "F value", p = "Pr(>F)")

fewer <- function(m) lapply(c(satterthwaite = "Satterthwaite", `kenward-roger` = "Kenward-Roger"), function(ddf) attempt({
  s <- step(m, ddf = ddf)
  list(drop1 = table_of(drop1(m, ddf = ddf), tests), fixed = table_of(s$fixed, c(eliminated = "Eliminated", tests)),
       random = table_of(s$random, c(eliminated = "Eliminated", statistic = "LRT", df = "Df", p = "Pr(>Chisq)")))
}))

predicted <- function(case) attempt({
  d <- tables[[case$data]]
  m <- glmmTMB(as.formula(case$formula), d, REML = TRUE,
               control = glmmTMBControl(optCtrl = list(iter.max = 1e4, eval.max = 1e4, rel.tol = 1e-12)))
  new <- d[seq(1, nrow(d), length.out = 8), ]
  at <- function(new) {
    p <- predict(m, new, se.fit = TRUE, allow.new.levels = TRUE)
    list(fit = as.numeric(p$fit), se = as.numeric(p$se.fit))
  }
  known <- at(new)
  random <- setdiff(unlist(strsplit(names(ranef(m)$cond), ":")), all.vars(lme4::nobars(as.formula(case$formula))))
  for (g in random) new[[g]] <- factor(paste0("new", as.character(new[[g]])))
  list(rows = as.integer(seq(1, nrow(d), length.out = 8)) - 1, conditional = known, new = at(new), deviance = one(-2 * as.numeric(logLik(m))))
})

record <- function(case) {
  m <- fitted_model(case)
  several <- length(attr(terms(m), "term.labels")) > 1
  list(deviance = one(unname(REMLcrit(m))), singular = one(isSingular(m)), sd = as.data.frame(VarCorr(m))$sdcor, profile = profiled(m),
       fewer = if (several) fewer(m) else NULL, glmmTMB = predicted(case))
}

write_listing("nlme_data", names(cases), record, c("lme4", "lmerTest", "pbkrtest", "glmmTMB", "nlme"))

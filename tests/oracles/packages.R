# Marginal means, contrasts with every adjustment, trends and joint tests of models for data sets that come with R's
# packages: packages.json.gz. See README.md beside this file.
#
#   Rscript packages.R

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(emmeans))
emm_options(lmerTest.limit = 1e6, msg.interaction = FALSE, msg.nesting = FALSE)

# ---- models: data, formula, and the formula in Python where that differs ---------------------------------------------

from <- function(name, package) {
  here <- new.env()
  data(list = name, package = package, envir = here)
  as.data.frame(get(ls(here)[1], here))
}
models <- list(
  pigs = list(from("pigs", "emmeans"), "log(conc) ~ source + factor(percent) + (1 | lot)"),
  oranges = list(from("oranges", "emmeans"), "sales1 ~ price1 + price2 + day + (1 | store)"),
  fiber = list(from("fiber", "emmeans"), "strength ~ diameter * machine + (1 | lot)"),
  nutrition = list(from("nutrition", "emmeans"), "gain ~ (age + group + race)^2 + (1 | lot)"),
  noise = list(from("autonoise", "emmeans"), "noise ~ size * type + (1 | side)"),
  feedlot = list(from("feedlot", "emmeans"), "swt ~ ewt + herd + diet + (1 | lot)"),
  warp = list(warpbreaks, "breaks ~ wool * tension + (1 | lot)"),
  oats = list(from("Oats", "nlme"), "yield ~ Variety * factor(nitro) + (1 | Block/Variety)"),
  npk = list(npk, "yield ~ N * P * K + (1 | block)"),
  co2 = list(CO2, "uptake ~ Type * Treatment * log(conc) + (1 | Plant)"),
  `chicks-curve` = list(subset(ChickWeight, Time < 13), "weight ~ Diet * poly(Time, 2) + (1 | Chick)"),
  orthodont = list(from("Orthodont", "nlme"), "distance ~ Sex * age + (age | Subject)"),
  pups = list(from("RatPupWeight", "nlme"), "weight ~ sex * Treatment + Lsize + (1 | Litter)"),
  pbg = list(from("PBG", "nlme"), "deltaBP ~ Treatment * log(dose) + (1 | Rabbit)"),
  ham = list(from("ham", "lmerTest"), "Informed.liking ~ Product * Information + Gender + (1 | Consumer)", "`Informed.liking` ~ Product * Information + Gender + (1 | Consumer)"),
  beets = list(from("beets", "pbkrtest"), "sugpct ~ block + sow + harvest + (1 | block:harvest)"),
  quine = list(MASS::quine, "Days ~ Eth * Sex + Age * Lrn + (1 | lot)"),
  arabidopsis = list(subset(Arabidopsis, popu %in% c("1.SP", "3.NL", "5.SW")), "sqrt(total.fruits) ~ nutrient * amd + rack + status + (1 | reg/popu) + (1 | gen)", "sqrt(`total.fruits`) ~ nutrient * amd + rack + status + (1 | reg/popu) + (1 | gen)")
)

prepared <- function(model) { # the columns of the formula, unordered factors; `lot`: seven made-up groups
  d <- model[[1]]
  d$lot <- label("l", 1 + (seq_len(nrow(d)) * 5) %% 7)
  wanted <- all.vars(as.formula(model[[2]]))
  if (!all(wanted %in% names(d))) stop("no ", setdiff(wanted, names(d)), " among ", toString(names(d)))
  d <- na.omit(d[wanted])
  d[] <- lapply(d, function(v) if (is.factor(v) || is.character(v)) factor(as.character(v), levels = levels(factor(v))) else as.numeric(v))
  rownames(d) <- NULL
  d
}
inline <- tables <- lapply(models, prepared)
cases <- lapply(names(models), function(id) case(id, id, models[[id]][[2]], python = tail(unlist(models[[id]][-1]), 1)))
names(cases) <- names(models)

# ---- answers ---------------------------------------------------------------------------------------------------------

renames <- c(emmean = "estimate", SE = "se", lower.CL = "lower", upper.CL = "upper", t.ratio = "statistic", p.value = "p",
             F.ratio = "F", df1 = "num_df", df2 = "den_df", `model term` = "term")
as_columns <- function(table, trend = NULL) {
  d <- as.data.frame(table)
  names(d) <- ifelse(names(d) %in% names(renames), renames[names(d)], names(d))
  if (!is.null(trend)) names(d)[names(d) == paste0(trend, ".trend")] <- "estimate"
  d[] <- lapply(d, function(x) if (is.factor(x)) as.character(x) else x)
  as.list(d)
}
adjustments <- c("none", "tukey", "sidak", "bonferroni", "holm", "hochberg", "hommel", "BH", "BY", "scheffe", "mvt")
methods <- c("revpairwise", "trt.vs.ctrl", "trt.vs.ctrlk", "consec", "eff", "del.eff", "mean_chg", "poly")

record <- function(case) {
  m <- fitted_model(case)
  data <- tables[[case$data]]
  fixed <- all.vars(lme4::nobars(as.formula(case$formula))[[3]])
  in_factor <- vapply(fixed, function(v) is.factor(data[[v]]) || grepl(paste0("factor\\(", v), case$formula), NA)
  factors <- fixed[in_factor]
  covariates <- fixed[!in_factor]
  means_of <- function(specs, by = NULL, ...) emmeans(m, specs, by = by, lmer.df = "satterthwaite", data = data, ...)
  written <- function(e, ...) as_columns(summary(e, infer = TRUE), ...)
  means <- lapply(c("1", factors), function(f) {
    of <- setNames(c("equal", "proportional", "cells", "outer", "flat"), c("equal", "proportional", "cells", "outer", "flat"))
    c(list(specs = one(f)), lapply(of, function(w) attempt(written(means_of(as.formula(paste("~", f)), weights = w)))))
  })
  contrasts <- lapply(factors, function(f) {
    e <- means_of(f)
    k <- length(levels(factor(data[[f]])))
    pairwise <- lapply(setNames(adjustments, adjustments), function(a) if (a == "mvt" && k > 5) list() else attempt({
      set.seed(1)
      written(contrast(e, "pairwise", adjust = a))
    }))
    others <- lapply(setNames(methods, methods), function(how) if (k > 8 && how %in% c("poly", "consec")) list() else attempt({
      set.seed(1)
      written(contrast(e, how))
    }))
    list(specs = one(f), pairwise = pairwise, others = others)
  })
  two <- if (length(factors) > 1) combn(factors, 2, simplify = FALSE) else list()
  simple <- lapply(c(two, lapply(two, rev)), function(p) {
    e <- means_of(p[1], p[2])
    list(specs = one(p[1]), by = one(p[2]), means = attempt(written(e)), contrasts = attempt(written(contrast(e, "pairwise"))),
         interaction = attempt(written(contrast(means_of(p), interaction = "pairwise"))))
  })
  trends <- lapply(covariates, function(x) lapply(c("1", factors), function(f) {
    e <- attempt(emtrends(m, as.formula(paste("~", f)), var = x, lmer.df = "satterthwaite", data = data, delta.var = 1e-6 * diff(range(data[[x]]))))
    list(var = one(x), specs = one(f), table = if (is(e, "emmGrid")) attempt(written(e, x)) else e,
         pairwise = if (is(e, "emmGrid") && f != "1") attempt(written(contrast(e, "pairwise"))) else list())
  }))
  at <- lapply(covariates, function(x) lapply(factors, function(f) {
    points <- as.numeric(quantile(data[[x]], c(0.2, 0.7), type = 1))
    e <- attempt(means_of(f, x, at = setNames(list(unique(points)), x)))
    list(var = one(x), specs = one(f), at = unique(points), table = if (is(e, "emmGrid")) attempt(written(e)) else e)
  }))
  tests <- lapply(c(list(NULL), as.list(factors)), function(b) list(by = b, table = attempt(as_columns(joint_tests(m, by = b, lmer.df = "satterthwaite", data = data)))))
  list(deviance = one(unname(if (isREML(m)) REMLcrit(m) else deviance(m))), means = means, contrasts = contrasts, simple = simple,
       trends = do.call(c, trends), at = do.call(c, at), joint_tests = tests)
}

write_listing("packages", names(cases), record, c("lme4", "lmerTest", "emmeans"))

# Marginal means of emmeans for models of common.R: emmeans.json.gz. See README.md beside this file.
#
#   Rscript emmeans.R                all cases
#   ORACLE_PARTS=<folder> Rscript emmeans.R id [id ...]    only these; the others from an earlier run in that folder
#
# A request is one call of emmeans or emtrends with its contrasts; each is answered for the three kinds of ddf.
# Tables have one vocabulary: the factor columns or `contrast`, then estimate, se, df, lower, upper, statistic, p.

source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(emmeans))
emm_options(lmerTest.limit = 1e6, pbkrtest.limit = 1e6, msg.interaction = FALSE)

# ---- requests -------------------------------------------------------------------------------------------------------

# trend: the covariate of emtrends. contrasts: list of c(method, adjust, ...). joint: joint_tests(by = by).
request <- function(specs, by = NULL, at = NULL, weights = "equal", trend = NULL, contrasts = list(), delta = NULL) {
  list(specs = specs, by = by, at = at, weights = weights, trend = trend, contrasts = contrasts, delta = delta)
}
adjusted <- function(method, adjusts) lapply(adjusts, function(a) c(method, a))
everything <- c(adjusted("pairwise", c("none", "tukey", "sidak", "bonferroni", "holm", "scheffe", "mvt")),
                adjusted("trt.vs.ctrl", c("dunnettx", "mvt", "none")), list(c("trt.vs.ctrlk", "none")),
                adjusted("poly", "none"), adjusted("consec", c("none", "mvt", "sidak")), adjusted("eff", c("none", "holm")),
                adjusted("revpairwise", "tukey"), adjusted("del.eff", "none"), adjusted("mean_chg", "none"))
tukey <- adjusted("pairwise", "tukey")

requests <- list(
  sleepstudy = list(request("Days", at = list(Days = c(0, 3, 9)), contrasts = adjusted("consec", "none"))),
  cake = list(request("recipe", contrasts = everything, delta = 4), request("temperature", contrasts = everything),
              request("recipe", by = "temperature", contrasts = tukey),
              request(c("recipe", "temperature"), contrasts = adjusted("pairwise", c("tukey", "holm")))),
  `cake-temp` = list(request("recipe", at = list(temp = c(180, 220)), contrasts = tukey),
                     request("recipe", by = "temp", at = list(temp = c(180, 220)), contrasts = tukey),
                     request("recipe", trend = "temp", contrasts = tukey)),
  oats = list(request("N", contrasts = everything, delta = 10), request("Variety", contrasts = everything),
              request("N", by = "Variety", contrasts = c(tukey, adjusted("poly", "none"), adjusted("trt.vs.ctrl", "dunnettx"))),
              request("Variety", by = "N", contrasts = tukey), request("Variety", weights = "proportional", contrasts = tukey),
              request("Variety", weights = "cells", contrasts = tukey),
              request(c("N", "Variety"), contrasts = adjusted("pairwise", "tukey"))),
  `oats-linear` = list(request("Variety", contrasts = tukey), request("Variety", trend = "nitro", contrasts = everything[1:6]),
                       request("Variety", at = list(nitro = 0.1), contrasts = tukey)),
  crossed = list(request("A", by = "B", contrasts = adjusted("pairwise", c("tukey", "none")), delta = 0.4),
                 request("B", contrasts = everything), request("B", by = "A", contrasts = adjusted("pairwise", c("tukey", "sidak"))),
                 request("B", weights = "proportional", contrasts = tukey), request("B", weights = "cells", contrasts = tukey)),
  `crossed-slope` = list(request("A", contrasts = tukey), request(c("A", "B"), contrasts = tukey), request("B", by = "A", contrasts = tukey)),
  `crossed-ml` = list(request("B", contrasts = tukey)),
  `machines-slope` = list(request("Machine", contrasts = everything, delta = 5)),
  `machines-nested` = list(request("Machine", contrasts = everything)),
  weighted = list(request("f", contrasts = everything[1:6]), request("f", trend = "x", contrasts = tukey)),
  `weighted-intercept` = list(request("f", contrasts = everything[1:6])),
  ancova = list(request("f", contrasts = everything, delta = 0.5), request("f", by = "h", contrasts = tukey),
                request("f", trend = "x", contrasts = everything[1:6]), request("f", at = list(x = c(0, 2)), contrasts = tukey),
                request("f", by = "x", at = list(x = c(0, 2)), contrasts = tukey),
                request("h", weights = "proportional", contrasts = tukey), request("h", weights = "cells", contrasts = tukey)),
  quadratic = list(request("f", at = list(x = 1), contrasts = tukey), request("f", trend = "x", at = list(x = 1), contrasts = tukey)),
  factorial = list(request(c("A", "B", "C"), contrasts = tukey), request("C", by = c("A", "B"), contrasts = c(tukey, adjusted("poly", "none"))),
                   request("C", contrasts = everything), request("A", weights = "proportional", contrasts = tukey)),
  `factorial-main` = list(request("C", contrasts = tukey), request("A", by = "B", contrasts = tukey),
                          request("C", weights = "proportional"), request("C", weights = "cells")),
  hole = list(request(c("A", "B"), contrasts = adjusted("pairwise", "none")), request("A"), request("B", by = "A", contrasts = tukey)),
  dyestuff2 = list(request("1")),
  flat = list(request("x", at = list(x = c(-1, 2))))
)

# ---- answers --------------------------------------------------------------------------------------------------------

renames <- c(emmean = "estimate", SE = "se", lower.CL = "lower", upper.CL = "upper", asymp.LCL = "lower", asymp.UCL = "upper",
             t.ratio = "statistic", z.ratio = "statistic", p.value = "p", F.ratio = "F", df1 = "num_df", df2 = "den_df",
             `model term` = "term")
as_columns <- function(table, trend = NULL) {
  d <- as.data.frame(table)
  names(d) <- ifelse(names(d) %in% names(renames), renames[names(d)], names(d))
  if (!is.null(trend)) names(d)[names(d) == paste0(trend, ".trend")] <- "estimate"
  d[] <- lapply(d, function(x) if (is.factor(x)) as.character(x) else x)
  as.list(d)
}

grid_of <- function(m, data, r, ddf) {
  specs <- as.formula(paste("~", paste(r$specs, collapse = " * "),
                            if (length(r$by)) paste("|", paste(r$by, collapse = " * "))))
  if (is.null(r$trend)) {
    emmeans(m, specs, at = r$at, weights = r$weights, lmer.df = ddf, data = data)
  } else {
    step <- 1e-6 * diff(range(data[[r$trend]])) # emtrends takes a forward difference
    emtrends(m, specs, var = r$trend, delta.var = step, at = r$at, lmer.df = ddf, data = data)
  }
}

answer <- function(m, data, r, ddf) attempt({
  g <- grid_of(m, data, r, ddf)
  out <- list(means = as_columns(summary(g, infer = TRUE, adjust = "none"), r$trend))
  out$contrasts <- lapply(r$contrasts, function(k) {
    set.seed(1) # mvt integrates by quasi-Monte Carlo, to about 1e-3
    table <- attempt(as_columns(summary(contrast(g, method = k[1], adjust = k[2]), infer = TRUE)))
    list(method = one(k[1]), adjust = one(k[2]), table = table)
  })
  if (!is.null(r$delta)) {
    pairs <- contrast(g, "pairwise", adjust = "none")
    out$equivalence <- lapply(c(equivalence = "equivalence", noninferiority = "noninferiority", nonsuperiority = "nonsuperiority"),
                              function(side) as_columns(test(pairs, delta = r$delta, side = side, adjust = "none")))
  }
  if (is.null(r$trend)) out$coefficients <- unname(g@linfct)
  out
})

ddfs <- c("kenward-roger", "satterthwaite", "asymptotic")

joint_section <- function(m, data, rs) {
  bys <- unique(c(list(NULL), Filter(Negate(is.null), lapply(rs, function(r) if (is.null(r$at)) r$by))))
  lapply(bys, function(by) {
    c(list(by = by), setNames(lapply(ddfs, function(ddf) attempt({
      as_columns(joint_tests(m, by = by, lmer.df = ddf, data = data))
    })), ddfs))
  })
}

record <- function(case) {
  m <- fitted_model(case)
  data <- tables[[case$data]]
  rs <- requests[[case$id]]
  usable <- if (isREML(m)) ddfs else ddfs[-1]
  list(requests = lapply(rs, function(r) {
    c(list(specs = r$specs, by = r$by, at = r$at, weights = one(r$weights), trend = if (is.null(r$trend)) NULL else one(r$trend),
           delta = if (is.null(r$delta)) NULL else one(r$delta)),
      setNames(lapply(usable, function(ddf) answer(m, data, r, ddf)), usable))
  }), joint_tests = joint_section(m, data, rs))
}

write_listing("emmeans", names(requests), record, c("lme4", "lmerTest", "pbkrtest", "emmeans", "mvtnorm"))

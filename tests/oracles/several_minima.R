# gls on series whose likelihood has several maxima: the higher one of each. -> several_minima.json

suppressPackageStartupMessages({
  library(nlme)
  library(MASS)
  library(jsonlite)
})
options(digits = 17, contrasts = c("contr.treatment", "contr.treatment"))
here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))))
tight <- glsControl(tolerance = 1e-11, msTol = 1e-13, msMaxIter = 1000, maxIter = 1000, opt = "nlminb", apVar = FALSE)

plain <- function(d, names) {
  d <- as.data.frame(d)
  for (name in names) d[[name]] <- as.character(d[[name]])
  attributes(d) <- attributes(d)[c("names", "row.names", "class")]
  d
}
data(Orange, Indometh)
orange <- plain(Orange, "Tree")
orange <- orange[order(orange$Tree, orange$age), ]
orange$visit <- paste0("v", match(orange$age, sort(unique(orange$age))))
indometh <- plain(Indometh, "Subject")
indometh$logs <- log(indometh$conc)
indometh <- indometh[order(as.integer(indometh$Subject), indometh$time), ]
pbg <- plain(nlme::PBG, c("Rabbit", "Treatment"))
pbg$series <- paste(pbg$Rabbit, pbg$Treatment)
pbg$logs <- log(pbg$dose)
pbg <- pbg[order(pbg$series, pbg$dose), c("deltaBP", "dose", "logs", "Treatment", "series")]
sitka <- plain(MASS::Sitka89, "treat")
sitka <- sitka[order(sitka$tree, sitka$Time), ]
sitka$visit <- paste0("v", match(sitka$Time, sort(unique(sitka$Time))))
tables <- list(orange = orange, indometh = indometh, pbg = pbg, sitka = sitka)

cases <- list()
add <- function(id, data, formula, residual, ..., method = "REML") {
  fit <- gls(as.formula(formula), tables[[data]], ..., method = method, control = tight)
  cases[[length(cases) + 1]] <<- list(
    id = id, data = data, formula = formula, residual = residual, reml = method == "REML",
    deviance = -2 * as.numeric(logLik(fit)), fixef = unname(coef(fit))
  )
  cat(id, cases[[length(cases)]]$deviance, "\n")
}
by_visit <- varIdent(form = ~ 1 | visit)
add("orange", "orange", "circumference ~ age", "cs(visit | Tree) * ident(visit)",
    correlation = corCompSymm(form = ~ 1 | Tree), weights = by_visit)
add("orange_exp", "orange", "circumference ~ age", "exp(age)", weights = varExp(form = ~ age))
add("pbg", "pbg", "deltaBP ~ logs * Treatment", "sp_exp(dose | series) * power(dose)",
    correlation = corExp(form = ~ dose | series), weights = varPower(form = ~ dose))
add("sitka", "sitka", "size ~ Time * treat", "ar1h(visit | tree)",
    correlation = corAR1(form = ~ 1 | tree), weights = by_visit)
for (method in c("REML", "ML")) {
  add(paste0("indometh_", method), "indometh", "logs ~ time", "ar1(time | Subject) * power(time)",
      correlation = corAR1(0.999, form = ~ 1 | Subject), weights = varPower(0.26, form = ~ time), method = method)
  add(paste0("indometh_cs_", method), "indometh", "logs ~ time", "cs(time | Subject) * exp(time)",
      correlation = corCompSymm(0.99, form = ~ 1 | Subject), weights = varExp(-0.2, form = ~ time), method = method)
}
write_json(list(versions = list(R = as.character(getRversion()), nlme = as.character(packageVersion("nlme"))),
                data = tables, cases = cases),
           file.path(here, "several_minima.json"), digits = NA, auto_unbox = TRUE, dataframe = "columns")

# What R makes of formulas: model matrices of the data (rows with missing values left out) and of new rows.
# Rscript formulas.R | gzip -9n > formulas.json.gz
suppressMessages({library(splines); library(jsonlite)})
options(digits = 17)
n <- 60
d <- data.frame(
  y = sin(1:n) * 3, x = cos(1:n * 1.3) * 2, w = 1 + (1:n * 13) %% 17 / 3.3, z = as.integer((1:n * 7) %% 4),
  k = c("a", "b", "c")[(1:n * 11) %% 7 %% 3 + 1], b = c("u", "v")[(1:n * 5) %/% 3 %% 2 + 1],
  bmi.base = 20 + (1:n * 3) %% 11 + 0.25, stringsAsFactors = FALSE)
d$y[c(3, 17)] <- NA
d$x[c(5, 40)] <- NA
new <- data.frame(x = c(-1.2, 0, 0.4, 1.7, -0.3), w = c(1.5, 3, 5.5, 2, 4.2), z = c(0L, 3L, 1L, 2L, 1L),
  k = c("a", "c", "b", "b", "a"), b = c("u", "v", "v", "u", "u"), bmi.base = c(21, 25.5, 30, 22, 20.5))
far <- data.frame(x = c(-9, 5), w = c(0.2, 40), z = c(0L, 3L), k = c("a", "c"), b = c("u", "v"), bmi.base = c(1, 50))
formulas <- c(
  "ns(x, 3)", "ns(x, df = 5)", "ns(w, knots = c(2, 4))", "ns(w, knots = 3, Boundary.knots = c(1.5, 5))", "ns(x)",
  "0 + ns(x, df = 4, intercept = TRUE)", "ns(x, 2) * k", "bs(x, df = 5)", "bs(x, knots = c(-0.5, 0.5), degree = 2)",
  "bs(w, df = 4, Boundary.knots = c(0, 9))", "poly(w, 3)", "poly(z, 2, raw = TRUE)", "poly(w, degree = 2):k", "scale(x)",
  "scale(w, scale = FALSE)", "scale(x) * k", "cut(w, 3)", "cut(w, c(0, 2, 4, 7))", "cut(w, breaks = 5, dig.lab = 2)",
  "cut(z, c(0, 2, 5), right = FALSE, labels = c('lo', 'hi'))", "cut(w, c(1, 3, 7), include.lowest = TRUE)",
  "relevel(factor(k), ref = 'b')", "relevel(factor(z), ref = '2')", "relevel(as.factor(k), 'c') * x",
  "ifelse(x > 0, 1, z)", "ifelse(k == 'a', 'one', 'other')", "pmin(x, 0.5)", "pmax(x, z, 0.25)", "I(w > 3 & z < 2)",
  "I(x > 0 | z == 1)", "I(!(x > 0))", "I(k %in% c('a', 'b'))", "(k == 'a') * x", "(x > 0)", "x + (z != 1)", "as.factor(z)",
  "factor(z, levels = c(2, 0, 1, 3))", "factor(z, levels = c('2', '0', '1', '3'))", "factor(k, levels = c('c', 'a', 'b'))",
  "factor(z, labels = c('p', 'q', 'r', 's'))", "factor(z, levels = 3:0)", "interaction(k, b)", "interaction(k, b, sep = '_')",
  "as.numeric(x > 0)", "as.numeric(z)", "I(z %/% 2)", "I(z %% 2 * x)", "I(2 * z %% 3)", "log(w)", "log(w, 2)", "log2(w)",
  "log10(w)", "log1p(w)", "I(w^-0.5)", "exp(x / 2)", "expm1(x)", "sqrt(w)", "I(z^2 - 2 * z)", "I(-x^2)", "I(2 * pi * x)",
  "sin(2 * pi * x)", "abs(x)", "round(x, 1)", "sign(x)", "floor(x)", "ceiling(x)", "trunc(x)", "atan(x)", "log(bmi.base)",
  "scale(bmi.base) * k", "bmi.base:k", "C(factor(k), contr.sum)", "C(factor(k), contr.helmert) * x", "C(factor(k), contr.treatment)",
  "C(factor(z), contr.poly)", "ordered(k)", "factor(z, ordered = TRUE)", "I(x - mean(x, na.rm = TRUE))",
  "k / b", "k / x", "(x + w) / k", "k / (b * x)", "(x + z + k)^2", "(x + z + k)^2 - x:z", "(k + b + x)^3 - k:b:x", "k * b - k",
  "x^2", "0 + k", "-1 + x:k", "k - 1", "x + 0 + b", "x * k * b", "x + x:k", "b + b:k", "0 + b:k + x", "paste(k, b)",
  "I((x > 0) + (z > 1))", "I(as.numeric(k == 'a'))", "x - 1 + 1", "w:(k + b)", "(k + b):x - b:x", "as.integer(w)",
  "plogis(x)", "qlogis(w / 10)", "x + I(x * (x > 0))", "I(w > mean(w))")
without_new <- c("I(x - mean(x, na.rm = TRUE))", "I(w > mean(w))", "I(w - mean(w))", "cut(w, 3)",
  "cut(w, breaks = 5, dig.lab = 2)") # R takes the mean, or the range, of the new rows there
cases <- function(text, subset = NULL, contrasts = NULL) {
  f <- as.formula(paste("y ~", text))
  m <- suppressWarnings(eval(bquote(lm(.(f), d, subset = .(subset), contrasts = .(contrasts)))))
  rhs <- delete.response(terms(m))
  made <- function(rows) {
    if (text %in% without_new) return(NULL)
    frame <- suppressWarnings(model.frame(rhs, rows, xlev = m$xlevels, na.action = na.pass))
    unname(model.matrix(rhs, frame, contrasts.arg = m$contrasts))
  }
  is_far <- !grepl("bs\\(|cut\\(|qlogis|as.integer|sqrt|log|factor", text)
  X <- model.matrix(m)
  list(formula = text, subset = if (is.null(subset)) NA else deparse(subset), contrasts = contrasts,
       names = colnames(X), rows = as.integer(rownames(X)) - 1L, X = unname(X), new = made(new), far = if (is_far) made(far))
}
out <- lapply(formulas, cases)
for (text in c("scale(x)", "poly(w, 2)", "ns(x, 3)", "bs(w, df = 4)", "cut(w, 3)", "I(w - mean(w))", "x"))
  out <- c(out, list(cases(text, quote(w < 5 & z != 3))))
out <- c(out, list(cases("k * x", NULL, list(k = "contr.sum")), cases("k + b", NULL, list(k = "contr.helmert", b = "contr.sum")),
                   cases("factor(z)", NULL, list(`factor(z)` = "contr.poly"))))
cat(toJSON(list(data = as.list(d), new = as.list(new), far = as.list(far), models = out), digits = 17, na = "null", null = "null",
           auto_unbox = TRUE))

# What the inference scripts share: data, models fitted to the end, and how results are written. Sourced, not run.

suppressPackageStartupMessages({
  library(lme4)
  library(lmerTest)
  library(jsonlite)
})
options(digits = 17, contrasts = c("contr.treatment", "contr.treatment"), warn = 1)
script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
here <- dirname(normalizePath(script))
source(file.path(here, "tight.R"))

# ---- data -----------------------------------------------------------------------------------------------------------

label <- function(prefix, k) sprintf("%s%02d", prefix, k)
correlated <- function(n, root) matrix(rnorm(n * nrow(root)), n) %*% t(root) # rows with covariance root root'
factors <- function(d, names) {
  d[names] <- lapply(d[names], function(x) factor(as.character(x), levels = as.character(unique(x))))
  d
}

make_oats <- function() { # a split plot that has lost nine of its 72 plots
  d <- as.data.frame(nlme::Oats)
  d <- data.frame(yield = d$yield, nitro = d$nitro, N = sprintf("n%02.0f", 100 * d$nitro),
                  Variety = sub(" ", "", d$Variety), Block = as.character(d$Block))
  d <- d[-c(2, 7, 8, 19, 33, 40, 41, 58, 71), ]
  d <- d[order(d$N, d$Variety, d$Block), ]
  factors(d, c("N", "Variety", "Block"))
}

make_crossed <- function() { # A (2) x B (3) within subjects and items, unbalanced
  set.seed(31)
  d <- expand.grid(item = 1:12, subj = 1:16)
  cell <- (d$subj + d$item) %% 6
  d$A <- c("a1", "a2")[cell %% 2 + 1]
  d$B <- c("b1", "b2", "b3")[cell %/% 2 + 1]
  d <- d[runif(nrow(d)) < ifelse(d$A == "a1" & d$B == "b3", 0.55, 0.95), ]
  s <- correlated(16, matrix(c(1, 0.4, 0, 0.6), 2))
  y <- 3 + 0.6 * (d$A == "a2") + 0.5 * (d$B == "b2") - 0.7 * (d$A == "a2") * (d$B == "b3") +
    s[d$subj, 1] + s[d$subj, 2] * (d$A == "a2") + rnorm(12, 0, 0.6)[d$item] + rnorm(nrow(d))
  d <- data.frame(y = round(y, 5), A = d$A, B = d$B, subj = label("s", d$subj), item = label("i", d$item))
  factors(d[order(d$A, d$B), ], c("A", "B", "subj", "item"))
}

make_flat <- function() { # slopes that do not vary: the fit ends at the boundary
  set.seed(33)
  k <- rep(1:14, each = 7)
  x <- rep(-3:3, 14)
  y <- 10 + 0.4 * x + rnorm(14, 0, 1.5)[k] + rnorm(length(k))
  factors(data.frame(y = round(y, 4), x = x, g = label("g", k)), "g")
}

make_weighted <- function() {
  set.seed(34)
  k <- sample(rep(1:12, times = c(3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18)))
  f <- sample(c("p", "q", "r"), length(k), replace = TRUE, prob = c(5, 3, 2))
  x <- round(rnorm(length(k), 0.5), 4)
  w <- round(exp(rnorm(length(k), 0, 0.7)), 4)
  b <- correlated(12, matrix(c(1.2, 0.3, 0, 0.6), 2))
  y <- 2 + 0.5 * x + 0.4 * (f == "q") - 0.3 * (f == "r") * x + b[k, 1] + b[k, 2] * x + rnorm(length(k)) / sqrt(w)
  d <- data.frame(y = round(y, 5), x = x, f = f, w = w, g = label("g", k))
  factors(d[order(d$f, d$g), ], c("f", "g"))
}

make_ancova <- function() { # covariate x factor; the covariate's distribution differs between the levels
  set.seed(35)
  d <- data.frame(g = rep(1:20, times = sample(4:9, 20, replace = TRUE)))
  d$f <- sample(c("u", "v", "w"), nrow(d), replace = TRUE, prob = c(4, 3, 2))
  d$h <- c("low", "high")[d$g %% 2 + 1]
  d$x <- round(rnorm(nrow(d), ifelse(d$f == "w", 2, 1), 1), 3)
  y <- 5 + d$x * (0.5 + 0.4 * (d$f == "v")) - 0.1 * d$x^2 + (d$h == "high") + rnorm(20, 0, 0.8)[d$g] + rnorm(nrow(d), 0, 0.7)
  d <- data.frame(y = round(y, 4), x = d$x, f = d$f, h = d$h, g = label("g", d$g))
  factors(d[order(d$f, d$h), ], c("f", "h", "g"))
}

make_factorial <- function() { # 2 x 2 x 4, 648 rows
  set.seed(36)
  d <- data.frame(subj = rep(1:27, each = 24))
  d$A <- sample(c("a1", "a2"), 648, replace = TRUE)
  d$B <- c("b1", "b2")[d$subj %% 2 + 1]
  d$C <- sample(c("c1", "c2", "c3", "c4"), 648, replace = TRUE, prob = c(4, 3, 2, 2))
  y <- 20 + (d$A == "a2") + 0.6 * (d$C == "c3") + (d$C == "c4") * (d$B == "b2") + rnorm(27, 0, 1)[d$subj] + rnorm(648, 0, 2)
  d <- data.frame(y = round(y, 4), A = d$A, B = d$B, C = d$C, subj = label("s", d$subj))
  factors(d[order(d$A, d$B, d$C), ], c("A", "B", "C", "subj"))
}

make_hole <- function() { # one cell of A x B is empty: its coefficient is dropped
  set.seed(37)
  d <- expand.grid(r = 1:3, g = 1:10, A = c("a1", "a2", "a3"), B = c("b1", "b2"))
  d <- d[!(d$A == "a3" & d$B == "b2") & runif(nrow(d)) < 0.6, ]
  y <- 1 + 0.5 * (d$A == "a2") + 0.7 * (d$B == "b2") + rnorm(10, 0, 0.8)[d$g] + rnorm(nrow(d))
  factors(data.frame(y = round(y, 4), A = d$A, B = d$B, g = label("g", d$g)), c("A", "B", "g"))
}

make_exam <- function() {
  data(Exam, package = "mlmRev", envir = environment())
  d <- data.frame(normexam = round(Exam$normexam, 6), standLRT = round(Exam$standLRT, 6),
                  school = label("s", as.integer(Exam$school)))
  factors(d, "school")
}

plain <- function(d) { # ordered factors become unordered: treatment contrasts, as in Python
  d <- as.data.frame(d)
  for (name in names(d)) if (is.ordered(d[[name]])) d[[name]] <- factor(d[[name]], ordered = FALSE)
  d
}
data(Machines, package = "nlme")
packaged <- lapply(list(sleepstudy = sleepstudy, Dyestuff = Dyestuff, Dyestuff2 = Dyestuff2, Pastes = Pastes,
                        Penicillin = Penicillin, cake = cake, Machines = Machines), plain)
inline <- list(oats = make_oats(), crossed = make_crossed(), flat = make_flat(), weighted = make_weighted(),
               ancova = make_ancova(), factorial = make_factorial(), hole = make_hole(), exam = make_exam())
tables <- c(packaged, inline)

# ---- models ---------------------------------------------------------------------------------------------------------

# python: the formula as Python writes it, where that differs.
case <- function(id, data, formula, reml = TRUE, weights = NULL, python = formula) {
  list(id = id, data = data, formula = formula, python = python, reml = reml, weights = weights)
}
cases <- list(
  case("sleepstudy", "sleepstudy", "Reaction ~ Days + (Days | Subject)"),
  case("sleepstudy-ml", "sleepstudy", "Reaction ~ Days + (Days | Subject)", reml = FALSE),
  case("sleepstudy-uncorrelated", "sleepstudy", "Reaction ~ Days + (Days || Subject)"),
  case("sleepstudy-intercept", "sleepstudy", "Reaction ~ Days + (1 | Subject)"),
  case("dyestuff", "Dyestuff", "Yield ~ 1 + (1 | Batch)"),
  case("dyestuff2", "Dyestuff2", "Yield ~ 1 + (1 | Batch)"),
  case("pastes", "Pastes", "strength ~ 1 + (1 | batch/cask)"),
  case("penicillin", "Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
  case("cake", "cake", "angle ~ recipe * temperature + (1 | recipe:replicate)"),
  case("cake-temp", "cake", "angle ~ recipe * temp + (1 | recipe:replicate)"),
  case("oats", "oats", "yield ~ N * Variety + (1 | Block/Variety)"),
  case("oats-linear", "oats", "yield ~ nitro * Variety + (1 | Block/Variety)"),
  case("crossed", "crossed", "y ~ A * B + (1 | subj) + (1 | item)"),
  case("crossed-slope", "crossed", "y ~ A * B + (1 + A | subj) + (1 | item)"),
  case("crossed-ml", "crossed", "y ~ A * B + (1 | subj) + (1 | item)", reml = FALSE),
  case("flat", "flat", "y ~ x + (x | g)"),
  case("machines-slope", "Machines", "score ~ Machine + (Machine | Worker)"),
  case("machines-nested", "Machines", "score ~ Machine + (1 | Worker/Machine)"),
  case("weighted", "weighted", "y ~ f * x + (x | g)", weights = "w"),
  case("weighted-intercept", "weighted", "y ~ f + x + (1 | g)", weights = "w"),
  case("ancova", "ancova", "y ~ x * f + h + (1 | g)"),
  case("quadratic", "ancova", "y ~ (x + I(x^2)) * f + (1 | g)", python = "y ~ (x + I(x**2)) * f + (1 | g)"),
  case("factorial", "factorial", "y ~ A * B * C + (1 | subj)"),
  case("factorial-main", "factorial", "y ~ A + B + C + A:B + (1 | subj)"),
  case("hole", "hole", "y ~ A * B + (1 | g)"),
  case("exam", "exam", "normexam ~ standLRT + (standLRT | school)")
)
names(cases) <- vapply(cases, `[[`, "", "id")

control <- lmerControl(optimizer = "nloptwrap", calc.derivs = FALSE, optCtrl = optimizers$nlopt[[2]],
                       check.nobs.vs.nRE = "ignore", check.conv.singular = "ignore", check.scaleX = "ignore")

# A lmerTest model at lme4's best optimum. Its call can be updated: the data frame is a global variable of its own name.
fitted_model <- function(case, formula = case$formula, reml = case$reml) {
  assign(case$data, tables[[case$data]], globalenv())
  arguments <- list(formula = as.formula(formula, env = globalenv()), data = as.name(case$data), REML = reml,
                    control = quote(control))
  if (!is.null(case$weights)) arguments$weights <- as.name(case$weights)
  model <- suppressMessages(tight_fit(arguments, c("nlopt", "bobyqa", "neldermead"))$model)
  suppressMessages(as_lmerModLmerTest(model))
}

# ---- writing down ---------------------------------------------------------------------------------------------------

text <- function(x) toJSON(x, digits = NA, na = "null", null = "null", dataframe = "columns", auto_unbox = FALSE)
one <- unbox
named <- function(x) list(names = names(x), values = unname(x))

# The value of an expression, or {"error": message}: R's refusals are part of the listing.
attempt <- function(expression) tryCatch(suppressMessages(expression), error = function(e) list(error = one(conditionMessage(e))))

head_of <- function(case) {
  list(id = one(case$id), data = one(case$data), formula = one(case$python), r_formula = one(case$formula),
       reml = one(case$reml), weights = if (is.null(case$weights)) NULL else one(case$weights))
}

# Runs record(case) for each case (or those named on the command line) and writes <name>.json.gz beside the script.
# With ORACLE_PARTS=<folder> finished cases are kept there, and those not named are taken from there.
write_listing <- function(name, ids, record, packages) {
  parts <- file.path(Sys.getenv("ORACLE_PARTS", tempdir()), name)
  dir.create(parts, showWarnings = FALSE, recursive = TRUE)
  wanted <- commandArgs(trailingOnly = TRUE)
  for (id in ids) {
    if (length(wanted) && !(id %in% wanted)) next
    started <- proc.time()[["elapsed"]]
    out <- c(head_of(cases[[id]]), record(cases[[id]]))
    writeLines(text(out), file.path(parts, paste0(id, ".json")))
    message(sprintf("%-26s %6.1f s", id, proc.time()[["elapsed"]] - started))
  }
  files <- file.path(parts, paste0(ids, ".json"))
  if (!all(file.exists(files))) return(message("not written, still to run: ", paste(ids[!file.exists(files)], collapse = " ")))
  versions <- list(R = one(R.version.string))
  for (p in packages) versions[[p]] <- one(as.character(packageVersion(p)))
  used <- inline[names(inline) %in% vapply(cases[ids], `[[`, "", "data")]
  levels <- lapply(tables[names(tables) %in% vapply(cases[ids], `[[`, "", "data")],
                   function(d) lapply(Filter(is.factor, d), levels))
  target <- gzfile(file.path(here, paste0(name, ".json.gz")), "w")
  writeLines(c('{"versions":', text(versions), ',"levels":', text(levels), ',"data":', text(used), ',"cases":[',
               paste(vapply(files, function(f) paste(readLines(f), collapse = ""), ""), collapse = ",\n"), "]}"), target)
  close(target)
}

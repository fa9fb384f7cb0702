# lme4 fitted to the end: the lowest criterion that its optimizers reach, then Newton steps. Sourced by the other scripts.
#
# 1. Several derivative-free optimizers run at tight settings, the later ones also from the best point so far.
# 2. A small model inside the parameter space is then polished by Newton steps on lme4's own criterion, with
#    Richardson differences: lme4's optimizers stop where the criterion is flat to rounding, at about 1e-6 in theta.
# 3. The lowest criterion is kept, and lme4's own model object at that theta is returned.

optimizers <- list(
  nlopt = list("nloptwrap", list(algorithm = "NLOPT_LN_BOBYQA", xtol_abs = 1e-12, xtol_rel = 1e-12,
                                 ftol_abs = 1e-13, ftol_rel = 1e-15, maxeval = 20000)),
  bobyqa = list("bobyqa", list(rhoend = 1e-9, maxfun = 20000)),
  neldermead = list("Nelder_Mead", list(FtolAbs = 1e-11, FtolRel = 1e-15, XtolRel = 1e-10, maxfun = 20000))
)

run <- function(devfun, optimizer, start) {
  tryCatch(
    suppressWarnings(suppressMessages(optimizeLmer(
      devfun, optimizer = optimizer[[1]], control = optimizer[[2]], start = start,
      restart_edge = FALSE, boundary.tol = 0, calc.derivs = FALSE
    ))),
    error = function(e) NULL
  )
}

polish <- function(devfun, par, lower, fval) {
  if (length(par) > 10 || any(par - lower < 1e-3)) return(par)
  hessian <- numDeriv::hessian(devfun, par)
  if (min(eigen(hessian, TRUE, TRUE)$values) <= 0) return(par)
  for (k in 1:2) {
    new <- par - solve(hessian, numDeriv::grad(devfun, par))
    if (any(new < lower) || devfun(new) > fval + 1e-9) break
    par <- new
  }
  par
}

# arguments: those of lmer. plan: names of optimizers, in turn. again: restart each also from the usual start.
# Returns the model and what each optimizer reached.
tight_fit <- function(arguments, plan, again = TRUE) {
  parsed <- do.call(lFormula, arguments)
  devfun <- do.call(mkLmerDevfun, parsed)
  lower <- parsed$reTrms$lower
  best <- list(par = parsed$reTrms$theta, fval = Inf)
  reached <- list()
  for (k in seq_along(plan)) {
    starts <- if (k == 1) list(parsed$reTrms$theta) else c(if (again) list(parsed$reTrms$theta), list(best$par))
    for (start in starts) {
      opt <- run(devfun, optimizers[[plan[k]]], start)
      if (is.null(opt)) next
      reached[[plan[k]]] <- min(reached[[plan[k]]], opt$fval)
      if (opt$fval < best$fval) best <- list(par = opt$par, fval = opt$fval)
    }
  }
  best$par <- polish(devfun, best$par, lower, best$fval)
  best$fval <- devfun(best$par) # the factor that mkMerMod reads is now at the best theta
  best <- c(best, list(conv = 0, feval = 0, message = "best of several"))
  call <- as.call(c(quote(lme4::lmer), arguments))
  model <- mkMerMod(environment(devfun), best, parsed$reTrms, fr = parsed$fr, mc = call)
  model@optinfo$optimizer <- "nloptwrap" # for refits and profiles
  model@optinfo$control <- optimizers$nlopt[[2]]
  list(model = model, reached = reached)
}

# Definitions of Satterthwaite's and Kenward and Roger's quantities with n x n matrices. Sourced by inference.R.
#
# V = sum_i s_i V_i is linear in s: the variances and covariances of each term, then the residual variance, V_r = W^-1.
# With P = V^-1 - V^-1 X C X'V^-1 and C = (X'V^-1X)^-1:
#   observed information of s (REML)     H_ij = y'P V_i P V_j P y - tr(P V_i P V_j)/2
#                           (ML)         H_ij = y'P V_i P V_j P y - tr(V^-1 V_i V^-1 V_j)/2
#   expected information (REML)          I_ij = tr(P V_i P V_j)/2
#   dC/ds_i                              C X'V^-1 V_i V^-1 X C
# Satterthwaite:  df = 2 (l'Cl)^2 / (g'H^-1 g), g_i = l'(dC/ds_i)l.
# Kenward-Roger:  C_A = C + 2 C (sum_ij W_ij (Q_ij - P_i C P_j)) C, W = I^-1, P_i = -X'V^-1 V_i V^-1 X,
#                 Q_ij = X'V^-1 V_i V^-1 V_j V^-1 X, and the moments of the 1997 paper for F. V is linear in s, so the 2009
#                 form for these parameters has no further term.
# lmerTest differentiates numerically, and pbkrtest leaves prior weights out of V: this is the reference for both.

variance_matrices <- function(model) { # list of V_i, dense, in lme4's order of terms; residual last
  columns <- lapply(getME(model, "Ztlist"), function(zt) t(as.matrix(zt)))
  out <- list()
  k <- 0
  for (names in getME(model, "cnms")) {
    q <- length(names)
    for (j in seq_len(q)) for (i in j:q) {
      half <- columns[[k + i]] %*% t(columns[[k + j]])
      out[[length(out) + 1]] <- if (i == j) half else half + t(half)
    }
    k <- k + q
  }
  w <- weights(model)
  c(out, list(diag(1 / w)))
}

variance_values <- function(model) { # s, in the same order
  blocks <- lapply(VarCorr(model), function(v) as.matrix(v)[lower.tri(v, diag = TRUE)])
  c(unlist(blocks, use.names = FALSE), sigma(model)^2)
}

definition <- function(model) {
  X <- getME(model, "X")
  y <- getME(model, "y") - getME(model, "offset")
  n <- length(y)
  Vi <- variance_matrices(model)
  s <- variance_values(model)
  reml <- isREML(model)
  V <- Reduce(`+`, Map(`*`, Vi, s))
  Vinv <- chol2inv(chol(V))
  VX <- Vinv %*% X
  C <- solve(crossprod(X, VX))
  P <- Vinv - VX %*% C %*% t(VX)
  Py <- P %*% y
  m <- length(Vi)
  AP <- lapply(Vi, function(v) P %*% v)
  AV <- lapply(Vi, function(v) Vinv %*% v)
  trace2 <- function(A) outer(seq_len(m), seq_len(m), Vectorize(function(i, j) sum(A[[i]] * t(A[[j]]))))
  half <- sapply(Vi, function(v) v %*% Py)
  tr_p <- trace2(AP)
  observed <- crossprod(half, P %*% half) - (if (reml) tr_p else trace2(AV)) / 2
  expected <- tr_p / 2
  M <- lapply(Vi, function(v) crossprod(VX, v %*% VX)) # X'V^-1 V_i V^-1 X
  dC <- lapply(M, function(a) C %*% a %*% C)
  W <- tryCatch(solve(expected), error = function(e) MASS::ginv(expected))
  middle <- matrix(0, ncol(X), ncol(X))
  half_x <- lapply(Vi, function(v) v %*% VX)
  for (i in seq_len(m)) for (j in seq_len(m)) {
    middle <- middle + W[i, j] * (crossprod(half_x[[i]], Vinv %*% half_x[[j]]) - M[[i]] %*% C %*% M[[j]])
  }
  list(C = C, beta = drop(C %*% crossprod(VX, y)), adjusted = C + 2 * C %*% middle %*% C, observed = observed,
       expected = expected, dC = dC, M = M, W = W, s = s)
}

satterthwaite_df <- function(d, l) {
  g <- vapply(d$dC, function(a) drop(l %*% a %*% l), 0)
  2 * drop(l %*% d$C %*% l)^2 / drop(g %*% solve(d$observed, g))
}

# Several rows: Fai and Cornelius by the spectral decomposition of L C L', as lmerTest and SAS do.
satterthwaite_f <- function(d, L) {
  e <- eigen(L %*% d$C %*% t(L), symmetric = TRUE)
  q <- sum(e$values > 1e-8 * max(e$values))
  rows <- t(e$vectors[, seq_len(q), drop = FALSE]) %*% L
  t2 <- drop(rows %*% d$beta)^2 / e$values[seq_len(q)]
  nu <- apply(rows, 1, function(l) satterthwaite_df(d, l))
  f <- mean(t2)
  df <- if (q == 1) nu else {
    E <- sum(nu[nu > 2] / (nu[nu > 2] - 2))
    if (E > q) 2 * E / (E - q) else 2
  }
  if (q > 1 && all(abs(diff(nu)) < 1e-8)) df <- mean(nu)
  list(num_df = q, den_df = df, F = f, p = pf(f, q, df, lower.tail = FALSE))
}

kenward_roger_f <- function(d, L) {
  L <- L[seq_len(nrow(L)), , drop = FALSE]
  l <- qr(L)$rank
  if (l < nrow(L)) L <- qr.R(qr(L))[seq_len(l), order(qr(L)$pivot), drop = FALSE]
  Theta <- t(L) %*% solve(L %*% d$C %*% t(L)) %*% L
  m <- length(d$dC)
  TC <- lapply(d$dC, function(a) Theta %*% a) # Theta C M_i C
  A1 <- A2 <- 0
  for (i in seq_len(m)) for (j in seq_len(m)) {
    A1 <- A1 + d$W[i, j] * sum(diag(TC[[i]])) * sum(diag(TC[[j]]))
    A2 <- A2 + d$W[i, j] * sum(TC[[i]] * t(TC[[j]]))
  }
  B <- (A1 + 6 * A2) / (2 * l)
  g <- ((l + 1) * A1 - (l + 4) * A2) / ((l + 2) * A2)
  bottom <- 3 * l + 2 * (1 - g)
  c1 <- g / bottom
  c2 <- (l - g) / bottom
  c3 <- (l + 2 - g) / bottom
  E <- 1 / (1 - A2 / l)
  v <- 2 / l * (1 + c1 * B) / ((1 - c2 * B)^2 * (1 - c3 * B))
  rho <- v / (2 * E^2)
  df <- 4 + (l + 2) / (l * rho - 1)
  scaling <- df / (E * (df - 2))
  value <- L %*% d$beta
  f <- drop(t(value) %*% solve(L %*% d$adjusted %*% t(L)) %*% value) / l
  list(num_df = l, den_df = df, F = scaling * f, p = pf(scaling * f, l, df, lower.tail = FALSE), scaling = scaling)
}

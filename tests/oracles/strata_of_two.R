# nlme's Assay, moved a little so that no two rows of a cell are equal, with a residual variance for each of 30 cells of
# two rows: strata_of_two.json, -2 log likelihood where gls and lme end; null where one fails. See README.md.
#
#   Rscript strata_of_two.R > strata_of_two.json

suppressPackageStartupMessages({ library(nlme); library(jsonlite) })

d <- as.data.frame(Assay)
d$cell <- factor(paste(d$sample, d$dilut))
d$y <- round(d$logDens + 0.02 * sin(7 * seq_len(nrow(d))), 4)
end <- function(fit) tryCatch(-2 * as.numeric(logLik(fit)), error = function(e) NULL)
by_cell <- varIdent(form = ~ 1 | cell)

cases <- list()
for (method in c("ML", "REML")) for (fixed in c("1", "sample", "dilut", "sample + dilut")) {
  f <- as.formula(paste("y ~", fixed))
  cases[[length(cases) + 1]] <- list(
    method = method, fixed = fixed, gls = end(gls(f, d, weights = by_cell, method = method)),
    lme = end(lme(f, d, random = ~ 1 | Block, weights = by_cell, method = method))
  )
}
rows <- lapply(c("Block", "sample", "dilut", "cell"), function(name) as.character(d[[name]]))
names(rows) <- c("Block", "sample", "dilut", "cell")
cat(toJSON(list(versions = list(R = paste(R.version$major, R.version$minor, sep = "."), nlme = as.character(packageVersion("nlme"))),
                rows = c(rows, list(y = d$y)), cases = cases), auto_unbox = TRUE, digits = 8, null = "null"), "\n")

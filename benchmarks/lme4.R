# Fits one problem with lme4, and prints one line of JSON: worker.py in R.
#
#   Rscript lme4.R FOLDER FORMULA FACTORS REPEAT BUDGET SLEEPSTUDY
#
# FOLDER holds one raw file a column (problems.py); FACTORS are names joined by commas.
suppressPackageStartupMessages(library(lme4))

read_table <- function(folder, factors) {
  files <- list.files(folder, full.names = TRUE)
  columns <- lapply(files, function(file) {
    if (endsWith(file, ".float64")) readBin(file, "double", file.size(file) / 8)
    else readBin(file, "integer", file.size(file) / 4)
  })
  names(columns) <- sub("\\.[a-z0-9]+$", "", basename(files))
  for (name in factors) columns[[name]] <- factor(columns[[name]])
  as.data.frame(columns, optional = TRUE)
}

peak_mb <- function() {
  status <- "/proc/self/status"
  if (!file.exists(status)) return(NA)
  line <- grep("^VmHWM", readLines(status), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) * 1024 / 1e6
}

arguments <- commandArgs(trailingOnly = TRUE)
data <- read_table(arguments[1], strsplit(arguments[3], ",")[[1]])
control <- lmerControl(calc.derivs = FALSE)
fit <- function(formula, data) suppressMessages(suppressWarnings(lmer(as.formula(formula), data, control = control)))
invisible(fit("Reaction ~ Days + (Days | Subject)", read_table(arguments[6], "Subject")))

repeats <- as.integer(arguments[4])
budget <- as.numeric(arguments[5])
before <- peak_mb()
seconds <- c()
while (length(seconds) == 0 || (length(seconds) < repeats && sum(seconds) < budget)) {
  invisible(gc())
  begin <- as.numeric(Sys.time())
  model <- fit(arguments[2], data)
  seconds <- c(seconds, as.numeric(Sys.time()) - begin)
}
number <- function(x) ifelse(is.na(x), "null", format(x, digits = 17))
cat(sprintf('{"status": "ok", "seconds": [%s], "criterion": %s, "evaluations": %d, "peak_mb": %s, "before_mb": %s}\n',
            paste(sprintf("%.6f", seconds), collapse = ", "), number(REMLcrit(model)), model@optinfo$feval,
            number(peak_mb()), number(before)))

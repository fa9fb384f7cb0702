# Reads a problem's table (problems.py) and measures; both R workers source this file.

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

# Largest resident memory of this process so far, in MB (10^6 bytes); NA where the system does not say.
peak_mb <- function() {
  status <- "/proc/self/status"
  if (!file.exists(status)) return(NA)
  line <- grep("^VmHWM", readLines(status), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) * 1024 / 1e6
}

# The clock on the wall, to the microsecond, and this process's CPU seconds, to the millisecond.
clock <- function() c(as.numeric(Sys.time()), sum(proc.time()[c("user.self", "sys.self")]))

# Runs work() again until there are enough runs or the budget of seconds is spent, and at least once.
time_repeatedly <- function(work, repeats, budget) {
  wall <- cpu <- c()
  while (length(wall) == 0 || (length(wall) < repeats && sum(wall) < budget)) {
    invisible(gc())
    begin <- clock()
    value <- work()
    spent <- clock() - begin
    wall <- c(wall, spent[1])
    cpu <- c(cpu, spent[2])
  }
  list(wall = wall, cpu = cpu, value = value)
}

number <- function(x) ifelse(is.na(x), "null", format(x, digits = 17))
numbers <- function(x) paste0("[", paste(sprintf("%.6f", x), collapse = ", "), "]")

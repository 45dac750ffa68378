# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
# What the launchers share. With --dry-run they print what they would do, and do nothing.

DRY_RUN=0

# die MESSAGE: one line on stderr, code 2.
die() {
  echo "error: $* (see the head of $0)" >&2
  exit 2
}

# act COMMAND ...: does it, or prints it so that a shell reads it back.
act() {
  if [ "$DRY_RUN" = 1 ]; then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}

# quoted COMMAND ...: the words as one line of shell.
quoted() {
  local text
  printf -v text '%q ' "$@"
  echo "${text% }"
}

# need NAME VALUE PATTERN: dies unless the value matches the regular expression.
need() {
  [[ $2 =~ ^($3)$ ]] || die "$1 is '$2', which is not of the form $3"
}

#!/bin/sh
# Installs Debian's bubblewrap where bwrap is missing: the code task runs what models write in it.
set -eu
if command -v bwrap >/dev/null 2>&1; then
  echo "bubblewrap is there: $(bwrap --version)"
  exit 0
fi
sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo"
$sudo apt-get update
$sudo apt-get install --yes --no-install-recommends bubblewrap
bwrap --version

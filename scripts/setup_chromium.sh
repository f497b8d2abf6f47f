#!/bin/sh
# Installs Debian's Chromium where /usr/bin/chromium is missing: tests/test_report_browser.py needs it.
set -eu
if [ -x /usr/bin/chromium ]; then
  echo "chromium is there: $(/usr/bin/chromium --version 2>/dev/null)"
  exit 0
fi
sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo"
$sudo apt-get update
$sudo apt-get install --yes --no-install-recommends chromium fonts-dejavu-core
/usr/bin/chromium --version

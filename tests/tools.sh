#!/bin/sh
# The real clients that the tests push and pull with, and a browser with its driver, from Debian's packages where they are missing.
set -eu
missing=
for tool in skopeo podman chromium; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
command -v chromedriver >/dev/null || missing="$missing chromium-driver"
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
    echo "Please install:$missing" >&2
    exit 1
fi
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "Debian packages:$missing (usually half a minute)"
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null

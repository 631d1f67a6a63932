#!/bin/sh
# The build steps of the container image. Containerfile runs `build` and `collect`; where no container engine is at hand,
# `trial` runs the same two on a copy of this checkout in a temporary folder, so that image and check cannot drift apart.
#
#   image-steps.sh build            in the repository's root: install, compile, drop what only the build needs
#   image-steps.sh collect <out>    copy what a node needs at run time to <out>, and start it once for its help text
#   image-steps.sh trial            both, elsewhere; leaves nothing behind
#
# NPM: the npm to use, default `npm`. The image has the one that comes with Node 20: NPM='npx -y npm@10.8.2'.
set -eu
npm=${NPM:-npm}

build() {
  # Unquoted: it may be more than one word.
  $npm ci
  $npm run build -- --filter=@muster/cli
  $npm prune --omit=dev
}

collect() {
  out=$1
  mkdir -p "$out/packages"
  cp -a package.json LICENSE node_modules "$out/"
  for package in packages/*/; do
    name=$(basename "$package")
    mkdir -p "$out/packages/$name"
    cp -a "packages/$name/package.json" "$out/packages/$name/"
    if [ -d "packages/$name/dist" ]; then cp -a "packages/$name/dist" "$out/packages/$name/"; fi
    for script in "packages/$name/"*.mjs; do
      if [ -f "$script" ]; then cp -a "$script" "$out/packages/$name/"; fi
    done
  done
  # The tests are a workspace as well; their link would point nowhere.
  rm -f "$out/node_modules/@muster/test"
  find "$out/packages" \( -name '*.d.ts' -o -name '*.map' -o -name '*.tsbuildinfo' \) -type f -delete
  (cd "$out" && node packages/cli/dist/main.js node --help)
}

trial() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  mkdir "$work/src"
  # What the build context holds: everything tracked or new, without what .dockerignore leaves out.
  root=$(cd "$(dirname "$0")/.." && pwd)
  (cd "$root" && git ls-files --cached --others --exclude-standard -z | xargs -0 sh -c '
    for file; do if [ -f "$file" ]; then printf "%s\0" "$file"; fi; done' sh) >"$work/files"
  (cd "$root" && tar -cf - --null -T "$work/files") | tar -xf - -C "$work/src"
  cd "$work/src"
  sh deploy/image-steps.sh build
  sh deploy/image-steps.sh collect "$work/app"
  du -sh "$work/app" | cut -f1
}

case "${1:-}" in
  build) build ;;
  collect) collect "${2:?collect needs a folder}" ;;
  trial) trial ;;
  *)
    echo "usage: image-steps.sh build | collect <out> | trial" >&2
    exit 2
    ;;
esac

#!/bin/sh
# launch/scripts/setup.sh build|test|slurm|demo|simulate|packages|site [list]: looks for what is missing and installs it where that is allowed.
# Quiet and quick when nothing is missing.  list: prints the names of Debian's packages, and does no more (launch/packaging names the same).
# On a cluster, where packages come from modules or Spack, it checks for the libraries themselves and prints what to ask for.
set -eu

build='gcc make pkg-config g++ openmpi-bin libopenmpi-dev libscalapack-openmpi-dev libhdf5-openmpi-dev libhwloc-dev
       libzstd-dev zlib1g-dev libconfig-dev libopenblas-dev libxxhash-dev libvips-dev libjansson-dev libsentencepiece-dev libpcre2-dev libutf8proc-dev
       libdnnl-dev libmicrohttpd-dev'
case ${1:-} in
build) packages=$build ;;
test)  packages="$build libcmocka-dev zstd curl" ;;
slurm) packages="$build libcmocka-dev slurmctld slurmd slurm-client munge iproute2 util-linux procps jube"
       PATH=$PATH:/usr/sbin:/sbin ;;
demo)  packages="$build tuxpaint-stamps-default" ;;
simulate) packages="$build libsimgrid-dev" ;;
packages) packages="$build debhelper lintian debootstrap groff mandoc zsh python3 qemu-user-static gcc-aarch64-linux-gnu g++-aarch64-linux-gnu" ;;
site)  packages='cmark-gfm python3' ;;
*)     echo "usage: launch/scripts/setup.sh build|test|slurm|demo|simulate|packages|site [list]" >&2; exit 64 ;;
esac
[ "${2:-}" != list ] || { echo $packages; exit; }

kind=$1
elsewhere() {
    [ "$kind" != site ] || { echo "setup: missing: $1 (Debian, Ubuntu: sudo apt-get install cmark-gfm python3; elsewhere cmark-gfm is on github.com/github/cmark-gfm)" >&2; exit 1; }
    cat >&2 <<EOF
setup: missing: $1

  Debian, Ubuntu  sudo apt-get install --no-install-recommends $1
  Spack           spack install openmpi hwloc hdf5+mpi zstd zlib libconfig openblas threads=openmp netlib-scalapack xxhash libvips+jpeg+png jansson sentencepiece pcre2 utf8proc libmicrohttpd cmocka
  modules         module load gcc openmpi hdf5/parallel openblas scalapack zstd     (names differ; see: module avail)

Where libraries come from Spack or modules, PKG_CONFIG_PATH must name their lib/pkgconfig folders.
EOF
    exit 1
}

# Libraries that are there already, from whatever source, need no package.
library() {
    case $1 in
    hdf5) pkg-config --exists hdf5-openmpi || { pkg-config --exists hdf5 && parallel_hdf5; } ;;
    scalapack) pkg-config --exists scalapack-openmpi || pkg-config --exists scalapack || plain_scalapack ;;
    *)    pkg-config --exists "$1" ;;
    esac
}
parallel_hdf5() {
    printf '#include <H5pubconf.h>\n#ifndef H5_HAVE_PARALLEL\n#error\n#endif\n' |
        cc -E $(pkg-config --cflags hdf5) - >/dev/null 2>&1
}
plain_scalapack() { echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null -lscalapack >/dev/null 2>&1; }
absent=
for tool in $([ "$1" = site ] && echo cmark-gfm python3 || echo cc make pkg-config c++ mpicc mpirun) $([ "$1" != test ] || echo zstd curl) $([ "$1" != slurm ] || echo slurmctld slurmd sbatch munged ip tc nsenter pgrep jube) \
            $([ "$1" != packages ] || echo dh lintian debootstrap groff mandoc zsh python3 qemu-aarch64-static aarch64-linux-gnu-gcc aarch64-linux-gnu-g++); do
    command -v $tool >/dev/null || absent="$absent $tool"
done
if [ -z "$absent" ] && [ "$1" != site ]; then
    for name in hdf5 scalapack hwloc libzstd zlib libconfig openblas libxxhash vips jansson sentencepiece libpcre2-8 libutf8proc $(case $1 in test) echo cmocka libmicrohttpd ;; slurm) echo cmocka ;; esac); do
        library "$name" || absent="$absent $name"
    done
fi
[ "$1" != simulate ] || command -v smpicxx >/dev/null || absent="$absent simgrid"
[ "$1" != demo ] || [ -d /usr/share/tuxpaint/stamps ] || absent="$absent tuxpaint-stamps"
[ -n "$absent" ] || exit 0

command -v dpkg >/dev/null || elsewhere "${absent# }"
missing=
for package in $packages; do
    dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing="$missing $package"
done
missing=${missing# }
[ -n "$missing" ] || elsewhere "${absent# }"

if [ "$(id -u)" = 0 ]; then sudo=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo='sudo -n'
else elsewhere "$missing"
fi
command -v apt-get >/dev/null || elsewhere "$missing"

echo "setup: installing $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive \
       apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    elsewhere "$missing"
fi

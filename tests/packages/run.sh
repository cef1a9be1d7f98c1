#!/bin/bash
# tests/packages/run.sh [NAME]...: what `make test-packages` does, as root, in minutes: zsh, and packages on systems that have nothing.
#   zsh         completion in a real zsh
#   spack       package.py is Python, and asks make for what there is
#   apptainer   the commands of asvr.def on a bare Debian (debootstrap, chroot; MIRROR=URL for another one), and what it then runs
#   deb         `make deb` there, lintian, and the package on a second bare Debian, which gets its dependencies alone
# A bare Debian is made once, in build/packages/bare; what was made of it stays where a case failed.
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$PWD work=$PWD/build/packages
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mkdir -p "$work"

bare() {
    [ ! -e "$work/bare.stamp" ] || return 0
    rm -rf "$work/bare"
    . /etc/os-release
    debootstrap --variant=minbase "$VERSION_CODENAME" "$work/bare" ${MIRROR:-} || return 1
    touch "$work/bare.stamp"
}
# system NAME: a fresh copy of the bare one
system() { bare && rm -rf "${work:?}/$1" && cp -a "$work/bare" "$work/$1"; }
# inside NAME COMMAND...: its mounts end with it
inside() {
    local at=$work/$1
    shift
    unshare --mount --fork bash -c 'mount -t proc proc "$0/proc" && mount -t sysfs sysfs "$0/sys" && mount --rbind /dev "$0/dev" && exec chroot "$0" /usr/bin/env -i \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
        OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_rmaps_base_oversubscribe=1 "$@"' "$at" "$@" </dev/null
}
# The source, as a tar file has it.
unpack() {
    mkdir -p "$work/$1/usr/src/asvr" &&
    tar cf - --exclude=slurm/site.sh core dist io launch configs tests slurm docs Makefile README.md CONTRIBUTING.md LICENSE | tar xf - -C "$work/$1/usr/src/asvr"
}
# runs NAME: the installed program, from another folder, on two ranks
runs() {
    inside "$1" sh -ec 'mkdir -p /tmp/elsewhere; cd /tmp/elsewhere; asvr version; asvr submit configs/tiny.cfg --set slurm.dry=true
        set -- configs/tiny.cfg --set data.samples=48 --set data.val_samples=14 --set train.steps=4 --set train.global_batch=8
        asvr pack "$@"; mpirun -n 2 asvr train "$@"; test -e runs/tiny/ckpt/step-00000004/manifest.json'
}

case_zsh() {
    rm -rf "$work/zsh" && mkdir "$work/zsh" &&
    make -s -j2 VARIANT=debug all && build=$root/build/debug TMP=$work/zsh bash tests/packages/zsh.sh
}

# Spack is in no registry that tests may ask; a stand-in for its words runs the recipe.
case_spack() {
    python3 - launch/packaging/spack/package.py <<'E2' || return 1
import subprocess, sys, types
said, asked = [], []
spack = types.ModuleType("spack"); package = types.ModuleType("spack.package")
package.MakefilePackage = object
for word in ("version", "depends_on", "license"):
    setattr(package, word, lambda *a, **k: said.append(a))
package.make = lambda *words: asked.append(words)
sys.modules["spack"], sys.modules["spack.package"] = spack, package
scope = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), scope)
recipe = scope["Asvr"]()
recipe.prefix = "/opt/spack/asvr"
recipe.build(None, recipe.prefix)
recipe.install(None, recipe.prefix)
assert len(said) > 15 and len(asked) == 2, (said, asked)
for words in asked:                     # targets and variables that the Makefile has
    subprocess.run(["make", "-n", *words], check=True, stdout=subprocess.DEVNULL)
E2
}

case_apptainer() {
    system image && unpack image || return 1
    awk '/^%/ { in_post = $1 == "%post"; next } in_post' launch/packaging/apptainer/asvr.def >"$work/image/post.sh"
    awk '/^%/ { in_test = $1 == "%test"; next } in_test' launch/packaging/apptainer/asvr.def >"$work/image/test.sh"
    inside image sh -e /post.sh && inside image sh -e /test.sh && runs image
}

case_deb() {
    local said
    system maker && unpack maker || return 1
    inside maker sh -ec 'cd /usr/src/asvr; apt-get update; launch/scripts/setup.sh build; apt-get install -y --no-install-recommends debhelper build-essential; make deb' || return 1
    # The project has no address to write to.
    said=$(lintian --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$work"/maker/usr/src/asvr/build/deb/asvr_*.deb) || { echo "$said"; return 1; }
    echo "$said"
    system user && cp "$work"/maker/usr/src/asvr/build/deb/asvr_[0-9]*.deb "$work/user/tmp/" || return 1
    inside user sh -ec 'apt-get update; apt-get install -y --no-install-recommends /tmp/asvr_*.deb' && runs user &&
    inside user sh -ec 'apt-get purge -y asvr; test ! -e /usr/share/asvr && test ! -e /usr/lib/asvr' || return 1
}

passed=0 failed=0
for name in ${*:-zsh spack apptainer deb}; do
    start=$SECONDS
    if "case_$name" >"$work/$name.log" 2>&1; then
        passed=$((passed + 1)) word=ok
        for at in zsh image maker user; do rm -rf "${work:?}/$at"; done
    else
        failed=$((failed + 1)) word=FAIL
        tail -n 30 "$work/$name.log" | sed 's/^/      | /'
    fi
    printf '%-4s  packages/%-20s %5d s   %s\n' $word "$name" $((SECONDS - start)) "build/packages/$name.log"
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]

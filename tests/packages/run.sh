#!/bin/bash
# tests/packages/run.sh [NAME]...: what `make test-packages` does, as root, in minutes: zsh, and packages on systems that have nothing.
#   zsh         completion in a real zsh
#   spack       package.py is Python, and asks make for what there is
#   apptainer   the commands of asvr.def on a bare Debian (debootstrap, chroot; MIRROR=URL for another one), and what it then runs
#   deb         `make deb` there, lintian, and the package on a second bare Debian, which gets its dependencies alone
#   arm64       built here for arm64, without a warning; on a bare Debian of that kind behind qemu: tests, and a run like this machine's
# A bare Debian is made once, in build/packages/bare; what was made of it stays where a case failed.
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$PWD work=$PWD/build/packages
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mkdir -p "$work"

# bare [ARCH]: another kind of processor's needs qemu
bare() {
    local at=$work/bare${1:+-$1}
    [ ! -e "$at.stamp" ] || return 0
    rm -rf "$at"
    . /etc/os-release
    debootstrap ${1:+--arch=$1} --variant=minbase "$VERSION_CODENAME" "$at" ${MIRROR:-} || return 1
    touch "$at.stamp"
}
# system NAME [ARCH]: a fresh copy of the bare one
system() { bare ${2:-} && rm -rf "${work:?}/$1" && cp -a "$work/bare${2:+-$2}" "$work/$1"; }
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

# The kernel hands arm64's programs to qemu; a container has not been told so by the package.
emulated() {
    local at=/proc/sys/fs/binfmt_misc
    [ -e $at/register ] || mount -t binfmt_misc binfmt_misc $at || return 1
    [ -e $at/qemu-aarch64 ] || grep -v '^#' /usr/lib/binfmt.d/qemu-aarch64.conf >$at/register
}
# cross SYSTEM WORD...: make in its /usr/src/asvr by this machine's compiler, against its libraries
cross() {
    local at=$work/$1 kind=aarch64-linux-gnu
    shift
    export PKG_CONFIG_SYSROOT_DIR=$at PKG_CONFIG_LIBDIR=$at/usr/lib/$kind/pkgconfig:$at/usr/share/pkgconfig
    make -C "$at/usr/src/asvr" -j2 CC="$kind-gcc --sysroot=$at" CXX="$kind-g++ --sysroot=$at" AR=$kind-ar OBJCOPY=$kind-objcopy EXTRA=-Werror \
        MPI_INC="$(pkg-config --cflags ompi-c)" MPI_LIB="$(pkg-config --libs ompi-c)" "$@"
}
case_arm64() {
    local at=$work/arm64 link to
    set -- configs/tiny.cfg --set data.samples=48 --set data.val_samples=14 --set train.steps=4 --set train.global_batch=8
    emulated && system arm64 arm64 && unpack arm64 &&
    inside arm64 sh -ec "apt-get update; apt-get install -y --no-install-recommends $(launch/scripts/setup.sh test list)" || return 1
    # From outside, links that begin at the root would lead into this machine; first those to which others lead.
    find "$at/etc/alternatives" "$at/usr" -type l -lname '/*' -printf '%p %l\n' | while read -r link to; do ln -snfr "$at$to" "$link"; done
    (cross arm64 VARIANT=portable all && cross arm64 VARIANT=debug ARCH=armv8-a programs) || return 1
    inside arm64 make -C /usr/src/asvr install-files VARIANT=portable && runs arm64 || return 1
    # One rank's losses are those of two, and this machine's but for the last bits; what was packed is the same.
    inside arm64 sh -ec 'mkdir /tmp/alone; cd /tmp/alone; asvr pack "$@"; asvr train "$@"' sh "$@" &&
    make -s -j2 VARIANT=portable all && rm -rf "$work/alone" && mkdir "$work/alone" &&
    (cd "$work/alone" && asvr=$(echo "$root"/build/x86-64*/asvr) && $asvr pack "$@" && $asvr train "$@") &&
    cmp "$work/alone/runs/tiny/data/index.set" "$at/tmp/alone/runs/tiny/data/index.set" &&
    python3 - "$work/alone" "$at/tmp/alone" "$at/tmp/elsewhere" <<'E2' || return 1
import json, sys
here, alone, two = ([float.fromhex(json.loads(line)["loss_hex"]) for line in open(run + "/runs/tiny/run.jsonl")] for run in sys.argv[1:])
apart = [abs(a - b) / a for a, b in zip(here, alone)]
print("losses apart from this machine's:", *apart)
assert len(here) == 4 and alone == two and max(apart) < 1e-6, (here, alone, two)
E2
    # What takes minutes there is left out; so are test_lease and test_command: qemu tells a process another time of its beginning than it
    # tells others, and starts programs that do not exist.
    inside arm64 bash -c 'cd /usr/src/asvr && LIMIT=1200 tests/run.sh build/debug "$@"' bash core/test_{arena,bf16,decode,denoise,distill,exact,fixed,golden,kinds,lora} \
        core/test_{ops_loss,ops_noise,ops_optim,ops_plain,param,rng,rq,scales,slice,splice,vectors} dist/test_{comm,'canon np=1','zero np=1','bucket np=1','grid np=1'} \
        io/{base/test_json,base/test_files,hf/,text/,image/,source/,bench/} 'io/h5/test_h5 np=1' 'io/set/test_shard np=1' 'io/ckpt/test_ckpt np=1' fuzz/
}

passed=0 failed=0
for name in ${*:-zsh spack apptainer deb arm64}; do
    start=$SECONDS
    if "case_$name" >"$work/$name.log" 2>&1; then
        passed=$((passed + 1)) word=ok
        for at in zsh image maker user alone arm64; do rm -rf "${work:?}/$at"; done
    else
        failed=$((failed + 1)) word=FAIL
        tail -n 30 "$work/$name.log" | sed 's/^/      | /'
    fi
    printf '%-4s  packages/%-20s %5d s   %s\n' $word "$name" $((SECONDS - start)) "build/packages/$name.log"
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]

# In a repository of your own (spack repo create); then, from the root of the source:  spack dev-build asvr@0.1.0
from spack.package import *

try:                                    # Spack 1.0 and later; before, spack.package has it
    from spack_repo.builtin.build_systems.makefile import MakefilePackage
except ImportError:
    pass


class Asvr(MakefilePackage):
    """Trains vision-language models that learn to reconstruct what they see, over MPI."""

    homepage = "https://arxiv.org/abs/2506.09040"
    license("Apache-2.0")

    version("0.1.0")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("gmake", type="build")
    depends_on("pkgconfig", type="build")

    depends_on("openmpi")
    depends_on("hdf5+mpi")
    depends_on("netlib-scalapack")
    depends_on("openblas threads=openmp")
    depends_on("hwloc")
    depends_on("zstd")
    depends_on("zlib")
    depends_on("libconfig")
    depends_on("jansson")
    depends_on("libmicrohttpd")
    depends_on("xxhash")
    depends_on("sentencepiece")
    depends_on("pcre2")
    depends_on("utf8proc")
    depends_on("libvips+jpeg+png")

    def flags(self, spec):
        # Any node of a cluster runs it, whatever target this machine is: kernels are chosen at run time.
        return ["VARIANT=portable", "PREFIX={0}".format(self.prefix)]

    def build(self, spec, prefix):
        make(*self.flags(spec), "all")

    def install(self, spec, prefix):
        make(*self.flags(spec), "install")

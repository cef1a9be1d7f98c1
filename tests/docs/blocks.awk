# blocks.awk -- writes each block that is marked (run.sh) to the file named by its line below `to`, and prints "LINE LANGUAGE MARK..."
!open && /^ *<!-- test( exit=[0-9]+)?: .* -->$/ {
    mark = $0
    sub(/^ *<!-- /, "", mark)
    command = mark
    sub(/: .*/, "", mark)
    sub(/^test[^:]*: /, "", command)
    sub(/ -->$/, "", command)
    print command > (to FNR)
    close(to FNR)
    print FNR, "sh", mark
}
!open && /^ *```/ {
    open = 1
    indent = index($0, "`") - 1
    marked = $2 ~ /^(test$|file=)/ ? FNR : 0
    if (marked) {
        sub(/^ *```/, "")
        print FNR, $0
        printf "" > (to FNR)
    }
    next
}
open && /^ *``` *$/ { open = 0; if (marked) close(to marked); next }
open && marked { print substr($0, indent + 1) > (to marked) }
